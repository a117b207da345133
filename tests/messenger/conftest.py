from collections.abc import Iterator

import pytest
import torch

from services.messenger.artifact import Artifact
from tests.messenger.tiny_model import Tiny, make


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """What is so small only waits for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def artifact(tiny: Tiny) -> Artifact:
    return Artifact.load(tiny.artifacts / "messenger")
