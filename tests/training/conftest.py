from pathlib import Path

import pytest

from shared.settings import Settings
from training.data.sources import SOURCES


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of copies of the data sets, which is not part of the repository."""
    folder = Settings().data
    paths = [file.path for source in SOURCES.values() for file in source.mirror_files]
    if missing := [path for path in paths if not (folder / path).is_file()]:
        pytest.skip(f"{folder} has no {' and no '.join(missing)}: set RETENTION_DATA")
    return folder
