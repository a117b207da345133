from pathlib import Path

import pytest

from shared.settings import Settings
from training.data.sources import BANK, TELCO


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the data sets, which is not part of the repository."""
    folder = Settings().data
    if absent := [source.path for source in (TELCO, BANK) if not (folder / source.path).is_file()]:
        pytest.skip(f"{folder} has no {' and no '.join(absent)}: set RETENTION_DATA")
    return folder
