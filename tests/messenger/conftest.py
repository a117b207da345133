from typing import TYPE_CHECKING

import pytest

from services.messenger.artifact import Artifact

if TYPE_CHECKING:
    from tests.messenger.tiny_model import TinyModels


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> "TinyModels":
    from tests.messenger.tiny_model import train_tiny_models  # imports torch, which takes seconds

    return train_tiny_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def artifact(tiny: "TinyModels") -> Artifact:
    return Artifact.load(tiny.artifacts / "messenger")
