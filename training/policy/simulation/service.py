"""Simulate a campaign through the policy service.

python -m training.policy.simulation.service [--policy ppo] [--budget-share 0.3]

The service's own handlers, gate, ledger, pacer and SQLite store run on a simulated clock. Each active customer has one
event a day, at a random hour. Answers and churn come from `customer_simulator`; `audit` checks the rules independently.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid5

import numpy as np
from tqdm import tqdm

from services.policy.app import load_policy
from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer, planned_share
from services.policy.context import PolicyContext
from services.policy.customer.gate import Limits
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import settle
from services.policy.policies.base import Policy
from services.policy.policies.ppo import PPOPolicy
from services.policy.replies.reader import ReplyReader
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import Customers
from shared.artifacts import ARTIFACTS, ArtifactError
from shared.messages import ID_NAMESPACE, Decision, Outcome, PlannedContact, ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore
from training.data.sources import SourceError
from training.policy.bound import LagrangianBound
from training.policy.customers import load_population
from training.policy.simulation.audit import Audit, Offer
from training.policy.simulation.campaign import HOURS_PER_DAY
from training.policy.simulation.customer_simulator import CENTS, CustomerSimulator

SEED = 300
"""Seed of the customers' random numbers."""
START = datetime(2026, 1, 1, tzinfo=UTC)
OFFER_VALIDITY = timedelta(days=14)
"""Time in which an offer can be accepted."""


class ServiceRun(NamedTuple):
    """Results of a campaign through the service; amounts are money."""

    decisions: int
    budget: float
    spend: float
    """Spend on accepted offers, according to the ledger."""
    peak_used: float
    """Highest sum of reserved and spent money after any batch."""
    violations: Mapping[str, int]
    """Numbers by rule: contacts in a cooldown, during an accepted offer, or over the cap; batches over the budget."""
    contacts: Sequence[int]
    """Number of contacts by level."""
    incremental_value: float
    """Sum of the expected value of the contacts made over doing nothing, in expectation over acceptance and churn."""
    spend_by_day: Sequence[float]
    """Cumulative spend at the end of each day."""
    prices: Sequence[float]
    """Shadow price of the budget by day, the mean over its hours."""
    seconds: float
    """Wall-clock time in the service's handlers."""

    @property
    def utilisation(self) -> float:
        return self.spend / self.budget

    @property
    def ahead(self) -> np.ndarray:
        """Spend beyond the pacing plan by day, as a share of the budget; negative is behind."""
        days = len(self.spend_by_day)
        return np.array(self.spend_by_day) / self.budget - [planned_share((day + 1) / days) for day in range(days)]

    def __str__(self) -> str:
        violations = ", ".join(f"{name} {count}" for name, count in self.violations.items())
        contacts = " ".join(f"{count:,}" for count in self.contacts)
        return f"""\
decisions    {self.decisions:,}, {self.seconds:.0f} s in the service
spend        {self.spend:,.2f} of {self.budget:,.2f} ({self.utilisation:.2%}); at most {self.peak_used:,.2f} \
reserved and spent
violations   {violations}
contacts     {contacts} by level, incremental value {self.incremental_value:,.0f}
pacing       {self.ahead.min():+.1%} to {self.ahead.max():+.1%} ahead of plan; each tenth day {_every_tenth(self.ahead)}
price        {min(self.prices):.2f} to {max(self.prices):.2f}; each tenth day {_every_tenth(self.prices)}"""


def _every_tenth(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{value:.2f}" for value in values[9::10])


class SimulatedClock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class ServiceSimulation:
    """Simulated customers, the policy service that decides about them, and an audit."""

    def __init__(
        self, customers: CustomerSimulator, context: PolicyContext, clock: SimulatedClock, budget: float
    ) -> None:
        self.customers, self.context, self.clock = customers, context, clock
        self.audit, self.rng = Audit(customers, budget), customers.rng
        self.risk = -np.expm1(-customers.customers.hazard * customers.response_model.risk_days)
        self.decisions, self.seconds, self.incremental_value = 0, 0.0, 0.0
        self.open_offers: list[Offer] = []
        """Offers without a reported outcome, oldest first."""

    async def run_day(self, day: int, answer_days: int) -> float:
        """Simulate a day; return the mean shadow price of its hours."""
        prices, active = [], self.rng.permutation(np.flatnonzero(self.customers.state.active))
        for hour, rows in enumerate(np.array_split(active, HOURS_PER_DAY), day * HOURS_PER_DAY):
            self.clock.now = START + timedelta(hours=hour)
            await self._decide(hour, [self._event(row, day) for row in rows.tolist()])
            prices.append(await self.context.pacer.price(self.clock.now))
        await self._end_of_day(day, answer_days)
        return float(np.mean(prices))

    async def settle_open_offers(self) -> None:
        await self._settle([self._outcome_of(offer) for offer in self.open_offers])

    def _event(self, row: int, day: int) -> ScoredCustomer:
        customers, event_id = self.customers.customers, _event_id(day, row)
        return ScoredCustomer(
            id=uuid5(ID_NAMESPACE, event_id),
            event_id=event_id,
            customer_id=str(row),
            churn_risk=self.risk[row],
            accept_probs=tuple(customers.accept[row]),
            monthly_charges=customers.bill[row],
        )

    async def _decide(self, hour: int, events: list[ScoredCustomer]) -> None:
        start = time.perf_counter()
        responses = await decide(events, context=self.context)
        self.seconds += time.perf_counter() - start
        for (message,) in responses:
            assert isinstance(message, Decision | PlannedContact)
            self.decisions += 1
            if message.decision.contact:
                self._contact(message.event_id, int(message.customer_id), message.decision.offer_level, hour)
        self.audit.check_budget()

    def _contact(self, event_id: str, row: int, level: int, hour: int) -> None:
        accepted, value = self.customers.contact(np.array([row]), np.array([level]), hour // HOURS_PER_DAY)
        self.incremental_value += float(value[0])
        self.open_offers.append(Offer(event_id, row, level, hour, bool(accepted[0])))
        self.audit.record_contact(self.open_offers[-1])

    async def _end_of_day(self, day: int, answer_days: int) -> None:
        """Report the answers to offers of `answer_days` ago, and the customers who churn, who stop answering."""
        due = [offer for offer in self.open_offers if offer.hour // HOURS_PER_DAY <= day - answer_days]
        outcomes = [self._outcome_of(offer) for offer in due]
        churned, not_due = set(self.customers.end_of_day().tolist()), self.open_offers[len(due) :]
        outcomes += [_outcome(_event_id(day, row), row, "churned") for row in churned]
        outcomes += [self._outcome_of(offer, churned=True) for offer in not_due if offer.customer in churned]
        self.open_offers = [offer for offer in not_due if offer.customer not in churned]
        await self._settle(outcomes)

    def _outcome_of(self, offer: Offer, churned: bool = False) -> Outcome:
        accepted = offer.accepted and not churned
        self.audit.record_outcome(offer, accepted)
        outcome = "churned" if churned else "accepted" if accepted else "declined"
        return _outcome(offer.event_id, offer.customer, outcome)

    async def _settle(self, outcomes: list[Outcome]) -> None:
        start = time.perf_counter()
        await settle(outcomes, context=self.context)
        self.seconds += time.perf_counter() - start


def _event_id(day: int, row: int) -> str:
    return f"{day:03}/{row:06}"


def _outcome(event_id: str, row: int, outcome: str) -> Outcome:
    message_id = uuid5(ID_NAMESPACE, f"{event_id}/{outcome}")
    fields = {"id": message_id, "event_id": event_id, "customer_id": str(row), "outcome": outcome}
    return Outcome.model_validate(fields)


def simulate(
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
    """Simulate a campaign of `copies` of each customer; `budget` is money for all of them.

    `policy` may be a name that the setting `policy` takes. Customers answer an offer `answer_days` later.
    Raises `ArtifactError` if the trained policy is named and missing.
    """
    if isinstance(policy, str):
        policy = load_policy(Settings.model_validate({"policy": policy}))
    with TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "simulation.sqlite")
        try:
            simulator = CustomerSimulator(customers, copies, seed, rules=rules)
            return asyncio.run(_simulate(policy, simulator, budget, answer_days, store, progress))
        finally:
            store.close()


async def _simulate(
    policy: Policy, customers: CustomerSimulator, budget: float, answer_days: int, store: SQLiteStore, progress: bool
) -> ServiceRun:
    clock, rules = SimulatedClock(), customers.rules
    ledger = await Ledger.open(store, budget, 1, clock)
    pacer = await BudgetPacer.open(store, ledger, rules.campaign_days, clock())
    limits, pseudonyms = _limits(rules), Pseudonyms(LOCAL_HASH_KEY)
    reader = ReplyReader.load(ARTIFACTS / "replies")
    context = PolicyContext(store, ledger, pacer, policy, limits, OFFER_VALIDITY, clock, pseudonyms, reader)
    simulation = ServiceSimulation(customers, context, clock, budget)
    spend_by_day, prices = [], []
    for day in tqdm(range(rules.campaign_days), unit=" days", disable=not progress):
        prices.append(await simulation.run_day(day, answer_days))
        spend_by_day.append((await ledger.balance()).committed / CENTS)
    await simulation.settle_open_offers()
    audit = simulation.audit
    return ServiceRun(
        decisions=simulation.decisions,
        budget=budget,
        spend=(await ledger.balance()).committed / CENTS,
        peak_used=audit.peak_used / CENTS,
        violations=dict(audit.violations),
        contacts=tuple(audit.contacts_by_level),
        incremental_value=simulation.incremental_value,
        spend_by_day=tuple(spend_by_day),
        prices=tuple(prices),
        seconds=simulation.seconds,
    )


def _limits(rules: Rules) -> Limits:
    """The limits of `rules`, without a holdout: all customers can be contacted, as in `CampaignSimulator`."""
    return Limits(timedelta(days=rules.cooldown_days), rules.contact_cap, timedelta(days=rules.campaign_days), 0.0, "")


def _trained_policy(network: Path) -> Policy:
    """The policy of a trained network. Raises `ArtifactError`."""
    from training.policy.network import load_network, serving_network  # imports torch, which nothing else here needs

    return PPOPolicy(serving_network(load_network(network)))


def main() -> None:
    settings = Settings.from_environment()
    parser = ArgumentParser(prog="python -m training.policy.simulation.service", description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", choices=("ppo", "index", "baseline"), default="ppo", help="policy to simulate")
    parser.add_argument(
        "--network",
        type=Path,
        metavar="FILE",
        help="instead of --policy: a network that python -m training.policy.ppo made",
    )
    parser.add_argument("--copies", type=int, default=8, help="copies of each of the 1,408 held-out customers")
    parser.add_argument(
        "--budget-share",
        type=float,
        default=0.3,
        help="budget, as a share of what the optimal policy spends without one",
    )
    parser.add_argument("--answer-days", type=int, default=0, help="days until customers answer an offer")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    args = parser.parse_args()
    try:
        policy = _trained_policy(args.network) if args.network else args.policy
        customers = load_population(settings.data, args.data, settings.artifacts).held_out
        budget = args.copies * args.budget_share * LagrangianBound(customers).unconstrained_spend
        print(simulate(policy, customers, args.copies, budget, answer_days=args.answer_days, progress=True))
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
