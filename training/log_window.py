"""The time that a log of decisions and outcomes covers. What is dated outside of it is left out and counted.

The services date decisions by their own clocks; events and outcomes are dated by whoever publishes them, and a few of
them may be of 1970, or of a century to come. They decide where the log ends only if others agree.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from shared.messages import Decision, Outcome
from training.history import TimeOf

TOLERANCE = timedelta(days=1)
"""How far clocks may differ."""
MAX_SILENCE = timedelta(days=3 * 365)
"""Longest time without a row; what lies beyond it is of a wrong clock."""
YEARS = range(2000, 2200)
"""Years in which a decision may have been made."""
MIN_ROWS = 20
"""Rows with a time from which on the last few are doubted; of fewer none can be told from the others."""
DOUBTED_SHARE = 0.01
"""Share of the dated rows, those of one customer at least, that do not move the end of the log by themselves: not over
a silence longer than `TOLERANCE` and than three times the longest between the rows before, or than `LONG_SILENCE`."""
LONG_SILENCE = timedelta(days=30)
GAPS = 20
"""Number of these rows before."""


def within_log(
    decisions: Sequence[Decision], outcomes: Sequence[Outcome], time_of: TimeOf, skipped: Counter[str]
) -> tuple[list[Decision], list[Outcome]]:
    """The decisions and outcomes whose times can be, in the order given; the others are counted in `skipped`.

    An outcome without a time is kept. A time can be from the first decision to the end of the log, and for an outcome
    from its own decision on: a churn from the customer's first decision on, as it may be reported of any event.
    """
    possible = sorted(at for decision in decisions if (at := time_of(decision)).year in YEARS)
    if not possible:
        _count([time_of(decision) for decision in decisions], "decisions dated {}", skipped)
        return [], []
    middle = len(possible) // 2
    start, last = _reach(possible[middle::-1]), _reach(possible[middle:])
    end = _end(decisions, outcomes, time_of, start, last)
    kept = [decision for decision in decisions if start <= (at := time_of(decision)) <= last and at - end <= TOLERANCE]
    wrong = {id(decision) for decision in decisions} - {id(decision) for decision in kept}
    log = f"the log, {start.date()} to {end.date()}"
    _count(
        [time_of(decision) for decision in decisions if id(decision) in wrong],
        f"decisions dated outside of {log}: {{}}",
        skipped,
    )
    decided, first = dict[str, datetime](), dict[str, datetime]()
    for decision in kept:
        at = time_of(decision)
        decided[decision.event_id] = min(at, decided.get(decision.event_id, at))
        first[decision.customer_id] = min(at, first.get(decision.customer_id, at))
    plausible = list[Outcome]()
    outside, early_churns, early = list[datetime](), list[datetime](), list[datetime]()
    for outcome in outcomes:
        at = outcome.occurred_at or end
        if start - at > TOLERANCE or at - end > TOLERANCE:
            outside.append(at)
        elif outcome.outcome == "churned" and at < first.get(outcome.customer_id, at):
            early_churns.append(at)
        elif outcome.outcome != "churned" and decided.get(outcome.event_id, at) - at > TOLERANCE:
            early.append(at)
        else:
            plausible.append(outcome)
    _count(outside, f"outcomes dated outside of {log}: {{}}", skipped)
    _count(early_churns, "churns dated before the customer's first decision: {}", skipped)
    _count(early, "outcomes dated before their decision: {}", skipped)
    return kept, plausible


def _end(
    decisions: Sequence[Decision], outcomes: Sequence[Outcome], time_of: TimeOf, start: datetime, last: datetime
) -> datetime:
    """Where the log ends: the latest decision of the services' own clocks, or later times on which others agree."""
    published = {(outcome.occurred_at, outcome.customer_id) for outcome in outcomes if outcome.occurred_at}
    certain = start
    for decision in decisions:
        if (at := time_of(decision)) == decision.times.get("occurred_at"):
            published.add((at, decision.customer_id))
        elif at <= last:
            certain = max(certain, at)
    rows = sorted(row for row in published if row[0] >= start)
    reach = _reach([certain, *(at for at, _ in rows if at > certain)])
    rows = [row for row in rows if row[0] <= reach]
    doubted = max(1, int(len(rows) * DOUBTED_SHARE)) if len(decisions) + len(rows) >= MIN_ROWS else 0
    agreed, customers = len(rows), set[str]()
    while agreed and len(customers := customers | {rows[agreed - 1][1]}) <= doubted:
        agreed -= 1
    before = [at for at, _ in rows[max(agreed - GAPS, 0) : agreed]]
    usual = max((following - at for at, following in pairwise(before)), default=timedelta())
    silence = min(max(TOLERANCE, 3 * usual), LONG_SILENCE)
    end = max([certain, *before])
    for at, _ in rows[agreed:]:
        if at - end > silence:
            break
        end = max(end, at)
    return end


def _reach(times: Sequence[datetime]) -> datetime:
    """The last of the times, which are in order or in reverse, before a silence that is too long."""
    return next((at for at, following in pairwise(times) if abs(following - at) > MAX_SILENCE), times[-1])


def _count(times: Iterable[datetime], reason: str, skipped: Counter[str]) -> None:
    """Count the times by a reason that says the first and the last of them."""
    if ordered := sorted(times):
        earliest, latest = (at.date().isoformat() for at in (ordered[0], ordered[-1]))
        skipped[reason.format(earliest if earliest == latest else f"{earliest} to {latest}")] += len(ordered)
