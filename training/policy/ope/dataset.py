"""The service's log as a table, by which `training.policy.ope.ope` judges another network.

python -m training.policy.ope.dataset --decisions FILE --outcomes FILE [--bills FILE] --policy FOLDER
[--days 90] TABLE.csv

A row is a customer's first decision: what was seen (`obs_0`, …, and the `bill`), the `action` (0 is no contact, 1 a
contact at offer level 0, and so on), its `propensity`, the `reward`, and `target_0`, …: what the other network would
have done, greedily, of what the gate allowed.

The reward is the money of the `days` from then on: the bill by the day until the customer is reported as churned, less
the discounts accepted and what messages cost. What was decided later in these days is in it, for it follows from the
first decision; when they are over the customer counts again. So the estimate is of the network's first decision, with
what this log's policy goes on to do, and no further than these days.

Decisions that tell no observation or propensity, or whose days are not over when the log ends, are counted and left
out. Without bills (customer events that tell `monthly_charges`) each is the typical one.
"""

import sys
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from services.policy.customer.gate import mask_from_reasons
from services.policy.customer.state import DAY
from services.policy.policies.network import Network
from services.policy.policies.observation import OBSERVATION
from services.policy.policies.one_step import TYPICAL_CHARGES
from services.policy.policies.ppo import greedy_action
from services.policy.response.model import MONTH, RESPONSE_MODEL
from shared.artifacts import ArtifactError
from shared.messages import OFFERS, CustomerEvent, Decision, Outcome
from training.policy.ope.bandit_log import TableError

Kind = TypeVar("Kind")


class History:
    """What was decided about whom, and what became of it."""

    def __init__(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], bills: Mapping[str, float]) -> None:
        """Raises `TableError` where nobody is reported as churned: then it is not known who stayed, either."""
        self._bills = bills
        once = {each.event_id: each for each in decisions}  # a repeat says the same
        times = {event_id: decided_at(each) for event_id, each in once.items()}
        self._accepted = {each.event_id for each in outcomes if each.outcome == "accepted"}
        self._left: dict[str, list[datetime]] = defaultdict(list)
        for each in outcomes:
            if each.outcome == "churned" and (at := each.occurred_at or times.get(each.event_id)):
                self._left[each.customer_id].append(at)
        if not self._left:
            raise TableError("no outcome says who churned, so it is not known who stayed")
        self._end = max([*times.values(), *(each.occurred_at for each in outcomes if each.occurred_at)])
        self._of: dict[str, list[Decision]] = defaultdict(list)
        for decision in sorted(once.values(), key=decided_at):
            self._of[decision.customer_id].append(decision)

    def bill(self, customer_id: str) -> float:
        return self._bills.get(customer_id, TYPICAL_CHARGES)

    def firsts(self, days: timedelta, skipped: Counter[str]) -> Iterator[tuple[Decision, float]]:
        """Each customer's first decision, and the next when its days are over, and so on; and its reward."""
        for decisions in self._of.values():
            over = None
            for number, decision in enumerate(decisions):
                if over and decided_at(decision) < over:
                    skipped["follows from an earlier one"] += 1
                elif len(decision.metadata.observation) < len(OBSERVATION) or not decision.metadata.propensity:
                    skipped["without an observation or a propensity"] += 1
                elif (until := decided_at(decision) + days) > self._end:
                    skipped["its days are not over"] += 1
                else:
                    over = until
                    yield (
                        decision,
                        self._reward([each for each in decisions[number:] if decided_at(each) < until], days),
                    )

    def _reward(self, made: Sequence[Decision], days: timedelta) -> float:
        """Of the decisions made within these days."""
        customer, first = made[0].customer_id, decided_at(made[0])
        stayed = min([days, *(at - first for at in self._left.get(customer, []) if at >= first)])
        discounts = sum(each.decision.offer_percentage / 100 for each in made if each.event_id in self._accepted)
        messages = sum(each.decision.contact for each in made)
        return self.bill(customer) * (stayed / DAY / MONTH - discounts) - RESPONSE_MODEL.contact_cost * messages


def decided_at(decision: Decision) -> datetime:
    return decision.times["decided_at"]


def action(decision: Decision) -> int:
    """As it was drawn, though the shield withheld it."""
    metadata, done = decision.metadata, decision.decision
    if done.contact or decision.safety.passed:
        return 1 + done.offer_level if done.contact else 0
    drawn = metadata.propensity, metadata.accept_prob
    return 1 + [*zip(metadata.action_probs[1:], metadata.accept_probs, strict=True)].index(drawn)


def targeted(decision: Decision, said: list[float]) -> int:
    """The action of a network that says so, of what the gate allowed."""
    metadata = decision.metadata
    level, _ = greedy_action(said, mask_from_reasons(metadata.gate), "monthly_charges" not in metadata.assumed)
    return 0 if level is None else 1 + level


def table(history: History, network: Network, days: int, skipped: Counter[str]) -> pd.DataFrame:
    """Raises `TableError` where no decision counts."""
    counted = [*history.firsts(days * DAY, skipped)]
    if not counted:
        raise TableError("no decision counts: " + ", ".join(f"{count:,} {why}" for why, count in skipped.items()))
    decisions = [decision for decision, _ in counted]
    seen = np.array([each.metadata.observation for each in decisions])
    said = network(seen.astype(np.float32)).tolist()
    target = np.eye(1 + len(OFFERS))[[targeted(*each) for each in zip(decisions, said, strict=True)]]
    return pd.DataFrame(
        {
            **{f"obs_{number}": column for number, column in enumerate(seen.T)},
            "bill": [history.bill(each.customer_id) for each in decisions],
            "action": [action(each) for each in decisions],
            "propensity": [each.metadata.propensity for each in decisions],
            "reward": [reward for _, reward in counted],
            **{f"target_{number}": column for number, column in enumerate(target.T)},
        }
    )


def parsed(file: Path, parse: Callable[[bytes], Kind], skipped: Counter[str]) -> list[Kind]:
    found = []
    with file.open("rb") as lines:
        for line in filter(bytes.strip, lines):
            try:
                found.append(parse(line))
            except ValueError:
                skipped[f"not readable in {file.name}"] += 1
    return found


def dated(line: bytes) -> Decision:
    decision = Decision.model_validate_json(line)
    if "decided_at" not in decision.times:
        raise ValueError("without a time")
    return decision


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.ope.dataset", description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=Path, required=True, help="what was decided, one decision a line")
    parser.add_argument("--outcomes", type=Path, required=True, help="what became of it, one outcome a line")
    parser.add_argument("--bills", type=Path, help="customer events that tell monthly_charges, one a line")
    parser.add_argument("--policy", type=Path, required=True, help="folder of the artifact of the network to judge")
    parser.add_argument("--days", type=int, default=RESPONSE_MODEL.risk_days, help="whose money is the reward")
    parser.add_argument("table", type=Path, help="the .csv to write")
    args, skipped = parser.parse_args(), Counter[str]()
    try:
        decisions = parsed(args.decisions, dated, skipped)
        outcomes = parsed(args.outcomes, lambda line: Outcome.parse(line, ""), skipped)
        events = parsed(args.bills, lambda line: CustomerEvent.parse(line, ""), skipped) if args.bills else []
        bills = {each.customer_id: each.monthly_charges for each in events if each.monthly_charges is not None}
        found = table(History(decisions, outcomes, bills), Network.load(args.policy), args.days, skipped)
        found.to_csv(args.table, index=False)
    except (TableError, ArtifactError, OSError) as error:
        sys.exit(str(error))
    left_out = "".join(f"\nleft out: {count:,}, {why}" for why, count in skipped.items())
    print(f"{len(found):,} rows are in {args.table}{left_out}")


if __name__ == "__main__":
    main()
