"""The transitions of simulated customers: by hand, in one step or many, for one customer or many."""

from dataclasses import astuple

import numpy as np
import pytest

from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL
from training.policy.simulation.dynamics import NEVER_CONTACTED, SimulationState

HAZARD = 0.01


def started(number: int = 1, churn_threshold: float = 1.0) -> SimulationState:
    return SimulationState.start(np.full(number, churn_threshold))


def contact(state: SimulationState, level: int, accepted: bool) -> None:
    rows = np.arange(len(state.contacts))
    state.contact(rows, np.full(len(rows), level), np.full(len(rows), accepted), RESPONSE_MODEL)


def test_a_customer_starts_eligible_and_without_any_history() -> None:
    state = started()

    assert astuple(state) == (np.array([NEVER_CONTACTED]), 0, 0, 0, 1)
    assert state.eligible(RULES).tolist() == [True]
    assert state.fatigue_days_left(RESPONSE_MODEL).tolist() == [0]
    assert state.active.tolist() == [True]


def test_an_accepted_offer_lowers_the_hazard_while_it_holds_and_a_contact_raises_it_for_a_while() -> None:
    state = started()
    contact(state, level=1, accepted=True)  # holds 35 days
    added = [state.advance(1, np.array([HAZARD]), RESPONSE_MODEL).item() for _ in range(40)]

    expected = [1 - 0.5 + 0.05] * 14 + [1 - 0.5] * (35 - 14) + [1.0] * 5
    assert added == pytest.approx([HAZARD * exposure for exposure in expected])
    assert state.cumulative_hazard.item() == pytest.approx(sum(added))
    assert (state.days_since_contact.item(), state.offer_days_left.item(), state.contacts.item()) == (40, 0, 1)


def test_a_declined_contact_changes_no_offer_that_holds() -> None:
    state = started()
    contact(state, level=1, accepted=True)
    state.advance(20, np.array([HAZARD]), RESPONSE_MODEL)
    contact(state, level=3, accepted=False)

    assert (state.days_since_contact.item(), state.offer_days_left.item(), state.contacts.item()) == (0, 15, 2)


def test_of_two_accepted_offers_the_one_that_holds_longer_counts() -> None:
    state = started()
    contact(state, level=3, accepted=True)  # holds 60 days
    contact(state, level=0, accepted=True)  # 15

    assert state.offer_days_left.item() == 60


def test_a_customer_churns_when_the_cumulative_hazard_reaches_the_threshold() -> None:
    state = started(churn_threshold=0.035)
    active = [(state.advance(1, np.array([HAZARD]), RESPONSE_MODEL), state.active.item())[1] for _ in range(5)]

    assert active == [True, True, True, False, False]


def drawn(rng: np.random.Generator, number: int) -> SimulationState:
    state = started(number)
    for days in rng.integers(1, 30, 3):
        rows = np.flatnonzero(rng.random(number) < 0.5)
        state.contact(rows, rng.integers(0, 4, len(rows)), rng.random(len(rows)) < 0.5, RESPONSE_MODEL)
        state.advance(int(days), np.full(number, HAZARD), RESPONSE_MODEL)
    return state


def copied(state: SimulationState, rows: slice = slice(None), dtype: type = float) -> SimulationState:
    return SimulationState(*(array[rows].astype(dtype) for array in vars(state).values()))


def test_many_days_at_once_are_the_same_as_day_by_day_also_in_single_precision() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        daily, days, hazard = drawn(rng, 200), rng.integers(1, 9, 200), rng.uniform(0, 0.05, 200)
        at_once, single = copied(daily), copied(daily, dtype=np.float32)
        added = at_once.advance(days, hazard, RESPONSE_MODEL)
        single_added = single.advance(days.astype(np.float32), hazard.astype(np.float32), RESPONSE_MODEL)
        by_day = np.zeros(200)
        for day in range(8):
            by_day += daily.advance((day < days).astype(int), hazard, RESPONSE_MODEL)

        assert by_day == pytest.approx(added)
        assert single_added.dtype == np.float32
        assert single_added == pytest.approx(added, rel=1e-5)
        for by_days, in_one_step, in_single_precision in zip(
            astuple(daily), astuple(at_once), astuple(single), strict=True
        ):
            assert by_days == pytest.approx(in_one_step)
            assert in_single_precision.dtype == np.float32
            assert in_single_precision == pytest.approx(in_one_step, rel=1e-5)


def test_customers_together_are_the_same_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    together = drawn(rng, 50)
    alone = [copied(together, slice(row, row + 1)) for row in range(50)]
    levels, accepted, hazard = rng.integers(0, 4, 50), rng.random(50) < 0.5, rng.uniform(0, 0.05, 50)
    eligible = together.eligible(RULES)
    together.contact(np.arange(50), levels, accepted, RESPONSE_MODEL)
    together.advance(1, hazard, RESPONSE_MODEL)

    for row, state in enumerate(alone):
        assert state.eligible(RULES).item() == eligible[row]
        state.contact(np.array([0]), levels[row : row + 1], accepted[row : row + 1], RESPONSE_MODEL)
        state.advance(1, hazard[row : row + 1], RESPONSE_MODEL)
        assert [array.item() for array in astuple(state)] == [array[row] for array in astuple(together)]
