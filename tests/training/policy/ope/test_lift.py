"""What contact brought, where it is known what it brings."""

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import uuid5

import numpy as np
import pytest

from services.policy.customer.gate import is_held_out
from services.policy.policies.one_step import TYPICAL_CHARGES
from services.policy.response.model import MONTH, RESPONSE_MODEL
from shared.messages import ID_NAMESPACE, OFFERS, Action, CustomerEvent, Decision, Metadata, Outcome
from tests.policy.builders import LIMITS, NOON, outcome, scored
from training.policy.ope import lift
from training.policy.ope.bandit_log import TableError
from training.policy.ope.lift import LEAST, Customer, customers, lifts
from training.statistics import Estimate

DAY = timedelta(days=1)
QUARTER = 90 * DAY


def decided(customer: str, event: str = "", day: float = 0, level: int | None = None, held: bool = False) -> Decision:
    """No contact, unless at a level."""
    event_id = event or f"event of {customer}"
    offer = {} if level is None else {"offer_level": level, "offer_percentage": OFFERS[level]}
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


def became(customer: str, word: str, event: str = "", day: float | None = None) -> Outcome:
    said = outcome(scored(customer, event or None), word)
    return said if day is None else said.model_copy(update={"occurred_at": NOON + day * DAY})


END = [decided("last", day=1_000), became("last", "churned")]
"""The log goes on for long enough."""


def counted(*messages: Decision | Outcome, skipped: Counter[str] | None = None, **bills: float) -> list[Customer]:
    decisions = [m for m in (*messages, *END) if isinstance(m, Decision)]
    outcomes = [m for m in (*messages, *END) if isinstance(m, Outcome)]
    return customers(decisions, outcomes, bills, QUARTER, Counter() if skipped is None else skipped)


def test_a_customer_counts_once_however_many_decisions_there_were() -> None:
    skipped = Counter[str]()
    found = counted(
        decided("a", "one", level=2),
        decided("a", "two", day=20),
        decided("a", "three", day=40, level=3),
        decided("a", "later", day=95, level=3),
        became("a", "accepted", "one"),
        became("a", "accepted", "later"),
        decided("b", held=True),
        became("b", "churned", day=30),
        skipped=skipped,
        a=100.0,
    )

    assert found == [
        Customer(False, True, 300.0, pytest.approx(10 + 2 * RESPONSE_MODEL.contact_cost)),
        Customer(True, False, pytest.approx(TYPICAL_CHARGES * 30 / MONTH), 0.0),
    ]
    assert skipped == {"their days are not over": 1}


def test_who_left_after_the_days_that_count_or_before_them_stayed() -> None:
    late, early = counted(
        decided("late"), became("late", "churned", day=91), decided("early", day=5), became("early", "churned", day=3)
    )

    assert late.retained
    assert early.retained


def test_a_repeat_of_a_decision_changes_nothing() -> None:
    once = [decided("a", level=1), became("a", "accepted")]

    assert counted(*once) == counted(*once, *once)


def test_who_changed_their_group_counts_in_none() -> None:
    skipped = Counter[str]()

    assert counted(decided("a", "one"), decided("a", "two", day=1, held=True), skipped=skipped) == []
    assert skipped["changed their group"] == 1


def test_without_a_word_of_who_left_nothing_is_known() -> None:
    with pytest.raises(TableError, match="no outcome says who churned"):
        customers([decided("a")], [became("a", "accepted")], {}, QUARTER, Counter())


@pytest.mark.parametrize(("held", "others", "who"), [(LEAST - 1, 99, "the holdout"), (99, LEAST - 1, "the group that")])
def test_a_group_too_small_says_nothing(held: int, others: int, who: str) -> None:
    group = [Customer(n < held, n % 2 == 0, float(n), 0.0) for n in range(held + others)]

    with pytest.raises(TableError, match=f"{who}.* has 29 customers who count, and says something from 30 on"):
        lifts(group)


def covered(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_from_decisions_and_outcomes_the_truth_is_covered() -> None:
    """Half of those who may be contacted are, which keeps 3 in 4 of those who would leave, at 15 % of a bill of 100."""
    rng, runs, names = np.random.default_rng(1), 150, [str(n) for n in range(300)]
    holdout = {name for name in names if is_held_out(name, LIMITS._replace(holdout_share=0.3))}
    bills = dict.fromkeys(names, 100.0)
    decisions = {
        (name, level): decided(name, level=level, held=name in holdout) for name in names for level in (None, 3)
    }
    words = {(name, word): became(name, word, day=45) for name in names for word in ("churned", "accepted")}
    truth = {
        "retention": 0.5 * 0.4 * 0.75,
        "revenue": 0.5 * 0.4 * 0.75 * 150,
        "cost of contact": 0.5 * (15 + RESPONSE_MODEL.contact_cost),
        "revenue less cost": 0.5 * 0.4 * 0.75 * 150 - 0.5 * (15 + RESPONSE_MODEL.contact_cost),
    }
    hits = Counter[str]()
    for _ in range(runs):
        made, said = list[Decision](), list[Outcome]()
        for name in names:
            contact = name not in holdout and rng.random() < 0.5
            made.append(decisions[name, 3 if contact else None])
            said += [words[name, "accepted"]] if contact else []
            said += [words[name, "churned"]] if rng.random() < 0.4 * (0.25 if contact else 1) else []
        found = lifts(customers([*made, END[0]], [*said, END[1]], bills, QUARTER, Counter()))
        hits.update(name for name, each in found.items() if covered(each, truth[name]))

    assert hits.keys() == truth.keys()
    assert min(hits.values()) >= 0.9 * runs


def test_the_command_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = {f"held {n}": True for n in range(40)} | {f"open {n}": False for n in range(60)}
    made = [decided(name, level=None if held else 2, held=held) for name, held in groups.items()]
    said = [became(name, "churned", day=30) for name in groups if name.endswith(("1", "2")) or name == "held 5"]
    bills = [CustomerEvent.parse(f'{{"customer_id": "{name}", "monthly_charges": 90}}'.encode(), "") for name in groups]
    for file, messages in (("d", [*made, END[0]]), ("o", [*said, END[1]]), ("b", bills)):
        (tmp_path / file).write_bytes(b"".join(message.data + b"\n" for message in messages) + b"not JSON\n")
    command = ["lift", str(tmp_path / "d"), str(tmp_path / "o"), "--bills", str(tmp_path / "b")]
    monkeypatch.setattr(sys, "argv", command)
    lift.main()

    told = capsys.readouterr().out
    assert "60 customers who may be contacted, against 40 held out, over 90 days" in told
    assert "retention  +2.50 points, 95 % from -13.07 to +19.58" in told
    assert "revenue  +4.50 a customer" in told
    assert "cost of contact  +0.05 a customer, 95 % from +0.05 to +0.05" in told
    assert "left out: 1, their days are not over" in told
    assert "left out: 1, not readable in o" in told

    (tmp_path / "d").write_bytes(b"".join(message.data + b"\n" for message in [*made[:10], END[0]]))
    with pytest.raises(SystemExit, match="the holdout has 10 customers who count"):
        lift.main()
