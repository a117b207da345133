"""A quarter lived through the policy service.

python -m training.policy.simulation.service [--policy ppo] [--budget-share 0.3]

The service's own handlers, gate, ledger, pace and SQLite store, on a simulated clock. Each customer who is there has an
event a day, at an hour drawn anew. What they answer is drawn from `services.policy.response.model`, by the luck of
`training.policy.simulation.campaign`. What the service promises is counted again from outside.
"""

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from services.policy.app import load_policy
from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer, planned_share
from services.policy.customer.gate import Limits
from services.policy.handlers.decide import PolicyContext
from services.policy.policies.base import Policy
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import Customers
from shared.artifacts import ArtifactError
from shared.pseudonyms import Pseudonyms
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore
from training.data.sources import SourceError
from training.policy.customers import population
from training.policy.evaluation.bound import LagrangianBound
from training.policy.simulation.campaign import CENTS, CampaignSimulator
from training.policy.simulation.life import Clock, ServiceSimulation

SEED = 300
"""Of the quarter's luck."""
STANDS = timedelta(days=14)
"""How long an offer stands."""


class ServiceRun(NamedTuple):
    """A quarter, seen from outside; money, unless said otherwise."""

    decisions: int
    budget: float
    spend: float
    """Of offers accepted, by the ledger."""
    worst: float
    """The most that was promised and spent after any batch."""
    violations: Mapping[str, int]
    """Contacts in a cooldown, while an offer held as far as was reported, or over the cap; batches over the budget."""
    offers: Sequence[int]
    """Contacts by level."""
    gain: float
    """Over doing nothing: expected, of the contacts made, with the luck of acceptance averaged out."""
    path: Sequence[float]
    """Spent by the end of each day."""
    prices: Sequence[float]
    """Of money, by day: the mean of its hours."""
    seconds: float
    """In the service's handlers."""

    @property
    def utilisation(self) -> float:
        return self.spend / self.budget

    @property
    def ahead(self) -> np.ndarray:
        """Of the calendar, by day, as a share of the budget; negative is behind."""
        days = len(self.path)
        return np.array(self.path) / self.budget - [planned_share((day + 1) / days) for day in range(days)]

    def __str__(self) -> str:
        return f"""\
decisions    {self.decisions:,}, {self.seconds:.0f} s in the service
spend        {self.spend:,.2f} of {self.budget:,.2f} ({self.utilisation:.2%}); with promises {self.worst:,.2f} at most
violations   {", ".join(f"{name} {count}" for name, count in self.violations.items())}
contacts     {" ".join(f"{count:,}" for count in self.offers)} by level, worth {self.gain:,.0f}
ahead        of the calendar {self.ahead.min():+.1%} to {self.ahead.max():+.1%}; each tenth day {_tenth(self.ahead)}
price        {min(self.prices):.2f} to {max(self.prices):.2f}; each tenth day {_tenth(self.prices)}"""


def _tenth(days: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{value:.2f}" for value in days[9::10])


def live(
    policy: Policy | str,
    customers: Customers,
    copies: int,
    budget: float,
    *,
    answer_days: int = 0,
    seed: int = SEED,
    rules: Rules = RULES,
    progress: bool = False,
) -> ServiceRun:
    """`policy` may be one of the service's names; `budget` is money for all copies; answers come `answer_days` later.

    Raises `ArtifactError` where the trained policy is named and not there.
    """
    policy = load_policy(Settings.model_validate({"policy": policy})) if isinstance(policy, str) else policy
    with TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "live.sqlite")
        try:
            quarter = CampaignSimulator(customers, copies, seed, rules=rules)
            return asyncio.run(_lived(policy, quarter, budget, answer_days, store, progress))
        finally:
            store.close()


async def _lived(
    policy: Policy, quarter: CampaignSimulator, budget: float, answer_days: int, store: SQLiteStore, progress: bool
) -> ServiceRun:
    clock, days = Clock(), quarter.rules.quarter
    ledger = await Ledger.open(store, budget, 1, clock)
    pace = await BudgetPacer.open(store, ledger, days, clock())
    context = PolicyContext(
        store, ledger, pace, policy, _limits(quarter.rules), STANDS, clock, Pseudonyms(LOCAL_HASH_KEY)
    )
    life = ServiceSimulation(quarter, context, clock, budget)
    path, prices = [], []
    for day in tqdm(range(days), unit=" days", disable=not progress):
        prices.append(await life.day(day, answer_days))
        path.append((await ledger.balance()).committed / CENTS)
    await life.end()
    audit, spend = life.audit, (await ledger.balance()).committed / CENTS
    return ServiceRun(
        decisions=life.decisions,
        budget=budget,
        spend=spend,
        worst=audit.worst / CENTS,
        violations=dict(audit.broken),
        offers=tuple(audit.offers),
        gain=life.town.gain,
        path=tuple(path),
        prices=tuple(prices),
        seconds=life.seconds,
    )


def _limits(rules: Rules) -> Limits:
    """Nobody is held out: so the customers are those of `Quarter`."""
    return Limits(timedelta(days=rules.cooldown), rules.cap, timedelta(days=rules.quarter), 0.0, "")


def main() -> None:
    settings = Settings()
    parser = ArgumentParser(prog="python -m training.policy.simulation.service", description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", choices=("ppo", "index", "baseline"), default="ppo")
    parser.add_argument("--copies", type=int, default=8, help="of each customer held out: 704 of Telco, twice")
    parser.add_argument(
        "--budget-share", type=float, default=0.3, help="of what the optimum spends where money is free"
    )
    parser.add_argument("--answer-days", type=int, default=0, help="days until an offer is answered")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    args = parser.parse_args()
    try:
        customers = population(settings.data, args.data, settings.artifacts).held_out
        budget = args.copies * args.budget_share * LagrangianBound(customers).unconstrained_spend
        print(live(args.policy, customers, args.copies, budget, answer_days=args.answer_days, progress=True))
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
