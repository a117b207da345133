"""The promises while everything goes wrong: a short `make chaos`, and that its account would notice."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from shared.messages import Decision
from shared.service import utc_now
from tests.load.chaos import CAP, Plan, run, violations
from tests.support.emulators import Hosts
from tests.wire.test_wire import GOLDEN

NOW = utc_now()


def contact(customer: str, seconds: float) -> Decision:
    golden = Decision.model_validate_json((GOLDEN / "decisions.json").read_text())
    times = {"decided_at": NOW + timedelta(seconds=seconds)}
    decision = golden.decision.model_copy(update={"contact": True})
    return golden.model_copy(update={"customer_id": customer, "decision": decision, "times": times})


def test_contacts_that_come_too_soon_or_too_often_are_noticed() -> None:
    spaced = [contact("a", 10 * n) for n in range(CAP)]

    assert violations(spaced, cooldown=10) == 0
    assert violations([*spaced, contact("b", 5)], cooldown=10) == 0
    assert violations([*spaced, contact("a", 5)], cooldown=10) == 3, "two gaps are too short, and it is one too many"
    assert violations([*spaced, contact("a", 10 * CAP)], cooldown=10) == 1


def test_all_that_is_to_happen_follows_from_the_seed() -> None:
    assert Plan.drawn(Random(1), events=150, kills=5) == Plan.drawn(Random(1), events=150, kills=5)
    assert Plan.drawn(Random(1), events=150, kills=5) != Plan.drawn(Random(2), events=150, kills=5)


@pytest.mark.emulator
@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_every_promise_holds_while_everything_goes_wrong(emulators: Hosts, tmp_path: Path) -> None:
    account, promises = run(seed=1, events=150, kills=5, seconds=600, folder=tmp_path)
    assert all(promises.values()), promises
    assert account.kills == 5
    assert account.repeats > 30
    assert account.refused_writes > 5
