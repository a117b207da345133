"""Times that cannot be are left out and counted, and no row by itself moves the time that a log covers."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid5

import pytest

from shared.messages import ID_NAMESPACE, Action, Decision, Metadata, Outcome
from training.history import decided_at, scored_at
from training.log_window import within_log
from training.policy.ope import lift

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WRONG = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 1970, 1999, 2025, 2027, 2062, 9999)]


def decided(customer: str, day: float, event: str = "", published: bool = False) -> Decision:
    event_id = event or f"event of {customer}"
    return Decision(
        id=uuid5(ID_NAMESPACE, event_id),
        event_id=event_id,
        customer_id=customer,
        decision=Action(contact=False, estimated_retention_prob=0.5),
        metadata=Metadata(
            churn_risk=0.5,
            accept_prob=0.5,
            expected_value=0,
            propensity=1,
            policy="baseline",
            holdout=customer.endswith(("0", "1", "2", "3")),
        ),
        times={"occurred_at" if published else "decided_at": START + day * DAY},
    )


def reported(customer: str, kind: str, at: float | datetime | None, event: str = "") -> Outcome:
    event_id = event or f"event of {customer}"
    return Outcome(
        id=uuid5(ID_NAMESPACE, event_id + kind),
        event_id=event_id,
        customer_id=customer,
        outcome=kind,
        occurred_at=START + at * DAY if isinstance(at, int | float) else at,
    )


DECISIONS = [decided(f"c{n}", n / 2) for n in range(200)]
OUTCOMES = [reported(f"c{n}", "churned", n / 2 + 5) for n in range(0, 200, 3)]
"""Until day 104; the last decision is of day 99.5."""


@pytest.mark.parametrize("at", WRONG, ids=str)
@pytest.mark.parametrize("kind", ["churned", "accepted", "delivered"])
def test_an_outcome_dated_outside_of_the_log_is_left_out_and_named(at: datetime, kind: str) -> None:
    skipped = Counter[str]()
    outcomes = [*OUTCOMES, reported("c7", kind, at)]
    assert within_log(DECISIONS, outcomes, decided_at, skipped) == (DECISIONS, OUTCOMES)
    assert skipped == {f"outcomes dated outside of the log, 2026-01-01 to 2026-04-15: {at.date().isoformat()}": 1}


def test_several_are_counted_with_the_first_and_the_last() -> None:
    skipped = Counter[str]()
    wrong = [reported(f"c{n}", "churned", at) for n, at in enumerate(WRONG[1:3])]
    assert within_log(DECISIONS, [*wrong, *OUTCOMES], decided_at, skipped)[1] == OUTCOMES
    [(reason, count)] = skipped.items()
    assert (reason.rpartition(": ")[2], count) == ("1970-01-01 to 1999-01-01", 2)


def test_as_often_as_a_wrong_outcome_is_repeated_it_is_of_one_customer() -> None:
    wrong = [reported("c1", "churned", 300 + 2 * n) for n in range(9)]
    assert within_log(DECISIONS, [*OUTCOMES, *wrong], decided_at, Counter())[1] == OUTCOMES


@pytest.mark.parametrize("at", WRONG[:3] + WRONG[5:], ids=str)
def test_a_decision_of_a_wrong_clock_is_left_out_and_named(at: datetime) -> None:
    skipped = Counter[str]()
    wrong = decided("c1", 0, "wrong").model_copy(update={"times": {"decided_at": at}})
    assert within_log([wrong, *DECISIONS], OUTCOMES, decided_at, skipped) == (DECISIONS, OUTCOMES)
    assert skipped == {f"decisions dated outside of the log, 2026-01-01 to 2026-04-15: {at.date().isoformat()}": 1}


def test_the_services_own_clock_extends_the_log_and_a_publishers_does_not() -> None:
    late = reported("c1", "delivered", 150)
    for published in (False, True):
        last, skipped = decided("last", 150, published=published), Counter[str]()
        decisions = [*(decided(f"c{n}", n / 2, published=published) for n in range(200)), last]
        kept, outcomes = within_log(decisions, [*OUTCOMES, late], scored_at if published else decided_at, skipped)
        assert (last in kept) == (late in outcomes) == (not published)
        assert skipped.total() == (2 if published else 0)


def test_outcomes_of_several_customers_extend_the_log() -> None:
    later = [reported(f"c{n}", "retained", 150 + n / 10) for n in range(20)]
    assert within_log(DECISIONS, [*OUTCOMES, *later], decided_at, Counter())[1] == [*OUTCOMES, *later]


def test_of_few_rows_none_is_doubted_but_those_of_another_age() -> None:
    decisions, outcomes = [decided("a", 0), decided("b", 10)], [reported("a", "churned", 60)]
    assert within_log(decisions, outcomes, decided_at, Counter()) == (decisions, outcomes)
    wrong = [reported("b", "churned", at) for at in (WRONG[1], WRONG[5])]
    assert within_log(decisions, [*outcomes, *wrong], decided_at, Counter())[1] == outcomes


def test_an_outcome_before_its_decision_is_left_out_and_one_of_a_slow_clock_is_not() -> None:
    skipped = Counter[str]()
    early = [reported("c100", "accepted", 40), reported("c100", "churned", 40)]
    slow = reported("c100", "declined", 49.5)
    assert within_log(DECISIONS, [*early, slow, *OUTCOMES], decided_at, skipped)[1] == [slow, *OUTCOMES]
    assert skipped == {
        "outcomes dated before their decision: 2026-02-10": 1,
        "churns dated before the customer's first decision: 2026-02-10": 1,
    }


def test_outcomes_without_a_time_are_kept_and_a_log_without_decisions_has_none() -> None:
    timeless = [reported("c1", "churned", None)]
    assert within_log(DECISIONS, timeless, decided_at, Counter())[1] == timeless
    assert within_log([], timeless, decided_at, Counter()) == ([], [])


def test_where_all_decisions_are_of_a_time_that_cannot_be_there_are_none() -> None:
    skipped, wrong = Counter[str](), []
    for number, at in enumerate([WRONG[0], WRONG[1], WRONG[6]]):
        wrong.append(decided(f"c{number}", 0).model_copy(update={"times": {"decided_at": at}}))
    assert within_log(wrong, OUTCOMES, decided_at, skipped) == ([], [])
    assert skipped == {"decisions dated 0001-01-01 to 9999-01-01": 3}


Lift = Callable[..., str]


@pytest.fixture
def run_lift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lift:
    def run(outcomes: Sequence[Outcome], decisions: Sequence[Decision] = DECISIONS) -> str:
        for name, messages in (("d.jsonl", decisions), ("o.jsonl", outcomes)):
            (tmp_path / name).write_text("".join(message.model_dump_json() + "\n" for message in messages))
        files = [str(tmp_path / name) for name in ("d.jsonl", "o.jsonl")]
        monkeypatch.setattr(sys, "argv", ["lift", *files, "--days", "30"])
        lift.main()
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("at", WRONG, ids=str)
def test_no_outcome_changes_the_lift_by_a_wrong_time(run_lift: Lift, at: datetime) -> None:
    right = run_lift(OUTCOMES).splitlines()
    for kind in ("churned", "accepted"):
        lines = run_lift([reported("c4", kind, at), *OUTCOMES]).splitlines()
        [added] = [line for line in lines if line not in right]
        assert [line for line in lines if line != added] == right
        assert added.startswith("left out: 1, outcomes dated outside of the log")


@pytest.mark.parametrize("at", [WRONG[1], WRONG[3], START - 40 * DAY, WRONG[5]], ids=str)
def test_where_all_churns_are_of_another_time_there_is_no_lift(run_lift: Lift, at: datetime) -> None:
    wrong = [outcome.model_copy(update={"occurred_at": at}) for outcome in OUTCOMES]
    with pytest.raises(SystemExit, match=f"no outcome says who churned.*left out: 67, .*{at.date().isoformat()}"):
        run_lift(wrong)
