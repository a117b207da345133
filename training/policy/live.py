"""A quarter lived through the policy service: python -m training.policy.live [--policy ppo] [--budget-share 0.3]

The service's own handlers, gate, ledger, pace and SQLite store, on a simulated clock. Each customer who is there has an
event a day, at an hour drawn anew. What they answer is drawn from `services.policy.world`, by the luck of
`training.policy.quarter`. What the service promises is counted again from outside.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid5

import numpy as np
from tqdm import tqdm

from services.policy.app import chosen
from services.policy.gate import Limits
from services.policy.handler import Desk, decide
from services.policy.index import RULES, Rules
from services.policy.ledger import Ledger
from services.policy.pace import Pace, planned
from services.policy.policy import Policy
from services.policy.settle import settle
from services.policy.world import DISCOUNTS, Customers, gain, strain
from shared.artifacts import ArtifactError
from shared.messages import EVENTS, Decision, Outcome, PlannedContact, ScoredCustomer
from shared.settings import Settings
from shared.store import SQLiteStore
from training.data.sources import SourceError
from training.policy.bound import Portfolio
from training.policy.customers import population
from training.policy.environment import NEVER
from training.policy.quarter import CENTS, Quarter

SEED = 300
"""Of the quarter's luck."""
HOURS = 24
"""Batches a day."""
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
STANDS = timedelta(days=14)
"""How long an offer stands."""
RULES_KEPT = ("cooldown", "offer-holds", "cap", "budget")


class Lived(NamedTuple):
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
        return np.array(self.path) / self.budget - [planned((day + 1) / days) for day in range(days)]

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


class Clock:
    now = FIRST

    def __call__(self) -> datetime:
        return self.now


class Town:
    """The customers of a quarter, and what becomes of them. Every array is [n]."""

    def __init__(self, quarter: Quarter) -> None:
        self.luck, self.leaves_at, self.n = quarter.luck, quarter.leaves_at, quarter.n
        self.customers, self.world = quarter.customers, quarter.world
        self.risk = -np.expm1(-self.customers.hazard * self.world.risk_days)
        self.since, self.held, self.contacts, self.suffered = np.zeros((4, self.n))
        self.since += NEVER
        self.there, self.gain = np.ones(self.n, dtype=bool), 0.0

    def event(self, who: int, event_id: str) -> ScoredCustomer:
        return ScoredCustomer(
            id=uuid5(EVENTS, event_id),
            event_id=event_id,
            customer_id=str(who),
            churn_risk=self.risk[who],
            accept_probs=tuple(self.customers.accept[who]),
            monthly_charges=self.customers.bill[who],
        )

    def contact(self, who: int, level: int, day: int) -> bool:
        """Whether they accept."""
        one, left, contacts = self.customers[who : who + 1], self.world.value_days - day, int(self.contacts[who])
        self.gain += float(gain(one, np.array([level]), left, self.held[who], contacts, self.world)[0][0])
        accepts = bool(self.luck[who, min(contacts, self.luck.shape[1] - 1)] < one.accept[0, level])
        self.held[who] = max(self.held[who], accepts * self.world.held_days[level])
        self.since[who] = 0
        self.contacts[who] += 1
        return accepts

    def night(self) -> list[int]:
        """Who leaves."""
        annoyed, before = np.maximum(self.world.annoyed_days - self.since, 0), self.there
        self.suffered += strain(1, self.held, annoyed, self.contacts, self.world) * self.customers.hazard
        self.there = before & (self.suffered < self.leaves_at)
        self.since += 1
        self.held = np.maximum(self.held - 1, 0)
        return np.flatnonzero(before & ~self.there).tolist()


class Offer(NamedTuple):
    event_id: str
    who: int
    level: int
    hour: int
    """Since the quarter began."""
    accepted: bool


class Audit:
    """What gate and ledger promise, counted again from what came out of the service and what was reported to it."""

    def __init__(self, quarter: Quarter, budget: float) -> None:
        self.rules, self.held_days, self.costs = quarter.rules, quarter.world.held_days, quarter.costs.tolist()
        self.cents = round(budget * CENTS)
        self.last, self.until, self.contacts = np.zeros((3, quarter.n), dtype=int)  # hours, hours, a number
        self.last -= NEVER * HOURS
        self.broken = Counter(dict.fromkeys(RULES_KEPT, 0))
        self.offers = [0] * len(DISCOUNTS)
        self.promised = self.spent = self.worst = 0

    def contacted(self, offer: Offer) -> None:
        who, hour = offer.who, offer.hour
        self.broken["cooldown"] += int(hour - self.last[who] < self.rules.cooldown * HOURS)
        self.broken["offer-holds"] += int(hour < self.until[who])
        self.broken["cap"] += int(self.contacts[who] >= self.rules.cap)
        self.last[who] = hour
        self.contacts[who] += 1
        self.offers[offer.level] += 1
        self.promised += self.costs[who][offer.level]

    def reported(self, offer: Offer, accepted: bool) -> None:
        cents = self.costs[offer.who][offer.level]
        self.promised -= cents
        if accepted:
            self.spent += cents
            self.until[offer.who] = max(self.until[offer.who], offer.hour + self.held_days[offer.level] * HOURS)

    def batch(self) -> None:
        """At the end of one."""
        self.worst = max(self.worst, self.promised + self.spent)
        self.broken["budget"] += int(self.promised + self.spent > self.cents)


class Life:
    """The service at `desk`, the town it decides about, and who watches."""

    def __init__(self, quarter: Quarter, desk: Desk, clock: Clock, budget: float) -> None:
        self.town, self.audit, self.desk, self.clock = Town(quarter), Audit(quarter, budget), desk, clock
        self.rng, self.decisions, self.seconds = quarter.rng, 0, 0.0
        self.open: list[Offer] = []
        """What was offered and is not answered, oldest first."""

    async def day(self, day: int, answer_days: int) -> float:
        """The mean price of its hours."""
        prices, there = [], self.rng.permutation(np.flatnonzero(self.town.there))
        for hour, who in enumerate(np.array_split(there, HOURS), day * HOURS):
            self.clock.now = FIRST + timedelta(hours=hour)
            await self._hour(hour, [self.town.event(each, _event_id(day, each)) for each in who.tolist()])
            prices.append(await self.desk.pace.price(self.clock.now))
        await self._evening(day, answer_days)
        return float(np.mean(prices))

    async def end(self) -> None:
        """What is open is answered."""
        await self._settle([self._answered(offer) for offer in self.open])

    async def _hour(self, hour: int, events: list[ScoredCustomer]) -> None:
        start = time.perf_counter()
        answers = await decide(events, desk=self.desk)
        self.seconds += time.perf_counter() - start
        for (said,) in answers:
            assert isinstance(said, Decision | PlannedContact)
            self.decisions += 1
            if said.decision.contact:
                who, level = int(said.customer_id), said.decision.offer_level
                offer = Offer(said.event_id, who, level, hour, self.town.contact(who, level, hour // HOURS))
                self.audit.contacted(offer)
                self.open.append(offer)
        self.audit.batch()

    async def _evening(self, day: int, answer_days: int) -> None:
        """Offers of so many days ago are answered; who then leaves says so, and answers no more."""
        due = [offer for offer in self.open if offer.hour // HOURS <= day - answer_days]
        outcomes = [self._answered(offer) for offer in due]
        left, later = set(self.town.night()), self.open[len(due) :]
        outcomes += [_outcome(_event_id(day, who), who, "churned") for who in left]
        outcomes += [self._answered(offer, left=True) for offer in later if offer.who in left]
        self.open = [offer for offer in later if offer.who not in left]
        await self._settle(outcomes)

    def _answered(self, offer: Offer, left: bool = False) -> Outcome:
        accepted = offer.accepted and not left
        self.audit.reported(offer, accepted)
        return _outcome(offer.event_id, offer.who, "churned" if left else "accepted" if accepted else "declined")

    async def _settle(self, outcomes: list[Outcome]) -> None:
        start = time.perf_counter()
        await settle(outcomes, store=self.desk.store, ledger=self.desk.ledger)
        self.seconds += time.perf_counter() - start


def _event_id(day: int, who: int) -> str:
    return f"{day:03}/{who:06}"


def _outcome(event_id: str, who: int, word: str) -> Outcome:
    fields = {"id": uuid5(EVENTS, f"{event_id}/{word}"), "event_id": event_id, "customer_id": str(who), "outcome": word}
    return Outcome.model_validate(fields)


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
) -> Lived:
    """`policy` may be one of the service's names; `budget` is money for all copies; answers come `answer_days` later.

    Raises `ArtifactError` where the trained policy is named and not there.
    """
    policy = chosen(Settings.model_validate({"policy": policy})) if isinstance(policy, str) else policy
    with TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "live.sqlite")
        try:
            quarter = Quarter(customers, copies, seed, rules=rules)
            return asyncio.run(_lived(policy, quarter, budget, answer_days, store, progress))
        finally:
            store.close()


async def _lived(
    policy: Policy, quarter: Quarter, budget: float, answer_days: int, store: SQLiteStore, progress: bool
) -> Lived:
    clock, days = Clock(), quarter.rules.quarter
    ledger = await Ledger.open(store, budget, 1, clock)
    pace = await Pace.open(store, ledger, days, clock())
    desk = Desk(store, ledger, pace, policy, _limits(quarter.rules), STANDS, clock)
    life = Life(quarter, desk, clock, budget)
    path, prices = [], []
    for day in tqdm(range(days), unit=" days", disable=not progress):
        prices.append(await life.day(day, answer_days))
        path.append((await ledger.balance()).committed / CENTS)
    await life.end()
    audit, spend = life.audit, (await ledger.balance()).committed / CENTS
    return Lived(
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
    parser = ArgumentParser(prog="python -m training.policy.live", description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", choices=("ppo", "index", "baseline"), default="ppo")
    parser.add_argument("--copies", type=int, default=8, help="of each of the 1,408 customers held out")
    parser.add_argument(
        "--budget-share", type=float, default=0.3, help="of what the optimum spends where money is free"
    )
    parser.add_argument("--answer-days", type=int, default=0, help="days until an offer is answered")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    args = parser.parse_args()
    try:
        customers = population(settings.data, args.data, settings.artifacts).held_out
        budget = args.copies * args.budget_share * Portfolio(customers).at(0.0).spend
        print(live(args.policy, customers, args.copies, budget, answer_days=args.answer_days, progress=True))
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
