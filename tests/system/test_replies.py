"""Unclear replies are listed, shown and settled from the command line."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services import local
from services.__main__ import main
from services.policy.replies.reader import ReplyReader
from shared.bus import Envelope, LocalBus
from shared.settings import Settings
from shared.store import REPLIES, SQLiteStore
from tests.policy.builders import KeywordReader
from tests.support.customers import SAM

Command = Callable[..., str]
UNCLEAR = {"customer_id": SAM["customer_id"], "outcome": "replied", "text": "HM \x1b[2J"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("RETENTION_WRITER", "template")
    monkeypatch.setattr(ReplyReader, "read", lambda self, text: KeywordReader().read(text))
    return tmp_path / "state.sqlite"


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["services", "replies", *arguments])
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    return run


def run_process(state: Path, *messages: tuple[str, dict[str, object]]) -> None:
    """Run a process to its end in which these messages are published, each by its topic, one after the other."""

    async def publish() -> None:
        bus, store = LocalBus(), SQLiteStore(state)
        await local.pipeline(Settings(), bus, store)
        for topic, message in messages:
            await bus.publish([Envelope(topic, json.dumps(message).encode())])
            await bus.drain()
        store.close()

    asyncio.run(publish())


def documents(state: Path, collection: str) -> list[dict[str, object]]:
    store = SQLiteStore(state)
    stored = list(store.all(collection).values())
    store.close()
    return stored


def gate(state: Path, event_id: str) -> list[str]:
    """What the gate said at an event."""
    [plan] = [
        json.loads(str(plan["message"])) for plan in documents(state, "plans") if event_id in str(plan["message"])
    ]
    return list(plan["metadata"]["gate"])


def test_nothing_waits_at_first(state: Path, replies: Command) -> None:
    run_process(state)
    assert replies("list") == "no replies wait\n"


def test_a_reply_is_listed_without_its_text_and_shown_without_control_characters(state: Path, replies: Command) -> None:
    run_process(state, ("outcomes", UNCLEAR))
    name, received, customer, left = replies("list").strip().split("  ")
    assert customer == "'C12345'"
    assert left == "30 days left"
    shown = replies("show", name)
    assert "\x1b" not in shown
    assert json.loads(shown)["text"] == UNCLEAR["text"]
    assert json.loads(shown)["received_at"] == received


@pytest.mark.parametrize(
    ("action", "printed", "reasons"),
    [
        ("stop", "The customer has opted out.", ["opted-out", "cooldown"]),
        ("resume", "The customer may be contacted again", ["cooldown"]),
        ("other", "something else", ["cooldown"]),
        ("keep", "of the budget is spent.", ["cooldown", "offer-holds"]),
    ],
)
def test_a_reply_is_settled(state: Path, replies: Command, action: str, printed: str, reasons: list[str]) -> None:
    run_process(state, ("customer-events", {**SAM, "event_id": "a"}), ("outcomes", UNCLEAR))
    budget = documents(state, "budget")
    name = replies("list").split()[0]
    assert printed in replies(action, name)
    assert documents(state, REPLIES) == []
    assert documents(state, "budget") == budget
    run_process(state, ("customer-events", {**SAM, "event_id": "the next"}))
    assert gate(state, "the next") == reasons
    [shard] = documents(state, "budget-shards")
    assert bool(shard["committed"]) == (action == "keep")


def test_the_command_does_not_change_the_budget_whatever_it_is_set_to(
    state: Path, replies: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_process(state, ("outcomes", UNCLEAR))
    before = documents(state, "budget"), documents(state, "budget-shards")
    monkeypatch.setenv("RETENTION_BUDGET", "1")
    replies("show", name := replies("list").split()[0])
    replies("resume", name)
    assert (documents(state, "budget"), documents(state, "budget-shards")) == before


def test_a_keep_without_an_offer_accepts_nothing(state: Path, replies: Command) -> None:
    run_process(state, ("outcomes", UNCLEAR))
    assert "none is accepted" in replies("keep", replies("list").split()[0])
    assert replies("list") == "no replies wait\n"


@pytest.mark.parametrize("action", ["show", "stop", "resume", "keep", "other"])
def test_an_unknown_reply_is_named(
    state: Path, replies: Command, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    run_process(state)
    with pytest.raises(SystemExit, match="2"):
        replies(action, "m9")
    assert "no reply m9 waits" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["list"], ["show", "m9"], ["stop", "m9"]])
def test_the_command_creates_no_state_where_nothing_has_run(
    state: Path, replies: Command, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        replies(*arguments)
    assert f"there is no state at {state}" in capsys.readouterr().err
    assert not state.exists()


def test_another_hash_key_is_refused(
    state: Path, replies: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_process(state, ("outcomes", UNCLEAR))
    name = replies("list").split()[0]
    monkeypatch.setenv("RETENTION_HASH_KEY", "another key, long enough")
    with pytest.raises(SystemExit, match="2"):
        replies("stop", name)
    assert "RETENTION_HASH_KEY" in capsys.readouterr().err
    assert len(documents(state, REPLIES)) == 1


def test_a_reader_of_the_list_who_leaves_early_sees_no_error(state: Path) -> None:
    run_process(state)
    command = [sys.executable, "-m", "services", "replies", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
