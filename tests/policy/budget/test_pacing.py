from datetime import timedelta
from math import exp, expm1, log1p

import pytest

from services.policy.budget.ledger import SHARDS, Ledger, Shard
from services.policy.budget.pacing import (
    INITIAL_PRICE,
    KD,
    KI,
    KP,
    MIN_SHARE_LEFT,
    PACING,
    PID,
    STEP_INTERVAL,
    BudgetPacer,
    pacing_error,
    planned_share,
)
from shared.store import Document, Documents, Key, SQLiteStore
from tests.policy.builders import RetryingStore
from tests.support.clock import NOON, noon

DAY = timedelta(days=1)
SHARD: Key = (SHARDS, "0")
ALL = 10**12
"""Cents of a budget in which rounding to cents does not show."""


def spent(share: float, expected_cost: float = 0.0) -> Shard:
    return Shard(allotment=ALL, committed=round(ALL * share), expected_cost=round(ALL * expected_cost), reserved=0)


def test_the_plan_spends_the_whole_budget_and_less_each_day() -> None:
    days = [planned_share((day + 1) / 90) - planned_share(day / 90) for day in range(90)]

    assert (planned_share(0), planned_share(1)) == (0, 1)
    assert sorted(days, reverse=True) == days
    assert days[-1] > 0


def test_the_error_is_a_share_of_what_is_planned_to_be_left() -> None:
    left = 1 - planned_share(0.5)
    assert pacing_error(spent(1 - left), 0.5) == pytest.approx(0, abs=1e-9)
    assert pacing_error(spent(1 - 0.2 * left), 0.5) == pytest.approx(0.8)
    assert pacing_error(spent(1 - 1.2 * left), 0.5) == pytest.approx(-0.2)
    assert pacing_error(spent(1 - left, expected_cost=0.5 * left), 0.5) == pytest.approx(0.5)


def test_the_error_is_clipped_and_finite_at_the_end() -> None:
    assert pacing_error(spent(0.0), 0.9) == -1
    assert pacing_error(spent(1.0), 0.2) == 1
    assert pacing_error(spent(0.99), 1.0) == pytest.approx(-0.01 / MIN_SHARE_LEFT)
    assert pacing_error(Shard(), 0.5) == 0


def test_open_offers_count_by_their_expected_cost() -> None:
    shard = Shard(allotment=10_000).reserve(1_000, expected_cost=200)

    assert pacing_error(shard, 0.0) == pytest.approx(0.02)


def test_a_step_is_the_sum_of_its_proportional_integral_and_derivative_terms() -> None:
    pid, price = PID(integral=0.5, error=0.1).step(0.3, days=2)

    assert pid.integral == pytest.approx(0.5 + KI * 0.3 * 2)
    assert pid.error == 0.3
    assert price == pytest.approx(expm1(0.5 + KI * 0.3 * 2 + KP * 0.3 + KD * 0.1))


def test_the_derivative_ignores_an_error_that_falls() -> None:
    _, price = PID(integral=1.0, error=0.3).step(0.1, days=1)

    assert price == pytest.approx(expm1(1.0 + KI * 0.1 + KP * 0.1))


def test_the_price_stays_while_the_error_is_zero() -> None:
    pid, price = PID().step(0.0, days=30)

    assert pid == PID()
    assert price == pytest.approx(INITIAL_PRICE)


def test_the_price_is_never_negative_and_rises_again_at_once() -> None:
    pid = PID()
    for _ in range(1_000):
        pid, price = pid.step(-1.0, days=1)
    assert (pid.integral, price) == (0.0, 0.0)

    _, price = pid.step(0.1, days=1)
    assert price > 0


@pytest.mark.parametrize("demand", [0.5, 3.0, 10.0])
def test_spend_follows_the_plan_though_demand_trebles_in_the_middle(demand: float) -> None:
    """Demand falls with the price; at a price of 0 it is `demand` budgets a campaign."""
    budget, pid, price, cents = 1_000_000, PID(), INITIAL_PRICE, 0.0
    ahead = []
    for day in range(90):
        for _ in range(24):
            factor = 3 if 30 <= day < 45 else 1
            cents = min(cents + factor * demand * budget / 90 / 24 * exp(-log1p(price)), budget)
            passed = (day + 1) / 90
            pid, price = pid.step(pacing_error(Shard(allotment=budget, committed=round(cents)), passed), 1 / 24)
        ahead.append(cents / budget - planned_share(passed))
    assert max(ahead) < 0.35
    if demand > 1:
        assert min(ahead) > -0.1
        assert cents > 0.97 * budget


async def opened(store: SQLiteStore, days: int = 90, budget: float = 100, shards: int = 2) -> BudgetPacer:
    return await BudgetPacer.open(store, await Ledger.open(store, budget, shards, noon), days, NOON)


async def stored(store: SQLiteStore) -> Document:
    state = (await store.read([PACING]))[PACING]
    assert state
    return state


async def spend(store: SQLiteStore, cents: int) -> None:
    def reserve(documents: Documents) -> tuple[dict[Key, Document], None]:
        return {SHARD: Shard.from_document(documents[SHARD]).reserve(cents, cents).to_document()}, None

    await store.update([SHARD], reserve)


@pytest.mark.parametrize("kind", [SQLiteStore, RetryingStore])
async def test_the_price_moves_once_an_hour_with_what_is_spent(kind: type[SQLiteStore]) -> None:
    store = kind()
    pacer = await opened(store)
    await spend(store, 2_000)

    assert await pacer.price(NOON + STEP_INTERVAL - timedelta(seconds=1)) == INITIAL_PRICE
    moved = await pacer.price(NOON + STEP_INTERVAL)

    plan = planned_share(1 / 24 / 90)
    assert moved == pytest.approx(PID().step((0.2 - plan) / (1 - plan), 1 / 24)[1])
    assert moved > INITIAL_PRICE
    await spend(store, 2_000)
    assert await pacer.price(NOON + STEP_INTERVAL + timedelta(minutes=59)) == moved
    assert await pacer.price(NOON + 2 * STEP_INTERVAL) > moved


async def test_a_second_process_reads_the_price_of_the_first() -> None:
    store = SQLiteStore()
    pacer, other = await opened(store), await opened(store)
    await spend(store, 2_000)
    price = await pacer.price(NOON + STEP_INTERVAL)
    await spend(store, 199)

    assert await other.price(NOON + STEP_INTERVAL + timedelta(minutes=30)) == price
    assert (await stored(store))["price"] == price


async def test_the_calendar_begins_when_the_budget_is_first_opened() -> None:
    store = SQLiteStore()
    ledger = await Ledger.open(store, ALL / 100, 1, noon)
    await BudgetPacer.open(store, ledger, 90, NOON)
    await spend(store, round(ALL * planned_share(0.5)))
    later = await BudgetPacer.open(store, ledger, 90, NOON + 45 * DAY)

    assert later.day(NOON + 45 * DAY) == 45
    assert await later.price(NOON + 45 * DAY) == pytest.approx(INITIAL_PRICE), (
        "the spend is as planned for half of the calendar"
    )


@pytest.mark.parametrize(
    ("days", "passed", "day"), [(90, 0, 0), (90, 0.5, 0), (90, 89.5, 89), (90, 400, 89), (30, 0, 60), (365, 10, 0)]
)
async def test_a_campaign_ends_with_the_calendar(days: int, passed: float, day: int) -> None:
    assert (await opened(SQLiteStore(), days)).day(NOON + passed * DAY) == day


async def observe(pacer: BudgetPacer, store: SQLiteStore) -> None:
    pacer.observe({SHARD: Shard.from_document((await store.read([SHARD]))[SHARD])})


@pytest.mark.parametrize("kind", [SQLiteStore, RetryingStore])
async def test_the_price_moves_within_the_hour_in_a_burst(kind: type[SQLiteStore]) -> None:
    store = kind()
    pacer = await opened(store)
    await spend(store, 199)
    await observe(pacer, store)
    assert await pacer.price(NOON) == INITIAL_PRICE
    await spend(store, 1)
    await observe(pacer, store)

    first = await pacer.price(NOON)

    assert first == pytest.approx(PID().step(0.02, 0)[1])
    assert first > INITIAL_PRICE
    await spend(store, 199)
    await observe(pacer, store)
    assert await pacer.price(NOON) == first
    await spend(store, 1)
    await observe(pacer, store)
    assert await pacer.price(NOON) == pytest.approx(PID().step(0.04, 0)[1])


async def test_a_burst_does_not_change_the_next_hours_price() -> None:
    prices = []
    for burst in (True, False):
        store = SQLiteStore()
        pacer = await opened(store)
        for _ in range(5):
            await spend(store, 300)
            if burst:
                await observe(pacer, store)
                assert await pacer.price(NOON + STEP_INTERVAL / 2) > INITIAL_PRICE
        prices.append(await pacer.price(NOON + STEP_INTERVAL))

    assert prices[0] == prices[1]


async def test_of_two_processes_that_see_a_burst_one_moves_the_price() -> None:
    store = SQLiteStore()
    pacer, other = await opened(store), await opened(store)
    await spend(store, 300)
    await observe(pacer, store)
    price = await pacer.price(NOON)
    await spend(store, 100)
    await observe(other, store)

    assert await other.price(NOON) == price != INITIAL_PRICE
    assert (await stored(store))["burst"] == 500


async def test_a_process_that_starts_late_knows_what_others_reserved() -> None:
    store = SQLiteStore()
    await opened(store)
    await spend(store, 200)

    assert await (await opened(store)).price(NOON) > INITIAL_PRICE


async def test_without_a_budget_the_price_does_not_move_at_once() -> None:
    store = SQLiteStore()
    pacer = await opened(store, budget=0)
    before = await store.read([PACING])

    assert await pacer.price(NOON) == INITIAL_PRICE
    assert await store.read([PACING]) == before


def test_a_calendar_plans_only_what_was_not_spent_before_it() -> None:
    rest = spent(0.6 + 0.4 * planned_share(0.5))

    assert pacing_error(rest, 0.5, spent_at_start=6 * ALL // 10) == pytest.approx(0, abs=1e-9)
    assert pacing_error(rest, 0.5) > 0
    assert pacing_error(spent(0.6), 0.0, spent_at_start=65 * ALL // 100) == pytest.approx(-5 / 35), (
        "less was accepted than expected"
    )


async def test_a_new_calendar_begins_when_one_is_over(caplog: pytest.LogCaptureFixture) -> None:
    store = SQLiteStore()
    pacer, over = await opened(store, days=2, shards=1), NOON + 48 * STEP_INTERVAL
    for hour in range(48):
        await pacer.price(NOON + hour * STEP_INTERVAL)
    await spend(store, 6_000)
    assert "calendar" not in caplog.text

    with caplog.at_level("INFO", "retention"):
        assert await pacer.price(over) == INITIAL_PRICE
    assert "calendar" in caplog.text
    assert pacer.day(over) == 88, "two days of the campaign are left again"
    state = await stored(store)
    assert state["before"] == 6_000
    assert state["burst"] == 6_000 + 0.02 * 4_000


async def test_the_next_calendar_spends_what_is_left_of_the_budget() -> None:
    """Half of it is left, and at a price of 0 demand is three times as much."""
    store, cents, left, end = SQLiteStore(), 0.0, [10_000], 10 * 24
    ledger = await Ledger.open(store, 100, 1, noon)
    pacer = await BudgetPacer.open(store, ledger, 10, NOON)
    await pacer.price(NOON)
    await spend(store, 5_000)
    for hour in range(2 * end):
        price = await pacer.price(NOON + hour * STEP_INTERVAL)
        if hour >= end:
            cents += 15_000 / end / (1 + price)
            await spend(store, min(int(cents), left[-1]))
            cents -= int(cents)
        left.append((await ledger.balance()).free)

    assert left[end] == 5_000
    assert left[end + end // 2] == pytest.approx(5_000 * (1 - planned_share(0.5)), abs=500)
    assert left[-1] < 500
