"""What contact brought, against the holdout: python -m training.policy.ope.lift DECISIONS.jsonl OUTCOMES.jsonl

Every customer counts once, in the group that the hash of their id put them in, whether or not they were contacted
(intention to treat). What counts is the `--days` from their first decision on: whether they were not reported as
churned, what they paid meanwhile, by the day, and what contact cost: discounts accepted, and messages.

Intervals hold the truth in 95 of 100 experiments: of shares by Newcombe's hybrid of Wilson scores (Statistics in
Medicine 17, 1998, method 10), of means by Welch's t. What a group of fewer than 30 says is not told.

Bills are those of the customer events in `--bills`, where they tell `monthly_charges`; else each is the typical one.
"""

import sys
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from services.policy.customer.state import DAY
from services.policy.policies.one_step import TYPICAL_CHARGES
from services.policy.response.model import MONTH, RESPONSE_MODEL
from shared.messages import CustomerEvent, Decision, Outcome
from training.policy.ope.bandit_log import TableError
from training.policy.ope.dataset import dated, decided_at, parsed
from training.statistics import Estimate, newcombe_interval, welch_interval

LEAST = 30
"""Customers in a group, from which on it says something."""


class Customer(NamedTuple):
    """Within the days that count; money."""

    held_out: bool
    retained: bool
    revenue: float
    cost: float


def customers(
    decisions: Sequence[Decision],
    outcomes: Sequence[Outcome],
    bills: Mapping[str, float],
    days: timedelta,
    skipped: Counter[str],
) -> list[Customer]:
    """Raises `TableError` where nobody is reported as churned: then it is not known who stayed, either."""
    once = {each.event_id: each for each in decisions}  # a repeat says the same
    accepted = {each.event_id for each in outcomes if each.outcome == "accepted"}
    left: dict[str, list[datetime]] = defaultdict(list)
    for each in outcomes:
        at = each.occurred_at or (decided_at(once[each.event_id]) if each.event_id in once else None)
        if each.outcome == "churned" and at:
            left[each.customer_id].append(at)
    if not left:
        raise TableError("no outcome says who churned, so it is not known who stayed")
    times = [decided_at(each) for each in once.values()] + [each.occurred_at for each in outcomes if each.occurred_at]
    of: dict[str, list[Decision]] = defaultdict(list)
    for decision in sorted(once.values(), key=decided_at):
        of[decision.customer_id].append(decision)
    found = []
    for customer_id, made in of.items():
        start = decided_at(made[0])
        if start + days > max(times):
            skipped["their days are not over"] += 1
        elif len({each.metadata.holdout for each in made}) > 1:
            skipped["changed their group"] += 1
        else:
            counted = [each for each in made if decided_at(each) < start + days]
            bill = bills.get(customer_id, TYPICAL_CHARGES)
            stayed = min([days, *(at - start for at in left.get(customer_id, ()) if at >= start)])
            discounts = sum(each.decision.offer_percentage / 100 for each in counted if each.event_id in accepted)
            messages = sum(each.decision.contact for each in counted)
            cost = bill * discounts + RESPONSE_MODEL.contact_cost * messages
            found.append(Customer(made[0].metadata.holdout, stayed == days, bill * (stayed / DAY) / MONTH, cost))
    return found


def lifts(found: Sequence[Customer]) -> dict[str, Estimate]:
    """Raises `TableError` where a group is too small."""
    held_out, others = ([each for each in found if each.held_out is held] for held in (True, False))
    for name, group in (("the holdout", held_out), ("the group that may be contacted", others)):
        if len(group) < LEAST:
            raise TableError(f"{name} has {len(group)} customers who count, and says something from {LEAST} on")

    def money(value: Callable[[Customer], float]) -> Estimate:
        return welch_interval([value(each) for each in others], [value(each) for each in held_out])

    return {
        "retention": newcombe_interval([each.retained for each in others], [each.retained for each in held_out]),
        "revenue": money(lambda each: each.revenue),
        "cost of contact": money(lambda each: each.cost),
        "revenue less cost": money(lambda each: each.revenue - each.cost),
    }


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.ope.lift", description=__doc__.partition("\n")[0])
    parser.add_argument("decisions", type=Path, metavar="DECISIONS.jsonl", help="what was decided, one a line")
    parser.add_argument("outcomes", type=Path, metavar="OUTCOMES.jsonl", help="what became of it, one a line")
    parser.add_argument("--bills", type=Path, help="customer events that tell monthly_charges, one a line")
    parser.add_argument("--days", type=int, default=RESPONSE_MODEL.risk_days, help="of each customer that count")
    args, skipped = parser.parse_args(), Counter[str]()
    try:
        events = parsed(args.bills, lambda line: CustomerEvent.parse(line, ""), skipped) if args.bills else []
        bills = {each.customer_id: each.monthly_charges for each in events if each.monthly_charges is not None}
        outcomes = parsed(args.outcomes, lambda line: Outcome.parse(line, ""), skipped)
        found = customers(parsed(args.decisions, dated, skipped), outcomes, bills, args.days * DAY, skipped)
        lifted = lifts(found)
    except (TableError, OSError) as error:
        left_out = "".join(f"; left out: {count:,}, {why}" for why, count in skipped.items())
        sys.exit(f"{error}{left_out}")
    held_out = sum(each.held_out for each in found)
    free = len(found) - held_out
    print(f"{free:,} customers who may be contacted, against {held_out:,} held out, over {args.days} days")
    for name, (difference, low, high) in lifted.items():
        unit, scale = ("points", 100) if name == "retention" else ("a customer", 1)
        print(f"{name:>18}  {scale * difference:+.2f} {unit}, 95 % from {scale * low:+.2f} to {scale * high:+.2f}")
    for why, count in skipped.items():
        print(f"left out: {count:,}, {why}")


if __name__ == "__main__":
    main()
