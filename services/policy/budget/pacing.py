"""Budget pacing: a PID controller moves the budget's shadow price so that spend follows the calendar.

The price is stored with the budget and moves once an hour, by whichever process decides first then; the others read
it. If much is reserved within the hour it moves earlier, so that a burst of events is not decided at one price. The
calendar is the period over which the budget is to last (RETENTION_BUDGET_DAYS). When it is over, a new one begins at
once, for what is then left of the budget.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from math import ceil, expm1, log1p
from typing import NamedTuple, Self

from pydantic import AliasChoices, AwareDatetime, Field

from services.policy.budget.ledger import Ledger, Shard, sum_of
from services.policy.customer.state import DAY
from services.policy.response.dynamic_program import RULES
from shared import telemetry
from shared.messages import FrozenModel
from shared.store import Document, Documents, Key, Store

PACING: Key = ("budget", "pace")
"""Key of the document with the state of the controller."""
CALENDAR: Key = ("budget", "calendar")
"""Key of the document with the length of the calendar, in days. Commands keep to it, whatever their settings are."""
STEP_INTERVAL = timedelta(hours=1)
"""Time between two steps of the controller."""
BURST_SHARE = 0.02
"""Share of the calendar's budget: when as much more is reserved or spent, the price moves before the hour is over."""
FRONT_LOADING = 3.3
"""Exponent of the planned spend: higher spends more at first. Tuned through the service: 3 left 2 % of a large budget,
4 gained less from a small one."""
INITIAL_PRICE = 1.0
"""Shadow price when the first calendar begins."""
KP, KI, KD = 5.0, 0.5, 0.25
"""Gains on log(1 + price): of the error, of its integral over days, and of its change per day."""
MIN_SHARE_LEFT = 0.02
"""Least share of the budget that the error is divided by; otherwise it would be infinite at the calendar's end."""


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


def pacing_error(budget: Shard, elapsed: float, spent_at_start: int = 0) -> float:
    """How far spend is ahead of the plan, as a share of what is planned to be left then; from −1 to 1.

    Open offers count by their expected cost. `spent_at_start` is what was spent when the calendar began, in cents.
    """
    to_spend = budget.allotment - spent_at_start
    spent = budget.committed + budget.expected_cost - spent_at_start
    planned = to_spend * planned_share(elapsed)
    planned_left = max(to_spend - planned, to_spend * MIN_SHARE_LEFT, 1)
    return min(max((spent - planned) / planned_left, -1.0), 1.0)


class PacingState(FrozenModel):
    """The stored state of the controller. Three fields are stored under other names, their aliases."""

    start: AwareDatetime
    """When the calendar began."""
    spent_at_start: int = Field(
        default=0, validation_alias=AliasChoices("before", "spent_at_start"), serialization_alias="before"
    )
    """Cents that were spent when the calendar began, or expected to be."""
    stepped_at: AwareDatetime = Field(validation_alias=AliasChoices("at", "stepped_at"), serialization_alias="at")
    """When the controller last made a step."""
    price: float = INITIAL_PRICE
    """Shadow price of the budget."""
    integral: float = PID().integral
    """Of the controller, after its last step."""
    error: float = 0.0
    """Of the last step."""
    burst_threshold: int = Field(
        default=0, validation_alias=AliasChoices("burst", "burst_threshold"), serialization_alias="burst"
    )
    """Cents reserved and committed from which the price moves before the hour is over."""

    @classmethod
    def begin(cls, budget: Shard, now: datetime) -> Self:
        """The state of a calendar that begins now."""
        spent = budget.committed + budget.expected_cost
        return cls(start=now, stepped_at=now, spent_at_start=spent, burst_threshold=_burst_threshold(budget, spent))

    def to_document(self) -> Document:
        return self.model_dump(mode="json", by_alias=True)


def _burst_threshold(budget: Shard, spent_at_start: int) -> int:
    return budget.used + max(1, round(BURST_SHARE * (budget.allotment - spent_at_start)))


class PacingSnapshot(NamedTuple):
    """The controller's state and all shards, from one read of the store."""

    state: PacingState
    shards: Mapping[Key, Shard]


class BudgetPacer:
    """The shadow price of a budget that is to last for a calendar of `days`.

    The calendar begins when the budget is first opened. When it is over, another of as many days begins, for what is
    neither spent nor expected to be.
    """

    def __init__(self, store: Store, ledger: Ledger, days: int, snapshot: PacingSnapshot) -> None:
        self._store, self._ledger, self._calendar = store, ledger, days * DAY
        self._load(snapshot)

    @classmethod
    async def open(cls, store: Store, ledger: Ledger, days: int, now: datetime) -> Self:
        """Begin the calendar, or continue the one that has begun, which from now on has this number of days."""

        def begin(documents: Documents) -> tuple[dict[Key, Document], tuple[PacingSnapshot, Document | None]]:
            shards, calendar = _shards(documents, ledger), documents[CALENDAR]
            writes: dict[Key, Document] = {} if calendar == {"days": days} else {CALENDAR: {"days": days}}
            if document := documents[PACING]:
                return writes, (PacingSnapshot(PacingState.model_validate(document), shards), calendar)
            state = PacingState.begin(sum_of(shards.values()), now)
            return {**writes, PACING: state.to_document()}, (PacingSnapshot(state, shards), calendar)

        snapshot, before = await store.update([PACING, CALENDAR, *ledger.keys], begin)
        if before and before["days"] != days:
            telemetry.log(
                f"the budget was for {before['days']} days and is now for {days}, as RETENTION_BUDGET_DAYS says"
            )
        return cls(store, ledger, days, snapshot)

    async def price(self, now: datetime) -> float:
        """Shadow price of the budget: 1 unit of spend counts as 1 + price."""
        if self._is_due(self._state, now, sum(self._used.values())):
            start = self._state.start
            self._load(await self._store.update([PACING, *self._ledger.keys], partial(self._step, now=now)))
            if self._state.start > start:
                telemetry.log(
                    "the budget's calendar was over; a new one began for what is left of the budget", start=now
                )
        return self._state.price

    def observe(self, shards: Mapping[Key, Shard]) -> None:
        """Remember shards that a decision has read, so that a burst is detected without another read of the store."""
        self._used |= {key: shard.used for key, shard in shards.items()}

    def day(self, now: datetime) -> int:
        """Day of the campaign that ends with the calendar, from 0.

        It is the first day while more than `campaign_days` are left, and the last once the calendar is over.
        """
        days_left = ceil((self._state.start + self._calendar - now) / DAY)
        return RULES.campaign_days - min(max(days_left, 1), RULES.campaign_days)

    def _load(self, snapshot: PacingSnapshot) -> None:
        self._state, self._used = snapshot.state, dict[Key, int]()
        self.observe(snapshot.shards)

    def _is_due(self, state: PacingState, now: datetime, used: int) -> bool:
        return (
            now - state.stepped_at >= STEP_INTERVAL
            or used >= state.burst_threshold
            or now >= state.start + self._calendar
        )

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
        error = pacing_error(budget, (now - state.start) / self._calendar, state.spent_at_start)
        pid, price = PID(state.integral, state.error).step(error, (now - state.stepped_at) / DAY)
        threshold = _burst_threshold(budget, state.spent_at_start)
        updated = state.model_copy(update={"price": price, "burst_threshold": threshold})
        if now - state.stepped_at < STEP_INTERVAL:  # only the price moves: a burst does not change the next hour's step
            return updated
        return updated.model_copy(update={"stepped_at": now, **pid._asdict()})


def _shards(documents: Documents, ledger: Ledger) -> dict[Key, Shard]:
    return {key: Shard.from_document(documents[key]) for key in ledger.keys}
