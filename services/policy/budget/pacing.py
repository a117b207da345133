"""How dear the budget's money is: a PID moves its price so that spend follows the budget's calendar.

The price is kept with the budget, and moves once an hour, by whoever decides first then; the others read it. Where much
is promised within the hour it moves before, so that what comes at once does not all have the first price. When the
calendar is over, a new one begins at once, for what is then left of the budget.
"""

from datetime import datetime, timedelta
from functools import partial
from math import ceil, expm1, log1p
from typing import NamedTuple, Self

from pydantic import AwareDatetime

from services.policy.budget.ledger import Ledger, Shard, shard_in, together
from services.policy.customer.state import DAY
from services.policy.response.dynamic_program import RULES
from shared import telemetry
from shared.messages import FrozenModel
from shared.store import Document, Documents, Key, Store

PACE: Key = ("budget", "pace")
EVERY = timedelta(hours=1)
BURST = 0.02
"""Share of the calendar's money: when so much more is promised or spent, the price moves within the hour, too."""
EARLY = 3.3
"""How much of it goes first. Tried through the service: 3 left 2 % of a large budget, 4 gained less of a small one."""
START = 1.0
"""The price before anything is known of the pace."""
KP, KI, KD = 5.0, 0.5, 0.25
"""Of the logarithm of 1 + price: for the error, for an error of 1 that lasts a day, and for its change a day."""
LEAST = 0.02
"""Share of the budget that is always taken to be left: towards the end a cent too much would be an endless error."""


class PID(NamedTuple):
    """Controls log(1 + price), from 0 up: so what is dear gets dearer in larger steps.

    A Lagrange multiplier moved by a PID (Stooke, Achiam and Abbeel 2020, algorithm 2); as there, the derivative acts on
    what gets worse only. The integral never falls below 0, and the error ends at ±1: so neither winds up while the
    price cannot help (Åström and Hägglund 2006, section 3.5).
    """

    integral: float = log1p(START)
    error: float = 0.0
    """The latest."""

    def step(self, error: float, days: float) -> tuple[Self, float]:
        """`days` later, at an `error` from −1 to 1; and the price now."""
        integral = max(0.0, self.integral + KI * error * days)
        worse = max(0.0, error - self.error) / max(days, EVERY / DAY)
        return self._replace(integral=integral, error=error), expm1(max(0.0, integral + KP * error + KD * worse))


def planned_share(passed: float) -> float:
    """Share of the budget that the calendar spends within a share of its days: most at first, and less each day.

    Not the same each day. Promises are kept in full and most are declined, so a day can spend but a part of what is
    free: the last of the budget has to be spread thin. And who is not contacted early cannot be as often later.
    """
    return float(1 - (1 - passed) ** EARLY)


def error_of(budget: Shard, passed: float, before: int = 0) -> float:
    """How far spend is ahead of the calendar once `passed` of its days, from 0 to 1, is over.

    As a share of what is left then by the calendar. What is promised counts by what it is expected to cost. The
    calendar is for what was not spent `before` it, in cents.
    """
    cents, spent = budget.allotment - before, budget.committed + budget.expected_cost - before
    plan = cents * planned_share(passed)
    left = max(cents - plan, cents * LEAST, 1)
    return min(max((spent - plan) / left, -1.0), 1.0)


class Kept(FrozenModel):
    """What is remembered of the pace."""

    start: AwareDatetime
    """When the calendar began."""
    before: int = 0
    """Cents that were spent by then, or expected to be."""
    at: AwareDatetime
    """When the PID last made a step."""
    price: float = START
    integral: float = PID().integral
    error: float = 0.0
    burst: int = 0
    """Cents promised and spent, from which on the price moves before the hour is over."""

    @classmethod
    def begun(cls, budget: Shard, now: datetime) -> Self:
        spent = budget.committed + budget.expected_cost
        return cls(start=now, at=now, before=spent, burst=_burst(budget, spent))

    def document(self) -> Document:
        return self.model_dump(mode="json")


def _burst(budget: Shard, before: int) -> int:
    return _promised(budget) + max(1, round(BURST * (budget.allotment - before)))


def _promised(budget: Shard) -> int:
    return budget.reserved + budget.committed


class BudgetPacer:
    """The price of one budget, which is to last for a calendar of `days` from its first opening on.

    When that is over a new one of as many days begins, as the first did, for what is not spent or expected to be.
    """

    def __init__(self, store: Store, ledger: Ledger, days: int, found: Documents) -> None:
        self._store, self._ledger, self._calendar = store, ledger, days * DAY
        self._learn(found)

    @classmethod
    async def open(cls, store: Store, ledger: Ledger, days: int, now: datetime) -> Self:
        def begun(found: Documents) -> dict[Key, Document]:
            return {} if found[PACE] else {PACE: Kept.begun(_budget(found, ledger), now).document()}

        return cls(store, ledger, days, await store.update([PACE, *ledger.keys], begun))

    async def price(self, now: datetime) -> float:
        if self._due(self._kept, now, sum(self._promised.values())):
            start = self._kept.start
            self._learn(await self._store.update([PACE, *self._ledger.keys], partial(self._moved, now=now)))
            if self._kept.start > start:
                telemetry.log("the budget's calendar was over, and a new one began for what is left", start=now)
        return self._kept.price

    def saw(self, shards: Documents) -> None:
        """What these shards hold, read by the way: so it takes no reading to know when much is promised."""
        self._promised |= {key: _promised(shard_in(document)) for key, document in shards.items()}

    def day(self, now: datetime) -> int:
        """Of the quarter that ends with the calendar: its first while that is longer, its last once that is over."""
        left = ceil((self._kept.start + self._calendar - now) / DAY)
        return RULES.quarter - min(max(left, 1), RULES.quarter)

    def _learn(self, found: Documents) -> None:
        self._kept, self._promised = Kept.model_validate(found[PACE]), dict[Key, int]()
        self.saw({key: found[key] for key in self._ledger.keys})

    def _due(self, kept: Kept, now: datetime, promised: int) -> bool:
        return now - kept.at >= EVERY or promised >= kept.burst or now >= kept.start + self._calendar

    def _moved(self, found: Documents, now: datetime) -> dict[Key, Document]:
        kept, budget = Kept.model_validate(found[PACE]), _budget(found, self._ledger)
        if not self._due(kept, now, _promised(budget)):
            return {}  # somebody else was first
        if now >= kept.start + self._calendar:
            return {PACE: Kept.begun(budget, now).document()}
        error = error_of(budget, (now - kept.start) / self._calendar, kept.before)
        pid, price = PID(kept.integral, kept.error).step(error, (now - kept.at) / DAY)
        moved = kept.model_copy(update={"price": price, "burst": _burst(budget, kept.before)})
        if now - kept.at >= EVERY:  # before, the price alone moves: the hour's step is the same, whatever came in it
            moved = moved.model_copy(update={"at": now, **pid._asdict()})
        return {PACE: moved.document()}


def _budget(found: Documents, ledger: Ledger) -> Shard:
    return together({key: found[key] for key in ledger.keys})
