"""The budget as an escrow, in whole cents.

The budget is split into shards when it is set up. A decision spends only what its customer's shard has free, in the
commit that makes the decision. A shard that runs short borrows from the others in a commit of its own, which moves
allotment and creates none. So what is reserved and committed never exceeds the budget, at any instant, however many
processes decide at the same time. (O'Neil, "The escrow transactional method", ACM TODS 11(4), 1986.)
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Self
from zlib import crc32

from pydantic import AliasChoices, Field, NonNegativeInt, model_validator

from shared import telemetry
from shared.errors import ConfigurationError
from shared.messages import FrozenModel
from shared.service import Clock, utc_now
from shared.store import Document, Documents, Key, Store

SHARDS = "budget-shards"
"""Collection of the shards' documents."""
TOTAL: Key = ("budget", "total")
"""Key of the document with the budget in cents and its number of shards."""
EXHAUSTED_TTL = timedelta(seconds=5)
"""Time before the other shards are asked again for an amount that they could not lend, even if money is released."""


class BudgetError(ConfigurationError):
    """The budget cannot be set up: less is asked for than is reserved or spent, or its shards have changed."""


class Shard(FrozenModel):
    """A part of the budget: its allotment, what is reserved for open offers, and what is committed (spent)."""

    allotment: NonNegativeInt = 0
    reserved: NonNegativeInt = 0
    """Worst-case cost of the open offers."""
    committed: NonNegativeInt = 0
    expected_cost: NonNegativeInt = Field(
        default=0, validation_alias=AliasChoices("awaited", "expected_cost"), serialization_alias="awaited"
    )
    """Expected cost of the open offers, by their acceptance probabilities. Stored as `awaited`."""

    @model_validator(mode="after")
    def _solvent(self) -> Self:
        if self.free < 0:
            raise ValueError(f"reserved and committed exceed the allotment by {-self.free} cents")
        return self

    @classmethod
    def from_document(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def to_document(self) -> Document:
        return self.model_dump(by_alias=True)

    @property
    def used(self) -> int:
        return self.reserved + self.committed

    @property
    def free(self) -> int:
        return self.allotment - self.used

    def allot(self, cents: int) -> Self:
        """Add `cents` to the allotment; a negative number takes from it."""
        return self._add(allotment=cents)

    def reserve(self, cents: int, expected_cost: int = 0) -> Self:
        return self._add(reserved=cents, expected_cost=expected_cost)

    def change_status(self, cents: int, expected_cost: int, before: str, after: str) -> Self:
        """Account for an offer that is no longer `before` but `after`: reserved, committed or released."""
        reserved, committed = ((after == status) - (before == status) for status in ("reserved", "committed"))
        return self._add(reserved=reserved * cents, expected_cost=reserved * expected_cost, committed=committed * cents)

    def _add(self, **cents: int) -> Self:
        amounts = self.model_dump()
        return type(self)(**{**amounts, **{name: amounts[name] + change for name, change in cents.items()}})


def default_shards(budget: float) -> int:
    """A number of shards so that each holds tens of offers and few have to borrow; `budget` is money."""
    return max(1, min(256, int(budget // 200)))


class Ledger:
    """The shards of one budget in one store."""

    def __init__(self, store: Store, shards: int, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock
        self.keys: list[Key] = [(SHARDS, str(i)) for i in range(shards)]
        self._unmet_need, self._exhausted_until = 0, datetime.min.replace(tzinfo=UTC)

    @classmethod
    async def open(cls, store: Store, budget: float, shards: int, clock: Clock = utc_now) -> Self:
        """Set up the budget, or change it to `budget` (money). The number of shards stays what it was at first.

        Raises `BudgetError` if more than `budget` is reserved or spent already.
        """
        total = (await store.read([TOTAL]))[TOTAL]
        ledger = cls(store, total["shards"] if total else shards, clock)
        cents = round(budget * 100)
        if total is None or total["cents"] != cents:
            await store.update([TOTAL, *ledger.keys], lambda documents: (resize(documents, ledger.keys, cents), None))
            if total:
                telemetry.log(
                    f"the budget was {total['cents'] / 100:.2f} and is now {budget:.2f}, as RETENTION_BUDGET says"
                )
        return ledger

    @classmethod
    async def load(cls, store: Store) -> Self | None:
        """The ledger of the budget that was set up in `store`; None if there is none."""
        total = (await store.read([TOTAL]))[TOTAL]
        return cls(store, total["shards"]) if total else None

    def shard_of(self, customer_id: str) -> Key:
        return self.keys[crc32(customer_id.encode()) % len(self.keys)]

    async def borrow(self, shard_key: Key, need: int) -> None:
        """Move free allotment from the other shards, those with most free first, until the shard has `need` cents free.

        Moves less if all shards together have less free.
        """
        if self.exhausted(need):
            return
        shards = {key: Shard.from_document(document) for key, document in (await self._store.read(self.keys)).items()}
        if shards.pop(shard_key).free >= need:
            return
        for lender_key in sorted(shards, key=lambda key: -shards[key].free):
            if shards[lender_key].free == 0:
                break
            change = partial(transfer, lender_key=lender_key, borrower_key=shard_key, need=need)
            if await self._store.update([shard_key, lender_key], change) >= need:
                return
        self._unmet_need, self._exhausted_until = need, self._clock() + EXHAUSTED_TTL

    def exhausted(self, need: int) -> bool:
        """Whether borrowing is pointless: there is one shard only, or the others recently had less."""
        return len(self.keys) == 1 or (need >= self._unmet_need and self._clock() < self._exhausted_until)

    async def balance(self) -> Shard:
        """The sum of all shards."""
        documents = await self._store.read(self.keys)
        return sum_of(Shard.from_document(document) for document in documents.values())


def sum_of(shards: Iterable[Shard]) -> Shard:
    amounts = [shard.model_dump() for shard in shards]
    return Shard(**{name: sum(amount[name] for amount in amounts) for name in Shard.model_fields})


def transfer(
    documents: Documents, *, lender_key: Key, borrower_key: Key, need: int
) -> tuple[Mapping[Key, Document], int]:
    """Move allotment so that the borrower has `need` cents free, if the lender has them.

    At least half of what the lender has free moves, so that the borrower need not borrow again soon. Returns the
    writes, and the cents that the borrower then has free.
    """
    lender, borrower = Shard.from_document(documents[lender_key]), Shard.from_document(documents[borrower_key])
    cents = min(lender.free, max(need - borrower.free, lender.free // 2))
    if cents <= 0 or borrower.free >= need:
        return {}, borrower.free
    lender, borrower = lender.allot(-cents), borrower.allot(cents)
    return {lender_key: lender.to_document(), borrower_key: borrower.to_document()}, borrower.free


def resize(documents: Documents, keys: list[Key], cents: int) -> Mapping[Key, Document]:
    """The shards of a budget of `cents` in all: more is spread evenly, less is taken where it is free.

    Raises `BudgetError` if less is free than is to be taken, or another process has changed the number of shards.
    """
    if (total := documents[TOTAL]) and total["shards"] != len(keys):
        raise BudgetError(
            f"Another process changed the number of budget shards from {len(keys)} to {total['shards']}. "
            "Restart the service."
        )
    shards = {key: Shard.from_document(documents[key]) for key in keys}
    change = cents - sum(shard.allotment for shard in shards.values())
    writes: dict[Key, Document] = {TOTAL: {"cents": cents, "shards": len(keys)}}
    for shards_left, (key, shard) in zip(range(len(keys), 0, -1), shards.items(), strict=True):
        shard_change = change // shards_left if change >= 0 else max(change, -shard.free)
        writes[key] = shard.allot(shard_change).to_document()
        change -= shard_change
    if change:
        used = (cents - change) / 100
        raise BudgetError(
            f"RETENTION_BUDGET: the budget cannot be {cents / 100:.2f}, because {used:.2f} is reserved or spent. "
            f"Set it to {used:.2f} or more."
        )
    return writes
