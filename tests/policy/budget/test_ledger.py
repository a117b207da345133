from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from services.policy.budget.ledger import (
    DRY_FOR,
    SHARDS,
    TOTAL,
    BudgetError,
    Ledger,
    Shard,
    _moved,
    _resized,
    default_shards,
    offer_cost,
    shard_in,
)
from shared.messages import OFFERS
from shared.store import Document, Key, SQLiteStore
from tests.policy.builders import NOON, noon

Cents = st.integers(0, 2_000)


class Escrow(RuleBasedStateMachine):
    """Whatever decisions, outcomes and shards do, in any order: nothing is created, nothing promised twice."""

    budget = 5_000
    keys: list[Key] = [(SHARDS, str(i)) for i in range(3)]

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[Key, Document | None] = {TOTAL: None, **dict.fromkeys(self.keys)}
        self.documents |= _resized(self.documents, self.keys, self.budget)
        self.promised: list[tuple[Key, int, int]] = []
        self.spent = 0

    @rule(key=st.sampled_from(keys), cents=Cents, likely=st.floats(0, 1))
    def reserve(self, key: Key, cents: int, likely: float) -> None:
        if cents <= shard_in(self.documents[key]).free:
            expected_cost = round(likely * cents)
            self.documents[key] = shard_in(self.documents[key]).reserve(cents, expected_cost)
            self.promised.append((key, cents, expected_cost))
        else:
            with pytest.raises(ValidationError, match="overdrawn"):
                shard_in(self.documents[key]).reserve(cents)

    @rule(data=st.data(), accepted=st.booleans())
    def settle(self, data: st.DataObject, accepted: bool) -> None:
        if not self.promised:
            return
        key, cents, expected_cost = self.promised.pop(data.draw(st.integers(0, len(self.promised) - 1)))
        shard = shard_in(self.documents[key])
        self.documents[key] = shard.move(cents, expected_cost, "reserved", "committed" if accepted else "released")
        self.spent += cents if accepted else 0

    @rule(keys=st.permutations(keys), need=Cents)
    def borrow(self, keys: list[Key], need: int) -> None:
        giver, taker, _ = keys
        before = shard_in(self.documents[taker]).free
        found = {key: self.documents[key] for key in (giver, taker)}
        self.documents |= _moved(found, giver=giver, taker=taker, need=need)
        after = shard_in(self.documents[taker]).free
        assert after >= before
        assert after >= need or shard_in(self.documents[giver]).free == 0

    @invariant()
    def the_budget_is_kept(self) -> None:
        shards = [shard_in(self.documents[key]) for key in self.keys]
        assert sum(shard.allotment for shard in shards) == self.budget
        assert sum(shard.committed for shard in shards) == self.spent
        assert sum(shard.reserved for shard in shards) == sum(cents for _, cents, _ in self.promised)
        assert sum(shard.expected_cost for shard in shards) == sum(
            expected_cost for _, _, expected_cost in self.promised
        )
        assert sum(shard.reserved + shard.committed for shard in shards) <= self.budget
        assert all(shard.free >= 0 for shard in shards)


TestEscrow = Escrow.TestCase
TestEscrow.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_no_more_is_reserved_than_is_free() -> None:
    shard = Shard(allotment=100, reserved=30, committed=20)

    assert Shard.model_validate(shard.reserve(50)).free == 0
    with pytest.raises(ValueError, match="overdrawn by 1 cents"):
        shard.reserve(51)


def test_no_more_is_settled_than_is_reserved() -> None:
    shard = Shard(allotment=100, reserved=30)

    with pytest.raises(ValueError, match="reserved"):
        shard.move(31, 0, "reserved", "released")
    with pytest.raises(ValueError, match="reserved"):
        shard.move(31, 0, "reserved", "committed")


@pytest.mark.parametrize(
    ("percent", "charges", "cents"),
    [(10, 89.99, 900), (5, 89.99, 450), (15, 0.01, 1), (15, 20.0, 300), (5, 0.29, 2), (10, 64.7, 647), (15, 0.0, 0)],
)
def test_an_offer_costs_its_share_of_the_bill_rounded_up_to_a_cent(percent: int, charges: float, cents: int) -> None:
    assert offer_cost(OFFERS.index(percent), charges) == cents


def test_a_contact_without_discount_costs_nothing_even_where_the_bill_is_unknown() -> None:
    assert offer_cost(0, None) == 0
    assert offer_cost(1, None) is None


@given(cents=st.integers(0, 10**9), level=st.sampled_from(range(1, len(OFFERS))))
def test_no_offer_costs_more_than_is_set_aside_and_less_than_a_cent_is_lost(cents: int, level: int) -> None:
    cost = offer_cost(level, cents / 100)

    assert cost is not None
    assert 0 <= 100 * cost - cents * OFFERS[level] < 100


async def test_opening_twice_changes_nothing() -> None:
    store = SQLiteStore()
    first = await Ledger.open(store, 100.01, 3)
    before = await store.read([TOTAL, *((SHARDS, str(i)) for i in range(3))])
    again = await Ledger.open(store, 100.01, 3)

    assert await store.read(list(before)) == before
    assert await again.balance() == await first.balance() == Shard(allotment=10_001)


async def test_the_number_of_shards_stays_what_it_was_at_first() -> None:
    store = SQLiteStore()
    first = await Ledger.open(store, 100, 4)
    again = await Ledger.open(store, 120, 9)

    ids = [str(i) for i in range(100)]
    assert [again.shard_of(i) for i in ids] == [first.shard_of(i) for i in ids]
    assert len({first.shard_of(i) for i in ids}) == 4
    assert await again.balance() == Shard(allotment=12_000)


def test_a_budget_split_meanwhile_is_not_split_again() -> None:
    keys = [(SHARDS, str(i)) for i in range(4)]
    other = _resized(dict.fromkeys([TOTAL, *keys]), keys, 1_000)

    with pytest.raises(BudgetError, match="4 shards meanwhile, not 2"):
        _resized(other, keys[:2], 1_000)


async def test_a_budget_is_split_evenly_to_the_cent() -> None:
    store = SQLiteStore()
    await Ledger.open(store, 100, 7)

    shards = await store.read([(SHARDS, str(i)) for i in range(7)])
    allotments = [shard_in(shard).allotment for shard in shards.values()]
    assert sum(allotments) == 10_000
    assert max(allotments) - min(allotments) <= 1


@pytest.mark.parametrize("budget", [150, 100.5, 60, 30, 0.01, 0])
async def test_a_budget_can_be_raised_and_lowered(budget: float) -> None:
    store = SQLiteStore()
    await Ledger.open(store, 100, 3)
    ledger = await Ledger.open(store, budget, 3)

    assert (await ledger.balance()).allotment == round(budget * 100)


async def reserved(store: SQLiteStore, ledger: Ledger, customer: str, cents: int) -> None:
    key = ledger.shard_of(customer)
    await store.update([key], lambda found: {key: shard_in(found[key]).reserve(cents)})


async def test_a_budget_cannot_be_lowered_below_what_is_promised() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 100, 3)
    await reserved(store, ledger, "Sam", 2_050)
    before = await store.read([TOTAL, *((SHARDS, str(i)) for i in range(3))])

    with pytest.raises(BudgetError, match=r"The budget cannot be 20\.49: 20\.50 is promised or spent\."):
        await Ledger.open(store, 20.49, 3)
    assert await store.read(list(before)) == before

    await Ledger.open(store, 20.5, 3)
    assert await ledger.balance() == Shard(allotment=2_050, reserved=2_050)


async def test_borrowing_moves_what_is_needed_and_creates_nothing() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")

    await ledger.borrow(shard, 8_000)

    assert shard_in((await store.read([shard]))[shard]).free >= 8_000
    assert await ledger.balance() == Shard(allotment=9_000)


async def test_a_shard_with_enough_takes_nothing() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")
    before = await store.read([(SHARDS, str(i)) for i in range(3)])

    await ledger.borrow(shard, 3_000)

    assert await store.read(list(before)) == before
    assert not ledger.exhausted(3_000)


async def test_a_shard_that_holds_enough_does_not_call_the_budget_dry() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 3, noon)
    shard = ledger.shard_of("Sam")
    await ledger.borrow(shard, 9_000)

    await ledger.borrow(shard, 9_000)

    assert not ledger.exhausted(9_000)


async def test_what_is_promised_cannot_be_borrowed() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, 90, 2, noon)
    one, other = sorted({ledger.shard_of(str(i)) for i in range(20)})
    await store.update([other], lambda found: {other: shard_in(found[other]).reserve(4_000)})

    await ledger.borrow(one, 9_000)

    assert shard_in((await store.read([one]))[one]).free == 5_000
    assert await ledger.balance() == Shard(allotment=9_000, reserved=4_000)


async def test_what_was_not_there_is_not_looked_for_again_at_once() -> None:
    now = [NOON]

    def clock() -> datetime:
        return now[0]

    ledger = await Ledger.open(SQLiteStore(), 10, 2, clock)
    await ledger.borrow(ledger.shard_of("Sam"), 5_000)

    assert ledger.exhausted(5_000)
    assert ledger.exhausted(6_000)
    assert not ledger.exhausted(500), "somebody who needs less may still find it"
    now[0] += DRY_FOR - timedelta(microseconds=1)
    assert ledger.exhausted(5_000)
    now[0] += timedelta(microseconds=1)
    assert not ledger.exhausted(5_000)


async def test_a_single_shard_has_nobody_to_borrow_from() -> None:
    ledger = await Ledger.open(SQLiteStore(), 10, 1, noon)

    assert ledger.exhausted(1)


@pytest.mark.parametrize(("budget", "shards"), [(0, 1), (199, 1), (5_000, 25), (1e6, 256)])
def test_a_small_budget_is_split_into_few_shards(budget: float, shards: int) -> None:
    assert default_shards(budget) == shards
