"""A short `make chaos`, and tests that it would notice a broken promise."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from shared.messages import Decision
from shared.service import utc_now
from tests.load.chaos import contact_violations, run
from tests.load.chaos_faults import FATIGUE_CAP, Scenario
from tests.support.emulators import Hosts
from tests.wire.test_wire import GOLDEN

NOW = utc_now()


def contact(customer: str, seconds: float) -> Decision:
    golden = Decision.model_validate_json((GOLDEN / "decisions.json").read_text())
    times = {"decided_at": NOW + timedelta(seconds=seconds)}
    decision = golden.decision.model_copy(update={"contact": True})
    return golden.model_copy(update={"customer_id": customer, "decision": decision, "times": times})


def test_contacts_within_the_cooldown_or_above_the_cap_are_counted() -> None:
    spaced = [contact("a", 10 * n) for n in range(FATIGUE_CAP)]

    assert contact_violations(spaced, cooldown=10) == 0
    assert contact_violations([*spaced, contact("b", 5)], cooldown=10) == 0
    assert contact_violations([*spaced, contact("a", 5)], cooldown=10) == 3, (
        "two gaps are too short, and it is one too many"
    )
    assert contact_violations([*spaced, contact("a", 10 * FATIGUE_CAP)], cooldown=10) == 1


def test_the_scenario_follows_from_the_seed() -> None:
    assert Scenario.draw(Random(1), events=150, kills=5) == Scenario.draw(Random(1), events=150, kills=5)
    assert Scenario.draw(Random(1), events=150, kills=5) != Scenario.draw(Random(2), events=150, kills=5)


@pytest.mark.emulator
@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_every_promise_holds_under_all_faults_at_once(emulators: Hosts, tmp_path: Path) -> None:
    report, promises = run(seed=1, events=150, kills=5, seconds=600, folder=tmp_path)
    assert all(promises.values()), promises
    assert report.kills == 5
    assert report.repeats > 30
    assert report.refused_writes > 5
