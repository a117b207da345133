"""Lift of contact over the holdout: python -m training.policy.ope.lift DECISIONS.jsonl OUTCOMES.jsonl

Every customer counts once, in the group that the hash of their id assigns them to, whether or not they were contacted
(intention to treat). Measured over `--days` from the first decision: whether the customer was retained (not reported as
churned), revenue by the day until churn, and the cost of contact: accepted discounts and messages.

Intervals are of 95 %: of shares by Newcombe's hybrid of Wilson scores (Statistics in
Medicine 17, 1998, method 10), of means by Welch's t. Each group needs at least 30 customers.

Bills are the `monthly_charges` of the customer events in `--bills`; a customer without one gets the typical bill.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from services.policy.customer.billing import TYPICAL_CHARGES
from services.policy.customer.state import DAY
from services.policy.response.model import MONTH, RESPONSE_MODEL
from training.command_line import days
from training.history import (
    History,
    HistoryError,
    decided_at,
    read_bills,
    read_decisions,
    read_outcomes,
    skipped_lines,
)
from training.log_window import within_log
from training.statistics import Estimate, newcombe_interval, welch_interval

Number = TypeVar("Number", bool, float)

MIN_GROUP_SIZE = 30
"""Smallest number of customers in a group."""


class CustomerResult(NamedTuple):
    """Results of a customer within the days that count; revenue and cost are money."""

    held_out: bool
    retained: bool
    revenue: float
    cost: float


def customer_results(
    history: History, bills: Mapping[str, float], duration: timedelta, skipped: Counter[str]
) -> list[CustomerResult]:
    """A result per customer, in order of their first decision."""
    results = []
    for customer_id, decisions in history.by_customer.items():
        if not history.is_over(decided_at(decisions[0]) + duration):
            skipped["their days are not over"] += 1
        elif len({decision.metadata.holdout for decision in decisions}) > 1:
            skipped["changed their group"] += 1
        else:
            bill, period = bills.get(customer_id, TYPICAL_CHARGES), history.period(decisions, duration)
            results.append(
                CustomerResult(
                    held_out=decisions[0].metadata.holdout,
                    retained=period.retained == duration,
                    revenue=bill * (period.retained / DAY) / MONTH,
                    cost=bill * period.discounts + RESPONSE_MODEL.contact_cost * period.contacts,
                )
            )
    return results


def lifts(results: Sequence[CustomerResult]) -> dict[str, Estimate]:
    """Contactable customers less those held out, by measure. Raises `HistoryError` if a group is too small."""
    held_out, contactable = (
        [result for result in results if result.held_out is in_holdout] for in_holdout in (True, False)
    )
    for name, group in (("the holdout", held_out), ("the group that may be contacted", contactable)):
        if len(group) < MIN_GROUP_SIZE:
            raise HistoryError(
                f"{name} has {len(group)} customers who count, and at least {MIN_GROUP_SIZE} are needed: log for"
                " longer, or lower --days"
            )

    def by_group(value: Callable[[CustomerResult], Number]) -> tuple[list[Number], list[Number]]:
        return [value(result) for result in contactable], [value(result) for result in held_out]

    return {
        "retention": newcombe_interval(*by_group(lambda result: result.retained)),
        "revenue": welch_interval(*by_group(lambda result: result.revenue)),
        "cost of contact": welch_interval(*by_group(lambda result: result.cost)),
        "revenue less cost": welch_interval(*by_group(lambda result: result.revenue - result.cost)),
    }


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.ope.lift", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "decisions", type=Path, metavar="DECISIONS.jsonl", help="the decisions, one JSON object per line"
    )
    parser.add_argument(
        "outcomes", type=Path, metavar="OUTCOMES.jsonl", help="their outcomes, one JSON object per line"
    )
    parser.add_argument("--bills", type=Path, help="customer events with monthly_charges, one JSON object per line")
    parser.add_argument("--days", type=days, default=RESPONSE_MODEL.risk_days, help="days of each customer that count")
    args, skipped = parser.parse_args(), Counter[str]()
    try:
        decisions = read_decisions(args.decisions, decided_at, skipped)
        outcomes = read_outcomes(args.outcomes, skipped)
        history = History(*within_log(decisions, outcomes, decided_at, skipped))
        results = customer_results(history, read_bills(args.bills, skipped), args.days * DAY, skipped)
        by_measure = lifts(results)
    except (HistoryError, OSError) as error:
        sys.exit("; ".join([str(error), *skipped_lines(skipped)]))
    held_out = sum(result.held_out for result in results)
    contactable = len(results) - held_out
    print(f"{contactable:,} customers who may be contacted, against {held_out:,} held out, over {args.days} days")
    for name, (difference, low, high) in by_measure.items():
        unit, scale = ("points", 100) if name == "retention" else ("a customer", 1)
        print(f"{name:>18}  {scale * difference:+.2f} {unit}, 95 % from {scale * low:+.2f} to {scale * high:+.2f}")
    for line in skipped_lines(skipped):
        print(line)


if __name__ == "__main__":
    main()
