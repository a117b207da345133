"""The budget, as an escrow. Money is whole cents.

The budget is split into shards at set-up. A decision spends only what its customer's shard holds, in the commit that
makes the decision; a shard that runs dry takes from the others in a commit of its own, which moves allotment and
creates none. So what is reserved and committed never exceeds the budget, at any instant, under any concurrency.
(O'Neil, "The escrow transactional method", ACM TODS 11(4), 1986.)
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from math import ceil
from typing import Self
from zlib import crc32

from pydantic import AliasChoices, Field, NonNegativeInt, model_validator

from shared.messages import OFFERS, FrozenModel
from shared.service import Clock, utc_now
from shared.store import Document, Documents, Key, Store

SHARDS = "budget-shards"
TOTAL: Key = ("budget", "total")
DRY_FOR = timedelta(seconds=5)
"""How long what the budget did not hold is not looked for again. Released money waits no longer than this."""


class BudgetError(Exception):
    """The budget asked for is less than what has been promised already."""


class Shard(FrozenModel):
    """A part of the budget: what may be spent of it, is promised, and is spent.

    Promises are kept in full, whatever is expected of them; `expected_cost` is what they are expected to cost.
    """

    allotment: NonNegativeInt = 0
    reserved: NonNegativeInt = 0
    committed: NonNegativeInt = 0
    expected_cost: NonNegativeInt = Field(
        default=0, validation_alias=AliasChoices("awaited", "expected_cost"), serialization_alias="awaited"
    )

    @model_validator(mode="after")
    def _solvent(self) -> Self:
        if self.free < 0:
            raise ValueError(f"overdrawn by {-self.free} cents")
        return self

    @property
    def free(self) -> int:
        return self.allotment - self.reserved - self.committed

    def granted(self, cents: int) -> Document:
        """With that much more to spend, or less."""
        return self._with(allotment=cents)

    def reserve(self, cents: int, expected_cost: int = 0) -> Document:
        return self._with(reserved=cents, expected_cost=expected_cost)

    def move(self, cents: int, expected_cost: int, before: str, after: str) -> Document:
        """A promise is no longer what it was `before`: reserved, committed (spent), or released."""

        def step(part: str) -> int:
            return (after == part) - (before == part)

        reserved, committed = step("reserved"), step("committed")
        return self._with(
            reserved=reserved * cents, expected_cost=reserved * expected_cost, committed=committed * cents
        )

    def _with(self, **more: int) -> Document:
        old = self.model_dump()
        return Shard(**{**old, **{name: old[name] + cents for name, cents in more.items()}}).model_dump(by_alias=True)


def default_shards(budget: float) -> int:
    """As many as hold tens of offers each, so that few of them borrow; `budget` is money."""
    return max(1, min(256, int(budget // 200)))


@lru_cache(maxsize=1024)
def offer_cost(level: int, monthly_charges: float | None) -> int | None:
    """Worst case of an offer, in cents: its percentage of the next bill. None where the bill is not known."""
    if OFFERS[level] == 0:
        return 0
    return None if monthly_charges is None else ceil(round(monthly_charges * OFFERS[level], 6))


class Ledger:
    """The shards of one budget in one store."""

    def __init__(self, store: Store, shards: int, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock
        self.keys: list[Key] = [(SHARDS, str(i)) for i in range(shards)]
        self._missed, self._dry_until = 0, datetime.min.replace(tzinfo=UTC)

    @classmethod
    async def open(cls, store: Store, budget: float, shards: int, clock: Clock = utc_now) -> Self:
        """Set the budget up, or change it to `budget` (money). The number of shards stays what it was at first."""
        total = (await store.read([TOTAL]))[TOTAL]
        ledger = cls(store, total["shards"] if total else shards, clock)
        cents = round(budget * 100)
        if total is None or total["cents"] != cents:
            await store.update([TOTAL, *ledger.keys], lambda found: _resized(found, ledger.keys, cents))
        return ledger

    @classmethod
    async def load(cls, store: Store) -> Self | None:
        """The budget as it is, where there is one."""
        total = (await store.read([TOTAL]))[TOTAL]
        return cls(store, total["shards"]) if total else None

    def shard_of(self, customer_id: str) -> Key:
        return self.keys[crc32(customer_id.encode()) % len(self.keys)]

    async def borrow(self, shard: Key, need: int) -> None:
        """Move at least `need` cents of free allotment to `shard`, from the richest first, as far as there are any."""
        if self.exhausted(need):
            return
        neighbours = {key: shard_in(found) for key, found in (await self._store.read(self.keys)).items()}
        if neighbours.pop(shard).free >= need:
            return
        for neighbour in sorted(neighbours, key=lambda key: -neighbours[key].free):
            if neighbours[neighbour].free == 0:
                break
            after = await self._store.update(
                [shard, neighbour], partial(_moved, giver=neighbour, taker=shard, need=need)
            )
            if shard_in(after[shard]).free >= need:
                return
        self._missed, self._dry_until = need, self._clock() + DRY_FOR

    def exhausted(self, need: int) -> bool:
        """No other shard could help: there is none, or a moment ago all together did not hold as much."""
        return len(self.keys) == 1 or (need >= self._missed and self._clock() < self._dry_until)

    async def balance(self) -> Shard:
        """All shards together."""
        return together(await self._store.read(self.keys))


def together(found: Documents) -> Shard:
    """The sum of these shards."""
    documents = [shard_in(document).model_dump() for document in found.values()]
    return Shard(**{name: sum(each[name] for each in documents) for name in Shard.model_fields})


def shard_in(document: Document | None) -> Shard:
    return Shard.model_validate(document or {})


def _moved(found: Documents, *, giver: Key, taker: Key, need: int) -> Mapping[Key, Document]:
    """Half of what the giver has free, or what is needed: enough that the taker need not come again at once."""
    rich, poor = shard_in(found[giver]), shard_in(found[taker])
    cents = min(rich.free, max(need - poor.free, rich.free // 2))
    return {giver: rich.granted(-cents), taker: poor.granted(cents)} if cents > 0 and poor.free < need else {}


def _resized(found: Documents, keys: list[Key], cents: int) -> Mapping[Key, Document]:
    """The shards with a budget of `cents` in all: more is spread evenly, less is taken where it is free."""
    if (total := found[TOTAL]) and total["shards"] != len(keys):
        raise BudgetError(
            f"The budget was split into {total['shards']} shards meanwhile, not {len(keys)}: start again."
        )
    shards = {key: shard_in(found[key]) for key in keys}
    more = cents - sum(shard.allotment for shard in shards.values())
    written: dict[Key, Document] = {TOTAL: {"cents": cents, "shards": len(keys)}}
    for left, (key, shard) in zip(range(len(keys), 0, -1), shards.items(), strict=True):
        part = more // left if more >= 0 else max(more, -shard.free)
        written[key] = shard.granted(part)
        more -= part
    if more:
        raise BudgetError(f"The budget cannot be {cents / 100:.2f}: {(cents - more) / 100:.2f} is promised or spent.")
    return written
