from collections.abc import Iterator

import pytest
import torch

from services.messenger.artifact import Artifact
from tests.messenger.tiny_model import TinyModels, train_tiny_models


@pytest.fixture(scope="package", autouse=True)
def single_threaded_torch() -> Iterator[None]:
    """On models this small, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return train_tiny_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def artifact(tiny: TinyModels) -> Artifact:
    return Artifact.load(tiny.artifacts / "messenger")
