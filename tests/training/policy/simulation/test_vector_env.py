from math import exp, inf

import numpy as np
import pytest

from services.policy.policies.observation import OBSERVATION
from services.policy.response.dynamic_program import RULES, DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, expected_revenue
from training.policy.simulation.env import RetentionEnv, RewardTerms
from training.policy.simulation.vector_env import RetentionVectorEnv


def several(number: int = 50) -> Customers:
    """In single precision, as the many are: so luck decides alike."""
    rng = np.random.default_rng(0)
    facts = rng.uniform(0.001, 0.05, number), rng.uniform(0, 1, (number, 4)), rng.uniform(20, 120, number)
    return Customers(*(fact.astype(np.float32).astype(float) for fact in facts))


def alike(hazard: float = 0.01, accept: float = 0.5, bill: float = 60.0) -> Customers:
    return Customers(np.array([hazard]), np.full((1, 4), accept), np.array([bill]))


def retention(customers: Customers, number: int, seed: int = 0, **facts: object) -> RetentionVectorEnv:
    return RetentionVectorEnv(customers, number, np.random.default_rng(seed), **facts)


def everyone(
    many: RetentionVectorEnv, contact: bool, level: int, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(many.num_envs, contact), np.full(many.num_envs, level), np.full(many.num_envs, delay)


@pytest.mark.parametrize("budget", [inf, 15.0, 0.0])
def test_the_twin_does_what_the_environment_does(budget: float) -> None:
    """Thousands of steps of all kinds on the same luck: each term and observation, who leaves, whom the clock cuts."""
    one, many = RetentionEnv(several(), price=0.7), retention(several(), 1, seed=4, budget=budget)
    many.price, rng, ended = np.float32(0.7), np.random.default_rng(1), {"left": 0, "cut": 0}
    one.budget = many.funds  # what customers before this one left or overspent comes along
    seen, _ = one.reset(seed=4)
    for _ in range(4_000):
        assert many.observe()[:, 0].tolist() == pytest.approx(seen.tolist(), abs=1e-5)
        contact, level, delay = action = rng.integers([2, 4, 8])
        seen, _, terminated, truncated, terms = one.step(action)
        step = many.step(*(np.array([each]) for each in (contact > 0, level, delay)))
        ours = {name: np.asarray(getattr(step.terms, name)).item() for name in RewardTerms._fields}
        assert ours == pytest.approx(terms, rel=1e-4, abs=1e-4)
        assert (step.terminated.item(), step.truncated.item()) == (terminated, truncated)
        if step.done.item():
            ended = {"left": ended["left"] + terminated, "cut": ended["cut"] + truncated}
            many.reset_done(step.done)
            one.budget = many.funds
            seen, _ = one.reset()
    assert min(ended.values()) > 50


def test_a_delay_is_days_without_contact() -> None:
    """One step of many days is as many steps of a day: in the probability of staying, and in state."""
    long, short = (retention(several(), 500, survival_weighted=True) for _ in range(2))
    rng = np.random.default_rng(1)
    for _ in range(40):
        contact, level, delay = rng.random(500) < 0.3, rng.integers(0, 4, 500), int(rng.integers(8))
        step, survival, days = long.step(contact, level, np.full(500, delay)), 1.0, 0.0
        for n in range(1 + delay):
            part = short.step(contact & (n == 0), level, np.zeros(500, int))
            survival, days = survival * part.survival, days + part.days
        assert days == pytest.approx(step.days)
        assert survival == pytest.approx(step.survival, rel=1e-5)
        assert short.observe() == pytest.approx(long.observe(), abs=1e-6)
        for many in (long, short):
            many.reset_done(step.truncated)


def returned(many: RetentionVectorEnv, contacts_on: range, level: int) -> float:
    """Money of a customer's year, in expectation over survival, less all costs: `many` must be immortal."""
    paid, active = np.zeros(many.num_envs), np.ones(many.num_envs)
    for day in range(many.rules.quarter):
        step = many.step(*everyone(many, day in contacts_on, level, 0))
        paid += active * (step.terms.revenue_retained - step.terms.offer_cost - step.terms.contact_cost)
        active *= step.survival
    return float((paid + active * later(many)).mean())


def later(many: RetentionVectorEnv) -> np.ndarray:
    """What they pay after the quarter."""
    customers = Customers(many.hazard, many.accept.T, many.bill)
    fatigue_days_left = np.maximum(many.response_model.fatigue_days - many.state.days_since_contact, 0)
    return expected_revenue(
        customers,
        many.response_model.value_days - many.day,
        many.state.offer_days_left,
        fatigue_days_left,
        many.state.contacts,
        many.response_model,
    )


@pytest.mark.parametrize("level", range(4))
def test_spam_loses_against_nothing_even_if_messages_were_free(level: int) -> None:
    response_model, customers = RESPONSE_MODEL._replace(contact_cost=0.0), alike(accept=0.3)
    spam, seldom, nothing = (
        returned(retention(customers, 500, survival_weighted=True, response_model=response_model), contacts_on, level)
        for contacts_on in (range(90), range(1), range(0))
    )
    assert nothing == pytest.approx(60 / 30 * sum(exp(-0.01 * day) for day in range(365)), rel=1e-4)
    assert spam < nothing - 1
    assert nothing + 1 < seldom


def test_a_budget_is_common_and_what_is_beyond_it_is_counted() -> None:
    many = retention(alike(hazard=1e-9, accept=1.0, bill=100.0), 3, budget=5.0)
    place = OBSERVATION.index("budget_remaining")
    assert many.observe()[place].tolist() == [1, 1, 1]

    step = many.step(*everyone(many, True, 2, 0))  # 10 each, of 15

    assert step.terms.offer_cost.tolist() == pytest.approx([10, 10, 10])
    assert step.terms.budget_violation.tolist() == pytest.approx([0, 5, 10])
    assert many.observe()[place].tolist() == [0, 0, 0]
    assert many.step(*everyone(many, True, 1, 0)).terms.budget_violation.tolist() == pytest.approx([5, 5, 5])
    many.reset_done(np.array([True, True, True]))
    assert many.funds == pytest.approx(15 - 30 - 15 + 15)


def test_a_budget_that_suffices_is_never_exceeded() -> None:
    many = retention(several(), 100, budget=1e6)
    for _ in range(20):
        assert not many.step(*everyone(many, True, 3, 1)).terms.budget_violation.any()


def test_what_the_gate_forbids_is_counted_and_masked() -> None:
    many = retention(alike(hazard=1e-9, accept=0.0), 1)
    allowed, broken = [], []
    for day in range(60):
        allowed.append(many.eligible().item())
        broken.append(many.step(*everyone(many, day in (0, 1, 20, 40, 59), 0, 0)).terms.fatigue_violation.item())

    days = [day for day, may in enumerate(allowed) if may]
    assert days == [0, *range(15, 21)]  # within the cooldown not; the third contact was the last
    assert [day for day, violation in enumerate(broken) if violation] == [1, 40, 59]


def test_who_accepted_is_left_alone_while_the_offer_holds() -> None:
    many = retention(alike(hazard=1e-9, accept=1.0), 1)
    many.step(*everyone(many, True, 1, 0))
    waited = 1
    while not many.eligible().item():
        many.step(*everyone(many, False, 0, 0))
        waited += 1
    assert waited == RESPONSE_MODEL.effect_days[1]


def test_to_be_immortal_changes_no_expectation() -> None:
    """Who stays, what is paid and what is spent: sampled lives against survival as a weight, day by day."""
    number, customers = 40_000, alike(hazard=0.03, accept=0.4)
    mortal, immortal = (retention(customers, number, seed=seed, survival_weighted=seed > 0) for seed in (0, 1))
    alive, active = np.ones(number, bool), np.ones(number)
    totals = np.zeros((2, 2, number))
    for day in range(30):
        action = everyone(mortal, day in (0, 14), 2, 0)
        step, weighted = mortal.step(*action), immortal.step(*action)
        totals[0] += alive * np.array([step.terms.revenue_retained, step.terms.offer_cost])
        totals[1] += active * np.array([weighted.terms.revenue_retained, weighted.terms.offer_cost])
        alive, active = alive & ~step.terminated, active * weighted.survival
        assert not weighted.terminated.any()
    difference = totals[0].mean(axis=1) - totals[1].mean(axis=1)
    error = np.sqrt((totals.var(axis=2) / number).sum(axis=0))
    assert (abs(difference) < 4 * error).all()
    assert alive.mean() == pytest.approx(active.mean(), abs=4 * np.sqrt(0.25 / number))
    assert totals[1].var(axis=1).sum() < totals[0].var(axis=1).sum()  # what it is for


def test_days_of_who_leaves_within_a_step_are_paid() -> None:
    """The mean over a step of eight days is that over eight steps of one."""
    number, hazard = 40_000, 0.2
    many = retention(alike(hazard=hazard), number)
    paid = many.step(*everyone(many, False, 0, 7))
    expected = 2 * sum(exp(-hazard * day) for day in range(8))
    assert paid.terms.revenue_retained.mean() == pytest.approx(expected, abs=4 * 16 / 2 / np.sqrt(number))


def test_a_gain_is_the_difference_a_contact_makes() -> None:
    """Against the customer's days written out, with and without it."""
    rng, many = np.random.default_rng(3), retention(several(), 60)
    many.day[:], many.state.days_since_contact[:], many.state.offer_days_left[:] = (
        rng.integers(0, 90, 60),
        rng.integers(0, 30, 60),
        rng.integers(0, 40, 60),
    )
    many.state.contacts[:] = rng.integers(0, 4, 60)
    who, level = np.arange(0, 60, 2), rng.integers(0, 4, 30)

    gains, costs = many.incremental_value(who, level)

    for customer, offer, ours, cost in zip(who, level, gains, costs, strict=True):
        hazard, bill = float(many.hazard[customer]), float(many.bill[customer])
        accept = float(many.accept[offer, customer])
        day, days_since_contact, offer_days_left, contacts = (
            int(each[customer])
            for each in (many.day, many.state.days_since_contact, many.state.offer_days_left, many.state.contacts)
        )

        def paid(
            days_since_contact: int, offer_days_left: int, contacts: int, fixed: tuple = (day, hazard, bill)
        ) -> float:
            today, hazard, bill = fixed
            total, active = 0.0, 1.0
            for n in range(365 - today):
                total += active * bill / 30
                fatigue_days_left = contacts * (days_since_contact + n < RESPONSE_MODEL.fatigue_days)
                active *= exp(
                    -hazard
                    * (1 - RESPONSE_MODEL.effect * (n < offer_days_left) + RESPONSE_MODEL.fatigue * fatigue_days_left)
                )
            return total

        accepted = (
            paid(0, max(offer_days_left, RESPONSE_MODEL.effect_days[offer]), contacts + 1) - DISCOUNTS[offer] * bill
        )
        mean = accept * accepted + (1 - accept) * paid(0, offer_days_left, contacts + 1)
        assert ours == pytest.approx(
            mean - paid(days_since_contact, offer_days_left, contacts) - RESPONSE_MODEL.contact_cost, abs=1e-3
        )
        assert cost == pytest.approx(accept * DISCOUNTS[offer] * bill)


def test_gains_add_up_to_the_return_over_doing_nothing() -> None:
    """Whatever is done, also what the gate forbids: the potential telescopes, so only luck is between the two."""
    number, rng = 20_000, np.random.default_rng(5)
    many = retention(several(), number, survival_weighted=True)
    none = later(many)
    gained, paid, active = np.zeros(number), np.zeros(number), np.ones(number)
    for _ in range(many.rules.quarter):
        contact, level = rng.random(number) < 0.05, rng.integers(0, 4, number)
        who = np.flatnonzero(contact)
        gained[who] += active[who] * many.incremental_value(who, level[who])[0]
        step = many.step(contact, level, np.zeros(number, int))
        paid += active * (step.terms.revenue_retained - step.terms.offer_cost - step.terms.contact_cost)
        active *= step.survival
    difference = paid + active * later(many) - none - gained

    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(number)
    assert abs(gained.mean()) > 40 * difference.std() / np.sqrt(number)  # so an error of a tenth would show


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_the_best_policy_gains_and_spends_here_what_the_dynamic_program_says(price: float) -> None:
    customers, number = Customers(np.array([0.015]), np.array([[0.2, 0.4, 0.5, 0.6]]), np.array([80.0])), 10_000
    stages = {stage.day: stage for stage in DynamicProgram(customers).solve(price)}
    many = retention(customers, number, survival_weighted=True)
    totals = np.zeros((2, number))
    for day in range(RULES.quarter):
        contacts = np.minimum(many.state.contacts, RULES.cap - 1).astype(int)
        worth_it = stages[day].contact.max(axis=0) > stages[day].wait
        contact = many.eligible() & worth_it[0, contacts]
        level, who = stages[day].contact.argmax(axis=0)[0, contacts], np.flatnonzero(contact)
        gain, cost = many.incremental_value(who, level[who])
        totals[:, who] += np.exp(-many.state.cumulative_hazard[who]) * np.array([gain - price * cost, cost])
        many.step(contact, level, np.zeros(number, int))
    first, error = stages[0], totals.std(axis=1) / np.sqrt(number)

    assert abs(totals.mean(axis=1) - [first.best[0, 0], first.spend[0, 0]]) == pytest.approx(
        [0, 0], abs=4 * error.max()
    )
    assert (totals.mean(axis=1) > 20 * error).all()


def test_who_is_done_makes_room_and_nobody_else() -> None:
    many = retention(several(), 200)
    step = many.step(*everyone(many, True, 1, 7))
    before = many._states.copy(), many._facts.copy()

    many.reset_done(step.done)

    assert 0 < step.done.sum() < 200
    assert (many._states[:, ~step.done] == before[0][:, ~step.done]).all()
    assert (many._facts[:, ~step.done] == before[1][:, ~step.done]).all()
    assert not many.state.contacts[step.done].any()
    assert not many.day[step.done].any()
    assert many.eligible()[step.done].all()


def test_the_clock_cuts_who_stays() -> None:
    many = retention(alike(hazard=0.01), 2_000)
    alive = np.ones(2_000, bool)
    for _ in range(12):
        step = many.step(*everyone(many, False, 0, 7))
        assert not (step.terminated & step.truncated).any()
        alive &= ~step.terminated
    assert step.days.tolist() == [2] * 2_000
    assert step.truncated.sum() == alive.sum()
