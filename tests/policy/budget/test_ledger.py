from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from services.policy.budget.ledger import (
    EXHAUSTED_TTL,
    SHARDS,
    TOTAL,
    BudgetError,
    Ledger,
    Shard,
    default_shards,
    resize,
    transfer,
)
from shared.store import Document, Documents, Key, SQLiteStore
from tests.support.clock import NOON, noon

Cents = st.integers(0, 2_000)


class Escrow(RuleBasedStateMachine):
    """Decisions, outcomes and borrowing in any order create no money and promise none twice."""

    budget = 5_000
    keys: list[Key] = [(SHARDS, str(i)) for i in range(3)]

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[Key, Document | None] = {TOTAL: None, **dict.fromkeys(self.keys)}
        self.documents |= resize(self.documents, self.keys, self.budget)
        self.reservations: list[tuple[Key, int, int]] = []
        self.spent = 0

    def shard(self, key: Key) -> Shard:
        return Shard.from_document(self.documents[key])

    @rule(key=st.sampled_from(keys), cents=Cents, accept_prob=st.floats(0, 1))
    def reserve(self, key: Key, cents: int, accept_prob: float) -> None:
        if cents <= self.shard(key).free:
            expected_cost = round(accept_prob * cents)
            self.documents[key] = self.shard(key).reserve(cents, expected_cost).to_document()
            self.reservations.append((key, cents, expected_cost))
        else:
            with pytest.raises(ValidationError, match="exceed the allotment"):
                self.shard(key).reserve(cents)

    @rule(data=st.data(), accepted=st.booleans())
    def settle(self, data: st.DataObject, accepted: bool) -> None:
        if not self.reservations:
            return
        key, cents, expected_cost = self.reservations.pop(data.draw(st.integers(0, len(self.reservations) - 1)))
        status = "committed" if accepted else "released"
        self.documents[key] = self.shard(key).change_status(cents, expected_cost, "reserved", status).to_document()
        self.spent += cents if accepted else 0

    @rule(keys=st.permutations(keys), need=Cents)
    def borrow(self, keys: list[Key], need: int) -> None:
        lender, borrower, _ = keys
        before = self.shard(borrower).free
        writes, free = transfer(self.documents, lender_key=lender, borrower_key=borrower, need=need)
        self.documents |= writes
        assert free == self.shard(borrower).free
        assert free >= before
        assert free >= need or self.shard(lender).free == 0

    @invariant()
    def the_budget_is_kept(self) -> None:
        shards = [self.shard(key) for key in self.keys]
        assert sum(shard.allotment for shard in shards) == self.budget
        assert sum(shard.committed for shard in shards) == self.spent
        assert sum(shard.reserved for shard in shards) == sum(cents for _, cents, _ in self.reservations)
        assert sum(shard.expected_cost for shard in shards) == sum(cost for *_, cost in self.reservations)
        assert sum(shard.reserved + shard.committed for shard in shards) <= self.budget
        assert all(shard.free >= 0 for shard in shards)


TestEscrow = Escrow.TestCase
TestEscrow.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_no_more_is_reserved_than_is_free() -> None:
    shard = Shard(allotment=100, reserved=30, committed=20)

    assert shard.reserve(50).free == 0
    with pytest.raises(ValueError, match="exceed the allotment by 1 cents"):
        shard.reserve(51)


def test_no_more_is_settled_than_is_reserved() -> None:
    shard = Shard(allotment=100, reserved=30)

    with pytest.raises(ValueError, match="reserved"):
        shard.change_status(31, 0, "reserved", "released")
    with pytest.raises(ValueError, match="reserved"):
        shard.change_status(31, 0, "reserved", "committed")


def test_the_expected_cost_is_stored_as_awaited() -> None:
    document = {"allotment": 100, "reserved": 30, "committed": 0, "awaited": 12}

    assert Shard(allotment=100, reserved=30, expected_cost=12).to_document() == document
    assert Shard.from_document(document).expected_cost == 12


async def test_opening_the_ledger_again_changes_nothing() -> None:
    store = SQLiteStore()
    first = await Ledger.open(store, 100.01, 3)
    before = await store.read([TOTAL, *((SHARDS, str(i)) for i in range(3))])
    again = await Ledger.open(store, 100.01, 3)

    assert await store.read(list(before)) == before
    assert await again.balance() == await first.balance() == Shard(allotment=10_001)


async def test_the_number_of_shards_stays_as_first_set_up() -> None:
    store = SQLiteStore()
    first = await Ledger.open(store, 100, 4)
    again = await Ledger.open(store, 120, 9)

    ids = [str(i) for i in range(100)]
    assert [again.shard_of(i) for i in ids] == [first.shard_of(i) for i in ids]
    assert len({first.shard_of(i) for i in ids}) == 4
    assert await again.balance() == Shard(allotment=12_000)


def test_a_budget_split_otherwise_by_another_process_is_not_split_again() -> None:
    keys = [(SHARDS, str(i)) for i in range(4)]
    documents = resize(dict.fromkeys([TOTAL, *keys]), keys, 1_000)

    with pytest.raises(BudgetError, match=r"from 2 to 4\. Restart"):
        resize(documents, keys[:2], 1_000)


async def test_a_budget_is_split_evenly_to_the_cent() -> None:
    store = SQLiteStore()
    await Ledger.open(store, 100, 7)

    shards = await store.read([(SHARDS, str(i)) for i in range(7)])
    allotments = [Shard.from_document(shard).allotment for shard in shards.values()]
    assert sum(allotments) == 10_000
    assert max(allotments) - min(allotments) <= 1


@pytest.mark.parametrize("budget", [150, 100.5, 60, 30, 0.01, 0])
async def test_a_budget_can_be_raised_and_lowered(budget: float) -> None:
    store = SQLiteStore()
    await Ledger.open(store, 100, 3)
    ledger = await Ledger.open(store, budget, 3)

    assert (await ledger.balance()).allotment == round(budget * 100)


async def reserve(store: SQLiteStore, key: Key, cents: int) -> None:
    def change(documents: Documents) -> tuple[dict[Key, Document], None]:
        return {key: Shard.from_document(documents[key]).reserve(cents).to_document()}, None

    await store.update([key], change)


async def test_a_budget_cannot_be_lowered_below_what_is_reserved() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 100, 3)
    await reserve(store, ledger.shard_of("Sam"), 2_050)
    before = await store.read([TOTAL, *((SHARDS, str(i)) for i in range(3))])

    with pytest.raises(
        BudgetError,
        match=r"the budget cannot be 20\.49, because 20\.50 is reserved or spent\. Set it to 20\.50 or more",
    ):
        await Ledger.open(store, 20.49, 3)
    assert await store.read(list(before)) == before

    await Ledger.open(store, 20.5, 3)
    assert await ledger.balance() == Shard(allotment=2_050, reserved=2_050)


async def test_borrowing_moves_what_is_needed_and_creates_no_money() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")

    await ledger.borrow(shard, 8_000)

    assert Shard.from_document((await store.read([shard]))[shard]).free >= 8_000
    assert await ledger.balance() == Shard(allotment=9_000)


async def test_a_shard_with_enough_borrows_nothing() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")
    before = await store.read([(SHARDS, str(i)) for i in range(3)])

    await ledger.borrow(shard, 3_000)

    assert await store.read(list(before)) == before
    assert not ledger.exhausted(3_000)


async def test_a_need_that_is_met_does_not_exhaust_the_budget() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")
    await ledger.borrow(shard, 9_000)

    await ledger.borrow(shard, 9_000)

    assert not ledger.exhausted(9_000)


async def test_reserved_money_cannot_be_borrowed() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 2, noon)
    borrower, lender = sorted({ledger.shard_of(str(i)) for i in range(20)})
    await reserve(store, lender, 4_000)

    await ledger.borrow(borrower, 9_000)

    assert Shard.from_document((await store.read([borrower]))[borrower]).free == 5_000
    assert await ledger.balance() == Shard(allotment=9_000, reserved=4_000)


async def test_the_budget_stays_exhausted_for_a_while_after_a_need_was_not_met() -> None:
    now = [NOON]

    def clock() -> datetime:
        return now[0]

    ledger = await Ledger.open(SQLiteStore(), 10, 2, clock)
    await ledger.borrow(ledger.shard_of("Sam"), 5_000)

    assert ledger.exhausted(5_000)
    assert ledger.exhausted(6_000)
    assert not ledger.exhausted(500), "somebody who needs less may still find it"
    now[0] += EXHAUSTED_TTL - timedelta(microseconds=1)
    assert ledger.exhausted(5_000)
    now[0] += timedelta(microseconds=1)
    assert not ledger.exhausted(5_000)


async def test_a_single_shard_cannot_borrow() -> None:
    ledger = await Ledger.open(SQLiteStore(), 10, 1, noon)

    assert ledger.exhausted(1)


@pytest.mark.parametrize(("budget", "shards"), [(0, 1), (199, 1), (5_000, 25), (1e6, 256)])
def test_the_default_number_of_shards_grows_with_the_budget(budget: float, shards: int) -> None:
    assert default_shards(budget) == shards
