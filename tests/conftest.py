import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch load: more threads only wait for each other

import hypothesis
import pytest

from tests.support.emulators import EmulatorsNotFoundError, Hosts, running_emulators, start_emulators

hypothesis.settings.register_profile("ci", derandomize=True)  # what lands does not depend on luck
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

FAST = "not (emulator or torch or slow)"
STARTED = pytest.StashKey[Hosts]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out what is marked emulator, torch or slow")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("fast"):
        config.option.markexpr = FAST
    elif config.getoption("numprocesses", None) and "not emulator" not in config.option.markexpr:
        _start_emulators(config)


def _start_emulators(config: pytest.Config) -> None:
    """Start the emulators that all workers share, and stop them when the run ends."""
    with contextlib.ExitStack() as stack, contextlib.suppress(EmulatorsNotFoundError):
        config.stash[STARTED] = stack.enter_context(start_emulators(Path(stack.enter_context(TemporaryDirectory()))))
        config.add_cleanup(stack.pop_all().close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the emulators are."""
    node.workerinput["emulators"] = node.config.stash.get(STARTED, None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether --fast leaves a module out unread: to import torch takes longer than most tests."""
    is_test = collection_path.suffix == ".py"
    return (config.getoption("fast") and is_test and "pytest.mark.torch" in collection_path.read_text()) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give workers the long files first, so that none is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items for mark in ("emulator", "torch", "slow") if item.get_closest_marker(mark)}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def emulators(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """The emulators' hosts. Without emulators the test is skipped, or fails if RETENTION_REQUIRE_EMULATORS is set."""
    shared = getattr(request.config, "workerinput", {}).get("emulators")
    try:
        with running_emulators(tmp_path_factory.mktemp("emulators"), shared) as hosts:
            yield hosts
    except EmulatorsNotFoundError as error:
        (pytest.fail if os.environ.get("RETENTION_REQUIRE_EMULATORS") else pytest.skip)(str(error))


@pytest.fixture
def project() -> str:
    """A Google Cloud project of this test's own."""
    return f"test-{uuid4().hex[:12]}"
