"""How dear the budget's money is: a PID moves its price so that spend follows the budget's calendar.

The price is kept with the budget, and moves once an hour, by whoever decides first then; the others read it.
"""

from datetime import datetime, timedelta
from functools import partial
from math import ceil, expm1, log1p
from typing import NamedTuple, Self

from pydantic import AwareDatetime

from services.policy.index import RULES
from services.policy.ledger import Ledger, Shard, together
from services.policy.state import DAY
from shared.messages import Value
from shared.store import Document, Documents, Key, Store

PACE: Key = ("budget", "pace")
EVERY = timedelta(hours=1)
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
        worse = max(0.0, error - self.error) / days
        return self._replace(integral=integral, error=error), expm1(max(0.0, integral + KP * error + KD * worse))


def planned(passed: float) -> float:
    """Share of the budget that the calendar spends within a share of its days: most at first, and less each day.

    Not the same each day. Promises are kept in full and most are declined, so a day can spend but a part of what is
    free: the last of the budget has to be spread thin. And who is not contacted early cannot be as often later.
    """
    return 1 - (1 - passed) ** 3


def error_of(budget: Shard, passed: float) -> float:
    """How far spend is ahead of the calendar once `passed` of its days, from 0 to 1, is over.

    As a share of what is left then by the calendar. What is promised counts by what it is expected to cost.
    """
    cents, spent = budget.allotment, budget.committed + budget.awaited
    plan = cents * planned(passed)
    left = max(cents - plan, cents * LEAST, 1)
    return min(max((spent - plan) / left, -1.0), 1.0)


class Kept(Value):
    """What is remembered of the pace."""

    start: AwareDatetime
    """When the calendar began."""
    at: AwareDatetime
    """When the price last moved."""
    price: float = START
    integral: float = PID().integral
    error: float = 0.0

    def document(self) -> Document:
        return self.model_dump(mode="json")


class Pace:
    """The price of one budget, which is to last for a calendar of `days` from its first opening on."""

    def __init__(self, store: Store, ledger: Ledger, days: int, kept: Kept) -> None:
        self._store, self._ledger, self._calendar, self._kept = store, ledger, days * DAY, kept

    @classmethod
    async def open(cls, store: Store, ledger: Ledger, days: int, now: datetime) -> Self:
        new = Kept(start=now, at=now).document()
        found = await store.update([PACE], lambda found: {} if found[PACE] else {PACE: new})
        return cls(store, ledger, days, Kept.model_validate(found[PACE]))

    async def price(self, now: datetime) -> float:
        if now - self._kept.at >= EVERY:
            found = await self._store.update([PACE, *self._ledger.keys], partial(self._moved, now=now))
            self._kept = Kept.model_validate(found[PACE])
        return self._kept.price

    def day(self, now: datetime) -> int:
        """Of the quarter that ends with the calendar: its first while that is longer, its last once that is over."""
        left = ceil((self._kept.start + self._calendar - now) / DAY)
        return RULES.quarter - min(max(left, 1), RULES.quarter)

    def _moved(self, found: Documents, now: datetime) -> dict[Key, Document]:
        kept = Kept.model_validate(found[PACE])
        if now - kept.at < EVERY:
            return {}  # somebody else was first
        error = error_of(together({key: found[key] for key in self._ledger.keys}), self._passed(kept, now))
        pid, price = PID(kept.integral, kept.error).step(error, (now - kept.at) / DAY)
        return {PACE: Kept(start=kept.start, at=now, price=price, **pid._asdict()).document()}

    def _passed(self, kept: Kept, now: datetime) -> float:
        return min((now - kept.start) / self._calendar, 1.0)
