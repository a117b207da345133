from pathlib import Path

import pytest

from shared.settings import Settings
from training.data.sources import SOURCES


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of copies of the data sets, which is not part of the repository."""
    folder = Settings().data
    copies = [copy.path for source in SOURCES.values() for copy in source.copies]
    if absent := [path for path in copies if not (folder / path).is_file()]:
        pytest.skip(f"{folder} has no {' and no '.join(absent)}: set RETENTION_DATA")
    return folder
