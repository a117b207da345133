"""What keeps a server or a command from starting is said in one line, and then the state keeps its settings."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services import local
from services.policy.budget.ledger import SHARDS, TOTAL, Shard
from services.policy.budget.pacing import CALENDAR
from shared.artifacts import ARTIFACTS
from shared.bus import Envelope, LocalBus, dead_letter
from shared.pseudonyms import FINGERPRINT
from shared.settings import Settings
from shared.store import Document, Key, SQLiteStore
from tests.support.emulators import free_port
from tests.support.processes import process, wait_until_ready

pytestmark = pytest.mark.slow

OTHER_SETTINGS = {"RETENTION_BUDGET": "9999", "RETENTION_BUDGET_DAYS": "7"}
UNLUCKY = dead_letter(
    Envelope("customer-events", b'{"customer_id": "c"}', {}, "m"), "customer-events.scorer", "no disk"
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with a budget of 5,000 for 90 days, in which a customer was decided about, and a dead letter."""
    path = tmp_path / "state.sqlite"

    async def prepare() -> None:
        bus, store = LocalBus(), SQLiteStore(path)
        await local.pipeline(Settings(writer="template"), bus, store)
        await local.gateway(Settings(), bus, store)
        await bus.publish([Envelope("customer-events", b'{"customer_id": "known"}'), UNLUCKY])
        await bus.drain()
        store.close()

    asyncio.run(prepare())
    return path


def kept(path: Path) -> dict[Key, Document | None]:
    """What the state keeps of the settings."""
    store = SQLiteStore(path)
    documents = asyncio.run(store.read([TOTAL, CALENDAR, FINGERPRINT]))
    store.close()
    return dict(documents)


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    environment |= {"RETENTION_PORT": str(free_port()), **settings}
    command = [sys.executable, "-m", *(arguments or ["services"])]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed says to people. Log lines are JSON."""
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if not line.startswith('{"severity": "INFO"')]
    return line.removeprefix("ERROR:").strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ("dead-letters", "list"),
        ("dead-letters", "replay"),
        ("erase", "known"),
        ("erase", "unknown"),
        ("replies", "list"),
    ],
)
def test_a_command_never_changes_what_the_state_keeps_of_the_settings(state: Path, arguments: tuple[str, ...]) -> None:
    before = kept(state)
    assert before[TOTAL] == {"cents": 500_000, "shards": 1}
    assert before[CALENDAR] == {"days": 90}
    done = run("services", *arguments, RETENTION_STATE=str(state), **OTHER_SETTINGS)
    assert done.returncode == 0, done.stderr
    assert kept(state) == before


@pytest.mark.parametrize("arguments", [("dead-letters", "replay"), ("erase", "known"), ("replies", "stop", "r")])
def test_a_command_with_another_hash_key_changes_nothing(state: Path, arguments: tuple[str, ...]) -> None:
    store = SQLiteStore(state)
    before = store.snapshot()
    store.close()
    key = "another key than the first"
    said = only_line(run("services", *arguments, RETENTION_STATE=str(state), RETENTION_HASH_KEY=key, **OTHER_SETTINGS))
    assert said.startswith("RETENTION_HASH_KEY is not the key that this store began with")
    store = SQLiteStore(state)
    assert store.snapshot() == before
    store.close()


def test_a_command_on_an_empty_state_sets_no_hash_key_and_no_budget(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    SQLiteStore(path).close()
    assert run("services", "erase", "c", RETENTION_STATE=str(path)).returncode == 0
    assert "No server has used this state yet" in only_line(
        run("services", "dead-letters", "replay", RETENTION_STATE=str(path))
    )
    assert set(kept(path).values()) == {None}


def test_the_budget_changes_with_the_server_that_starts_with_it_which_says_so(state: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    environment = {**os.environ, "RETENTION_STATE": str(state), "RETENTION_PORT": str(port), **OTHER_SETTINGS}
    with process([sys.executable, "-m", "services"], log, environment):
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", log)
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines() if line.startswith("{")]
    assert "the budget was 5000.00 and is now 9999.00, as RETENTION_BUDGET says" in messages
    assert "the budget was for 90 days and is now for 7, as RETENTION_BUDGET_DAYS says" in messages
    assert kept(state)[TOTAL] == {"cents": 999_900, "shards": 1}
    assert kept(state)[CALENDAR] == {"days": 7}


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::"])
def taken_port(request: pytest.FixtureRequest) -> Iterator[int]:
    family = socket.AF_INET6 if request.param == "::" else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, dualstack_ipv6=request.param == "::") as taken:
        yield taken.getsockname()[1]


def test_a_server_whose_port_is_taken_changes_nothing(state: Path, taken_port: int) -> None:
    before = kept(state)
    said = only_line(run(RETENTION_STATE=str(state), RETENTION_PORT=str(taken_port), **OTHER_SETTINGS))
    assert said == f"port {taken_port} is in use. Choose another: RETENTION_PORT=8081 make up"
    assert kept(state) == before


def no_artifacts(path: Path) -> dict[str, str]:
    return {"RETENTION_ARTIFACTS": str(path / "nowhere")}


def artifacts_are_a_file(path: Path) -> dict[str, str]:
    (path / "file").write_text("x")
    return {"RETENTION_ARTIFACTS": str(path / "file")}


def damaged_manifest(path: Path) -> dict[str, str]:
    shutil.copytree(ARTIFACTS, path / "artifacts")
    (path / "artifacts" / "messenger" / "manifest.json").write_text('{"version": 3}')
    return {"RETENTION_ARTIFACTS": str(path / "artifacts")}


def another_hash_key(path: Path) -> dict[str, str]:
    return {"RETENTION_HASH_KEY": "another key than the first"}


def zones_without_a_common_hour(path: Path) -> dict[str, str]:
    return {"RETENTION_TIME_ZONES": "UTC,Asia/Tokyo,America/Los_Angeles"}


@pytest.mark.parametrize(
    ("make", "words", "command"),
    [
        (no_artifacts, "RETENTION_ARTIFACTS", ()),
        (no_artifacts, "RETENTION_ARTIFACTS", ("services", "dead-letters", "replay")),
        (artifacts_are_a_file, "RETENTION_ARTIFACTS", ()),
        (damaged_manifest, "manifest.json", ()),
        (another_hash_key, "RETENTION_HASH_KEY", ()),
        (zones_without_a_common_hour, "RETENTION_TIME_ZONES", ()),
    ],
)
def test_a_start_that_fails_says_why_in_one_line_and_leaves_the_budget(
    state: Path, tmp_path: Path, make: Callable[[Path], dict[str, str]], words: str, command: tuple[str, ...]
) -> None:
    before = kept(state)
    settings = {"RETENTION_STATE": str(state), **OTHER_SETTINGS, **make(tmp_path)}
    assert words in only_line(run(*command, **settings))
    assert kept(state) == before


def test_a_budget_below_what_is_promised_is_refused_in_one_line(state: Path) -> None:
    store, shard = SQLiteStore(state), (SHARDS, "0")
    promised = Shard(allotment=500_000).reserve(12_345).to_document()
    asyncio.run(store.update([shard], lambda _: ({shard: promised}, None)))
    store.close()
    said = only_line(run(RETENTION_STATE=str(state), RETENTION_BUDGET="100"))
    assert said.startswith("RETENTION_BUDGET: the budget cannot be 100.00, because 123.45 is reserved or spent")
    assert kept(state)[TOTAL] == {"cents": 500_000, "shards": 1}


@pytest.mark.parametrize("command", [(), ("services", "dead-letters", "list"), ("services", "erase", "c")])
def test_a_state_that_is_none_is_named_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Retention\n" * 99)
    said = only_line(run(*command, RETENTION_STATE=str(readme)))
    assert said.startswith(f"RETENTION_STATE: {readme} is not a state file of this system")
    assert readme.read_text() == "# Retention\n" * 99
    assert list(tmp_path.iterdir()) == [readme]


@pytest.mark.parametrize("service", ["scorer", "policy", "messenger"])
def test_a_container_without_its_artifact_says_so_without_a_traceback(tmp_path: Path, service: str) -> None:
    settings = {
        "RETENTION_ARTIFACTS": str(tmp_path),
        "PUBSUB_EMULATOR_HOST": "localhost:9",
        "FIRESTORE_EMULATOR_HOST": "localhost:9",
    }
    done = run("uvicorn", "--factory", f"services.{service}.app:create", "--port", "0", **settings)
    assert done.returncode != 0
    assert f"{tmp_path / service}: no readable manifest.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("dead-letters", "list"), {"PUBSUB_EMULATOR_HOST": "localhost:9"}, "Is the emulator running at localhost:9"),
        (("dead-letters", "replay"), {"PUBSUB_EMULATOR_HOST": "localhost:9"}, "Pub/Sub is unavailable"),
        (("dead-letters", "--cloud", "list"), {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, "Google's credentials"),
        (("erase", "--cloud", "c"), {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, "Google's credentials"),
    ],
)
def test_a_command_that_reaches_no_google_says_so_in_one_line(
    arguments: tuple[str, ...], settings: dict[str, str], words: str
) -> None:
    assert words in only_line(run("services", *arguments, **settings))
