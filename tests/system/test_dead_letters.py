"""Dead letters are listed, shown and replayed: in one process, and on the Pub/Sub emulator."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import topology
from services import local
from services.__main__ import main
from shared.bus import Envelope, LocalBus, dead_letter
from shared.messages import Decision
from shared.settings import Settings
from shared.store import SQLiteStore
from tests.support.emulators import Hosts

SCORER = "customer-events.scorer"
POISON = Envelope("customer-events", b'{"customer_id": "c", "tenure": "\x1b[2J"}', {"source": "crm"}, "m1")
UNLUCKY = dead_letter(Envelope("customer-events", b'{"customer_id": "unlucky"}', {}, "m2"), SCORER, "no disk")
"""A valid message that failed."""

Command = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    return tmp_path / "state.sqlite"


@pytest.fixture
def dead_letters(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["services", "dead-letters", *arguments])
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    return run


def run_process(state: Path, *envelopes: Envelope) -> None:
    """Run a process to its end in which these envelopes are published."""

    async def publish() -> None:
        bus, store = LocalBus(), SQLiteStore(state)
        await local.pipeline(Settings(), bus, store)
        await bus.publish(envelopes)
        await bus.drain()
        store.close()

    asyncio.run(publish())


def decisions_of(state: Path) -> list[Decision]:
    store = SQLiteStore(state)
    documents = store.all("decisions").values()
    decisions = [Decision.model_validate_json(document["decision"]) for document in documents]
    store.close()
    return decisions


def test_dead_letters_are_listed_and_shown_after_the_process_has_ended(state: Path, dead_letters: Command) -> None:
    run_process(state, POISON)
    name, subscription, reason = dead_letters("list").strip().split("  ")
    assert subscription == SCORER
    assert "control character" in reason
    shown = json.loads(dead_letters("show", name))
    assert shown["topic"] == "customer-events"
    assert shown["message_id"] == "m1"
    assert shown["source"] == "crm"
    assert shown["data"] == POISON.data.decode()


def test_control_characters_of_a_dead_letter_do_not_reach_the_terminal(state: Path, dead_letters: Command) -> None:
    run_process(state, POISON)
    assert "\x1b" not in dead_letters("list") + dead_letters("show", dead_letters("list").split()[0])


def test_a_replayed_event_gets_its_decision_and_is_no_longer_a_dead_letter(state: Path, dead_letters: Command) -> None:
    run_process(state, UNLUCKY)
    assert dead_letters("replay").startswith("1 replayed")
    assert "no dead letters" in dead_letters("list")
    [decision] = decisions_of(state)
    assert decision.customer_id == "unlucky"


def test_an_event_replayed_twice_is_decided_once(state: Path, dead_letters: Command) -> None:
    """As after a crash between publishing it and forgetting the letter; the event had no id of its own."""
    for _ in range(2):
        run_process(state, UNLUCKY)
        dead_letters("replay")
    assert len(decisions_of(state)) == 1


def test_a_replayed_event_that_fails_again_names_its_first_id(state: Path, dead_letters: Command) -> None:
    run_process(state, POISON, UNLUCKY)
    poison = next(line.split()[0] for line in dead_letters("list").splitlines() if "no disk" not in line)
    dead_letters("replay", poison)
    again = dict(line.split("  ")[::2] for line in dead_letters("list").splitlines())
    assert poison not in again
    assert len(again) == 2, "the other letter was not asked for"
    back = next(name for name, reason in again.items() if "no disk" not in reason)
    assert json.loads(dead_letters("show", back))["replay_of"] == "m1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["show", "m9"], "no dead letter m9"), (["replay", "m8", "m9"], "no dead letter m8, m9")],
)
def test_an_unknown_dead_letter_is_named(
    state: Path, dead_letters: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    run_process(state)
    with pytest.raises(SystemExit, match="2"):
        dead_letters(*arguments)
    assert words in capsys.readouterr().err


def test_listing_creates_no_state_where_nothing_has_run(
    state: Path, dead_letters: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        dead_letters("list")
    assert f"there is no state at {state}" in capsys.readouterr().err
    assert not state.exists()


@pytest.mark.emulator
def test_dead_letters_on_pubsub_are_listed_without_being_removed_and_replayed(
    emulators: Hosts, project: str, dead_letters: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud import pubsub_v1

    monkeypatch.setenv("RETENTION_PROJECT", project)
    with pytest.raises(SystemExit, match="2"):
        dead_letters("list")  # there is no topology yet
    topology.apply(project, lambda service: "http://127.0.0.1:9/")
    large = Envelope("customer-events", b"x" * 2_000_000, {"source": "crm"}, "m3")
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        subscription = f"projects/{project}/subscriptions/user"
        subscriber.create_subscription(name=subscription, topic=f"projects/{project}/topics/customer-events")
        for letter in (UNLUCKY, dead_letter(large, SCORER, "2,000,000 bytes")):
            publisher.publish(f"projects/{project}/topics/{letter.topic}", letter.data, **letter.attributes).result()
        lines = dead_letters("list").splitlines()
        assert sorted(line.split("  ")[2] for line in lines) == ["'2,000,000 bytes'", "'no disk'"]
        assert sorted(dead_letters("list").splitlines()) == sorted(lines), "listing removes nothing"
        name = next(line.split()[0] for line in lines if "bytes" in line)
        assert dead_letters("replay", name).startswith("1 replayed")
        [left] = dead_letters("list").splitlines()
        assert "no disk" in left
        pulled = subscriber.pull(subscription=subscription, max_messages=10, timeout=10).received_messages
        [message] = [p.message for p in pulled]
        assert message.data == large.data
        assert dict(message.attributes) == {"source": "crm", "replay_of": "m3"}
