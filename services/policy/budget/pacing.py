"""Budget pacing: a PID controller moves the budget's shadow price so that spend follows the calendar.

The price is stored with the budget and moves once an hour, by whichever process decides first then; the others read
it. If much is promised within the hour it moves earlier, so that a burst of events is not decided at one price. When
the calendar is over, a new one begins at once, for what is then left of the budget.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from math import ceil, expm1, log1p
from typing import NamedTuple, Self

from pydantic import AwareDatetime

from services.policy.budget.ledger import Ledger, Shard, sum_of
from services.policy.customer.state import DAY
from services.policy.response.dynamic_program import RULES
from shared import telemetry
from shared.messages import FrozenModel
from shared.store import Document, Documents, Key, Store

PACING: Key = ("budget", "pace")
STEP_INTERVAL = timedelta(hours=1)
BURST_SHARE = 0.02
"""Share of the calendar's money: when as much more is promised or spent, the price moves within the hour, too."""
FRONT_LOADING = 3.3
"""Exponent of the planned spend: higher spends more at first. Tuned through the service: 3 left 2 % of a large budget,
4 gained less from a small one."""
INITIAL_PRICE = 1.0
KP, KI, KD = 5.0, 0.5, 0.25
"""Gains on log(1 + price): of the error, of its integral over days, and of its change a day."""
MIN_SHARE_LEFT = 0.02
"""Share of the budget that is always taken to be left, so that a cent too much at the end is no infinite error."""


class PID(NamedTuple):
    """Controls log(1 + price), from 0 up, so the steps of a high price are larger.

    A Lagrange multiplier moved by a PID controller (Stooke, Achiam and Abbeel 2020, algorithm 2); as there, the
    derivative acts only on an error that grows. The integral never falls below 0 and the error is clipped to ±1, so
    neither winds up while the price has no effect (Åström and Hägglund 2006, section 3.5).
    """

    integral: float = log1p(INITIAL_PRICE)
    error: float = 0.0
    """Of the last step."""

    def step(self, error: float, days: float) -> tuple[Self, float]:
        """The controller `days` after its last step, and the price; `error` is from −1 to 1."""
        integral = max(0.0, self.integral + KI * error * days)
        derivative = max(0.0, error - self.error) / max(days, STEP_INTERVAL / DAY)
        return self._replace(integral=integral, error=error), expm1(max(0.0, integral + KP * error + KD * derivative))


def planned_share(elapsed: float) -> float:
    """Planned share of the budget to be spent when a share `elapsed` of the calendar is over.

    Most is spent at first, and less each day. Offers are reserved in full and most are declined, so a day can spend
    only a part of what is free: the end of the budget has to be spread thin. And a customer who is not contacted early
    cannot be contacted as often later.
    """
    return float(1 - (1 - elapsed) ** FRONT_LOADING)


def pacing_error(budget: Shard, elapsed: float, before: int = 0) -> float:
    """How far spend is ahead of the plan, as a share of what is planned to be left then; from −1 to 1.

    Open offers count by their expected cost. `before` is what was spent when the calendar began, in cents.
    """
    cents, spent = budget.allotment - before, budget.committed + budget.expected_cost - before
    planned = cents * planned_share(elapsed)
    left = max(cents - planned, cents * MIN_SHARE_LEFT, 1)
    return min(max((spent - planned) / left, -1.0), 1.0)


class PacingState(FrozenModel):
    """The stored state of the controller."""

    start: AwareDatetime
    """When the calendar began."""
    before: int = 0
    """Cents that were spent by then, or expected to be."""
    at: AwareDatetime
    """When the controller last made a step."""
    price: float = INITIAL_PRICE
    integral: float = PID().integral
    error: float = 0.0
    burst: int = 0
    """Cents reserved and committed from which the price moves before the hour is over."""

    @classmethod
    def begin(cls, budget: Shard, now: datetime) -> Self:
        """The state of a calendar that begins now."""
        spent = budget.committed + budget.expected_cost
        return cls(start=now, at=now, before=spent, burst=_burst_threshold(budget, spent))

    def to_document(self) -> Document:
        return self.model_dump(mode="json")


def _burst_threshold(budget: Shard, before: int) -> int:
    return budget.used + max(1, round(BURST_SHARE * (budget.allotment - before)))


class PacingSnapshot(NamedTuple):
    """What one read of the store says."""

    state: PacingState
    shards: Mapping[Key, Shard]


class BudgetPacer:
    """The shadow price of one budget that is to last for a calendar of `days`, from its first opening on.

    When the calendar is over a new one of as many days begins, for what is neither spent nor expected to be.
    """

    def __init__(self, store: Store, ledger: Ledger, days: int, snapshot: PacingSnapshot) -> None:
        self._store, self._ledger, self._calendar = store, ledger, days * DAY
        self._load(snapshot)

    @classmethod
    async def open(cls, store: Store, ledger: Ledger, days: int, now: datetime) -> Self:
        """Begin the calendar, or go on with the one that has begun."""

        def begin(documents: Documents) -> tuple[dict[Key, Document], PacingSnapshot]:
            shards = _shards(documents, ledger)
            if document := documents[PACING]:
                return {}, PacingSnapshot(PacingState.model_validate(document), shards)
            state = PacingState.begin(sum_of(shards.values()), now)
            return {PACING: state.to_document()}, PacingSnapshot(state, shards)

        return cls(store, ledger, days, await store.update([PACING, *ledger.keys], begin))

    async def price(self, now: datetime) -> float:
        """Shadow price of the budget: 1 unit of spend counts as 1 + price."""
        if self._is_due(self._state, now, sum(self._used.values())):
            start = self._state.start
            self._load(await self._store.update([PACING, *self._ledger.keys], partial(self._step, now=now)))
            if self._state.start > start:
                telemetry.log("the budget's calendar was over, and a new one began for what is left", start=now)
        return self._state.price

    def observe(self, shards: Mapping[Key, Shard]) -> None:
        """Take note of shards that were read anyway, to detect a burst without a read of its own."""
        self._used |= {key: shard.used for key, shard in shards.items()}

    def day(self, now: datetime) -> int:
        """Day of the quarter that ends with the calendar, from 0.

        It is the first day while more than a quarter is left, and the last once the calendar is over.
        """
        left = ceil((self._state.start + self._calendar - now) / DAY)
        return RULES.quarter - min(max(left, 1), RULES.quarter)

    def _load(self, snapshot: PacingSnapshot) -> None:
        self._state, self._used = snapshot.state, dict[Key, int]()
        self.observe(snapshot.shards)

    def _is_due(self, state: PacingState, now: datetime, used: int) -> bool:
        return now - state.at >= STEP_INTERVAL or used >= state.burst or now >= state.start + self._calendar

    def _step(self, documents: Documents, now: datetime) -> tuple[dict[Key, Document], PacingSnapshot]:
        state, shards = PacingState.model_validate(documents[PACING]), _shards(documents, self._ledger)
        budget = sum_of(shards.values())
        if not self._is_due(state, now, budget.used):
            return {}, PacingSnapshot(state, shards)  # another process was first
        state = self._next_state(state, budget, now)
        return {PACING: state.to_document()}, PacingSnapshot(state, shards)

    def _next_state(self, state: PacingState, budget: Shard, now: datetime) -> PacingState:
        if now >= state.start + self._calendar:
            return PacingState.begin(budget, now)
        error = pacing_error(budget, (now - state.start) / self._calendar, state.before)
        pid, price = PID(state.integral, state.error).step(error, (now - state.at) / DAY)
        moved = state.model_copy(update={"price": price, "burst": _burst_threshold(budget, state.before)})
        if now - state.at < STEP_INTERVAL:  # only the price moves: a burst leaves no trace in the next hour's step
            return moved
        return moved.model_copy(update={"at": now, **pid._asdict()})


def _shards(documents: Documents, ledger: Ledger) -> dict[Key, Shard]:
    return {key: Shard.from_document(documents[key]) for key in ledger.keys}
