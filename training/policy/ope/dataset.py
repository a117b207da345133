"""The service's log as a bandit log, from which `training.policy.ope` estimates the value of another network.

python -m training.policy.ope.dataset --decisions FILE --outcomes FILE [--bills FILE] --policy FOLDER
[--days 90] TABLE.csv

A row is a customer's first decision: its context (the observation `obs_0`, …, and the `bill`), the `action` (0 is no
contact, 1 a contact at offer level 0, and so on), its `propensity`, the `reward`, and `target_0`, …: the other
network's greedy choice among the actions that the gate allowed, one-hot.

The reward is the money of the `days` from then on: the bill by the day until the customer is reported as churned, less
the discounts accepted and the cost of messages. Later decisions within these days depend on the first, so their
results are part of its reward; after these days the customer has another row. The estimate is therefore of the
network's first decision, with the decisions of the logged policy afterwards, over these days only.

Decisions without an observation or a propensity, or whose days are not over when the log ends, are left out and
counted. A customer without a bill (from customer events with `monthly_charges`) gets the typical one.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from services.policy.customer.billing import TYPICAL_CHARGES
from services.policy.customer.gate import mask_from_reasons
from services.policy.customer.state import DAY
from services.policy.policies.network import Network
from services.policy.policies.observation import OBSERVATION
from services.policy.policies.ppo import greedy_action
from services.policy.response.model import MONTH, RESPONSE_MODEL
from shared.artifacts import ArtifactError
from shared.messages import OFFERS, Decision
from training.command_line import check_output, days
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


def bandit_table(
    history: History, bills: Mapping[str, float], network: Network, days: int, skipped: Counter[str]
) -> pd.DataFrame:
    """A row per decision that can be used. Raises `HistoryError` if there is none."""
    decisions_with_rewards = [*decision_rewards(history, bills, days * DAY, skipped)]
    if not decisions_with_rewards:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items())
        raise HistoryError(
            f"no decision has an observation, a propensity and {days} days of outcomes ({reasons}): log for longer,"
            " with RETENTION_POLICY=ppo"
        )
    decisions = [decision for decision, _ in decisions_with_rewards]
    observations = np.array([decision.metadata.observation for decision in decisions])
    outputs = network(observations.astype(np.float32)).tolist()
    targets = [target_action(decision, output) for decision, output in zip(decisions, outputs, strict=True)]
    return pd.DataFrame(
        {
            **{f"obs_{number}": column for number, column in enumerate(observations.T)},
            "bill": [bills.get(decision.customer_id, TYPICAL_CHARGES) for decision in decisions],
            "action": [logged_action(decision) for decision in decisions],
            "propensity": [decision.metadata.propensity for decision in decisions],
            "reward": [reward for _, reward in decisions_with_rewards],
            **{f"target_{action}": column for action, column in enumerate(np.eye(1 + len(OFFERS))[targets].T)},
        }
    )


def decision_rewards(
    history: History, bills: Mapping[str, float], duration: timedelta, skipped: Counter[str]
) -> Iterator[tuple[Decision, float]]:
    """Each customer's first decision with its reward, then the first one after its days are over, and so on."""
    for customer_id, decisions in history.by_customer.items():
        bill, end = bills.get(customer_id, TYPICAL_CHARGES), None
        for number, decision in enumerate(decisions):
            if end and decided_at(decision) < end:
                skipped["follows from an earlier one"] += 1
            elif len(decision.metadata.observation) < len(OBSERVATION) or not decision.metadata.propensity:
                skipped["without an observation or a propensity"] += 1
            elif not history.is_over(decided_at(decision) + duration):
                skipped["its days are not over"] += 1
            else:
                end = decided_at(decision) + duration
                period = history.period(decisions[number:], duration)
                income = bill * (period.retained / DAY / MONTH - period.discounts)
                yield decision, income - RESPONSE_MODEL.contact_cost * period.contacts


def logged_action(decision: Decision) -> int:
    """The action that was drawn, also if the shield then withheld the message."""
    metadata, action = decision.metadata, decision.decision
    if action.contact or decision.safety.passed:
        return 1 + action.offer_level if action.contact else 0
    drawn = metadata.propensity, metadata.accept_prob
    return 1 + [*zip(metadata.action_probs[1:], metadata.accept_probs, strict=True)].index(drawn)


def target_action(decision: Decision, output: list[float]) -> int:
    """The greedy action of a network with this output, among those that the gate allowed."""
    metadata = decision.metadata
    level, _ = greedy_action(output, mask_from_reasons(metadata.gate), "monthly_charges" not in metadata.assumed)
    return 0 if level is None else 1 + level


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.ope.dataset", description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=Path, required=True, help="the decisions, one JSON object per line")
    parser.add_argument("--outcomes", type=Path, required=True, help="their outcomes, one JSON object per line")
    parser.add_argument("--bills", type=Path, help="customer events with monthly_charges, one JSON object per line")
    parser.add_argument("--policy", type=Path, required=True, help="folder of the network to evaluate (its artifact)")
    parser.add_argument("--days", type=days, default=RESPONSE_MODEL.risk_days, help="days whose money a reward counts")
    parser.add_argument("table", type=Path, help="the .csv file to write")
    args, skipped = parser.parse_args(), Counter[str]()
    check_output(parser, args.table, (args.decisions, args.outcomes, args.bills))
    try:
        decisions = read_decisions(args.decisions, decided_at, skipped)
        outcomes = read_outcomes(args.outcomes, skipped)
        history = History(*within_log(decisions, outcomes, decided_at, skipped))
        bills = read_bills(args.bills, skipped)
        table = bandit_table(history, bills, Network.load(args.policy), args.days, skipped)
        table.to_csv(args.table, index=False)
    except (HistoryError, ArtifactError, OSError) as error:
        sys.exit("; ".join([str(error), *skipped_lines(skipped)]))
    print(f"{len(table):,} rows are in {args.table}", *skipped_lines(skipped), sep="\n")


if __name__ == "__main__":
    main()
