import os
from collections.abc import Iterator
from uuid import uuid4

import hypothesis
import pytest

from tests.support.emulators import emulators

hypothesis.settings.register_profile("ci", derandomize=True)  # what lands does not depend on luck
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The emulators' hosts, by Google's variables."""
    with emulators(tmp_path_factory.mktemp("emulators")) as hosts:
        yield hosts


@pytest.fixture
def project() -> str:
    """A Google Cloud project of this test's own."""
    return f"test-{uuid4().hex[:12]}"
