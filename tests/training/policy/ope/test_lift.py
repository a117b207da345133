"""The lift of contact over the holdout, where its true size is known."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid5

import numpy as np
import pytest

from services.policy.customer.billing import TYPICAL_CHARGES
from services.policy.customer.gate import is_held_out
from services.policy.response.model import MONTH, RESPONSE_MODEL
from shared.messages import ID_NAMESPACE, OFFERS, Action, CustomerEvent, Decision, Message, Metadata, Outcome
from tests.policy.builders import LIMITS, outcome, scored
from tests.support.clock import NOON
from training.history import History, HistoryError
from training.policy.ope import lift
from training.policy.ope.lift import MIN_GROUP_SIZE, CustomerResult, customer_results, lifts
from training.statistics import Estimate

DAY = timedelta(days=1)
DURATION = 90 * DAY


def decided(customer: str, event: str = "", day: float = 0, level: int | None = None, held: bool = False) -> Decision:
    """A decision without contact, unless at a level."""
    event_id = event or f"event of {customer}"
    offer: dict[str, Any] = {} if level is None else {"offer_level": level, "offer_percentage": OFFERS[level]}
    return Decision(
        id=uuid5(ID_NAMESPACE, event_id),
        event_id=event_id,
        customer_id=customer,
        decision=Action(contact=level is not None, **offer, estimated_retention_prob=0.5),
        metadata=Metadata(
            churn_risk=0.5, accept_prob=0.5, expected_value=0, propensity=1, policy="baseline", holdout=held
        ),
        times={"decided_at": NOON + day * DAY},
    )


def reported(customer: str, kind: str, event: str = "", day: float | None = None) -> Outcome:
    report = outcome(scored(customer, event or None), kind)
    return report if day is None else report.model_copy(update={"occurred_at": NOON + day * DAY})


LAST_DECISION, LAST_OUTCOME = decided("last", day=1_000), reported("last", "churned")
"""With which the log goes on for long enough."""


def results_of(
    *messages: Decision | Outcome, skipped: Counter[str] | None = None, **bills: float
) -> list[CustomerResult]:
    decisions = [message for message in messages if isinstance(message, Decision)]
    outcomes = [message for message in messages if isinstance(message, Outcome)]
    history = History([*decisions, LAST_DECISION], [*outcomes, LAST_OUTCOME])
    return customer_results(history, bills, DURATION, Counter() if skipped is None else skipped)


def test_a_customer_counts_once_however_many_decisions_there_were() -> None:
    skipped = Counter[str]()
    first, second = results_of(
        decided("a", "one", level=2),
        decided("a", "two", day=20),
        decided("a", "three", day=40, level=3),
        decided("a", "later", day=95, level=3),
        reported("a", "accepted", "one"),
        reported("a", "accepted", "later"),
        decided("b", held=True),
        reported("b", "churned", day=30),
        skipped=skipped,
        a=100.0,
    )

    assert (first.held_out, first.retained, first.revenue) == (False, True, 300.0)
    assert first.cost == pytest.approx(10 + 2 * RESPONSE_MODEL.contact_cost)
    assert (second.held_out, second.retained, second.cost) == (True, False, 0.0)
    assert second.revenue == pytest.approx(TYPICAL_CHARGES * 30 / MONTH)
    assert skipped == {"their days are not over": 1}


def test_a_churn_after_the_days_that_count_or_before_them_is_none() -> None:
    late, early = results_of(
        decided("late"),
        reported("late", "churned", day=91),
        decided("early", day=5),
        reported("early", "churned", day=3),
    )

    assert late.retained
    assert early.retained


def test_a_repeat_of_a_decision_changes_nothing() -> None:
    messages = decided("a", level=1), reported("a", "accepted")

    assert results_of(*messages) == results_of(*messages, *messages)


def test_a_customer_who_changed_groups_counts_in_neither() -> None:
    skipped = Counter[str]()

    assert results_of(decided("a", "one"), decided("a", "two", day=1, held=True), skipped=skipped) == []
    assert skipped["changed their group"] == 1


@pytest.mark.parametrize(("held", "others", "name"), [(29, 99, "the holdout"), (99, 29, "the group that")])
def test_a_group_that_is_too_small_is_refused(held: int, others: int, name: str) -> None:
    assert MIN_GROUP_SIZE == 30
    group = [CustomerResult(n < held, n % 2 == 0, float(n), 0.0) for n in range(held + others)]

    with pytest.raises(HistoryError, match=f"{name}.* has 29 customers who count, and at least 30 are needed"):
        lifts(group)


def covers(interval: Estimate, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_intervals_from_decisions_and_outcomes_cover_the_true_lift() -> None:
    """Half of those who may be contacted are, which retains 3 of 4 who would leave, at 15 % of a bill of 100."""
    rng, runs, names = np.random.default_rng(1), 150, [str(n) for n in range(300)]
    holdout = {name for name in names if is_held_out(name, LIMITS._replace(holdout_share=0.3))}
    bills = dict.fromkeys(names, 100.0)
    decisions = {
        (name, level): decided(name, level=level, held=name in holdout) for name in names for level in (None, 3)
    }
    reports = {(name, kind): reported(name, kind, day=45) for name in names for kind in ("churned", "accepted")}
    truth = {
        "retention": 0.5 * 0.4 * 0.75,
        "revenue": 0.5 * 0.4 * 0.75 * 150,
        "cost of contact": 0.5 * (15 + RESPONSE_MODEL.contact_cost),
        "revenue less cost": 0.5 * 0.4 * 0.75 * 150 - 0.5 * (15 + RESPONSE_MODEL.contact_cost),
    }
    covered = Counter[str]()
    for _ in range(runs):
        made, outcomes = list[Decision](), list[Outcome]()
        for name in names:
            contact = name not in holdout and rng.random() < 0.5
            made.append(decisions[name, 3 if contact else None])
            outcomes += [reports[name, "accepted"]] if contact else []
            outcomes += [reports[name, "churned"]] if rng.random() < 0.4 * (0.25 if contact else 1) else []
        history = History([*made, LAST_DECISION], [*outcomes, LAST_OUTCOME])
        result = lifts(customer_results(history, bills, DURATION, Counter()))
        covered.update(name for name, interval in result.items() if covers(interval, truth[name]))

    assert covered.keys() == truth.keys()
    assert min(covered.values()) >= 0.9 * runs


def test_the_command_prints_each_lift_and_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = {f"held {n}": True for n in range(40)} | {f"open {n}": False for n in range(60)}
    made = [decided(name, level=None if held else 2, held=held) for name, held in groups.items()]
    outcomes = [reported(name, "churned", day=30) for name in groups if name.endswith(("1", "2")) or name == "held 5"]
    bills = [CustomerEvent.parse(f'{{"customer_id": "{name}", "monthly_charges": 90}}'.encode(), "") for name in groups]
    files: dict[str, Sequence[Message]] = {"d": [*made, LAST_DECISION], "o": [*outcomes, LAST_OUTCOME], "b": bills}
    for file, messages in files.items():
        (tmp_path / file).write_bytes(b"\nnot JSON\n" + b"".join(message.data + b"\n" for message in messages))
    command = ["lift", str(tmp_path / "d"), str(tmp_path / "o"), "--bills", str(tmp_path / "b")]
    monkeypatch.setattr(sys, "argv", command)
    lift.main()

    output = capsys.readouterr().out
    assert "60 customers who may be contacted, against 40 held out, over 90 days" in output
    assert "retention  +2.50 points, 95 % from -13.07 to +19.58" in output
    assert "revenue  +4.50 a customer" in output
    assert "cost of contact  +0.05 a customer, 95 % from +0.05 to +0.05" in output
    assert "left out: 1, their days are not over" in output
    assert "left out: 1, o: not readable, first in line 2" in output

    for days in ("0", "-90", "99999999999", "x"):
        monkeypatch.setattr(sys, "argv", [*command, "--days", days])
        with pytest.raises(SystemExit, match="2"):
            lift.main()
        assert f"invalid days value: '{days}'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", command)

    (tmp_path / "d").write_bytes(b"".join(message.data + b"\n" for message in [*made[:10], LAST_DECISION]))
    with pytest.raises(SystemExit, match="the holdout has 10 customers who count"):
        lift.main()
