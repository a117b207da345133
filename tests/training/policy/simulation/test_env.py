import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from services.policy.policies.observation import OBSERVATION
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel
from training.policy.simulation.env import PenaltyWeights, RetentionEnv, RewardTerms

NO_CONTACT = np.array([0, 0, 0])


def one(hazard: float = 0.01, accept: float = 0.5, bill: float = 60.0) -> Customers:
    return Customers(np.array([hazard]), np.full((1, 4), accept), np.array([bill]))


def several() -> Customers:
    rng = np.random.default_rng(0)
    return Customers(rng.uniform(0.001, 0.05, 50), rng.uniform(0, 1, (50, 4)), rng.uniform(20, 120, 50))


def started(customers: Customers, **facts: Any) -> RetentionEnv:
    env = RetentionEnv(customers, **facts)
    env.reset(seed=3)
    return env


def test_gymnasium_finds_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(RetentionEnv(several(), budget=5.0, price=0.5), skip_render_check=True)


def test_who_contacts_every_day_stays_within_what_can_be_observed() -> None:
    env, cut = started(one(hazard=1e-9)), False
    while not cut:
        seen, *_, cut, _ = env.step(np.array([1, 3, 0]))
        assert env.observation_space.contains(seen), seen


def test_the_reward_is_what_is_retained_less_what_it_costs_and_breaks() -> None:
    env = started(one(hazard=1e-9, accept=1.0), budget=8.0, penalties=PenaltyWeights(budget=2.0, fatigue=7.0))

    _, first, *_, terms = env.step(np.array([1, 2, 3]))
    assert list(terms) == list(RewardTerms._fields)
    assert terms == pytest.approx(
        dict(zip(RewardTerms._fields, (8.0, 6.0, 0.05, 0.0, 0.0), strict=True))
    )  # four days of 60 a month
    assert first == pytest.approx(8 - 6 - 0.05)

    _, second, *_, terms = env.step(np.array([1, 1, 0]))  # forbidden, and 3 of money where 2 are left
    assert terms == pytest.approx(dict(zip(RewardTerms._fields, (2.0, 3.0, 0.05, 1.0, 1.0), strict=True)))
    assert second == pytest.approx(2 - 3 - 0.05 - 2 * 1 - 7 * 1)

    _, _, *_, terms = env.step(np.array([1, 1, 0]))
    assert terms["budget_violation"] == pytest.approx(3)  # nothing was left: all of it is beyond


@pytest.mark.parametrize("budget", [0.0, 6.0, 6.1])
def test_there_is_no_money_when_the_budget_is_spent(budget: float) -> None:
    env, place = started(one(accept=1.0), budget=budget), OBSERVATION.index("budget_remaining")

    observation, *_ = env.step(np.array([1, 2, 0]))

    assert observation[place] == (budget > 6.0)


def test_the_clock_cuts_who_stays_and_ends_nobody() -> None:
    env, days = started(one(hazard=1e-9)), 0
    while True:
        _, _, terminated, truncated, terms = env.step(np.array([0, 0, 6]))
        days += 7
        assert not terminated
        if truncated:
            break
    assert days == 91  # the last step is a day shorter
    assert terms["revenue_retained"] == pytest.approx(6 * 60 / 30)


def test_who_leaves_has_paid_for_the_day_and_is_not_cut_even_on_the_last_day() -> None:
    for rules in (RULES, Rules(quarter=1)):
        _, reward, terminated, truncated, _ = started(one(hazard=1e3), rules=rules).step(np.array([0, 0, 7]))

        assert (terminated, truncated) == (True, False)
        assert reward == pytest.approx(60 / 30)


def test_a_delay_is_days_without_contact() -> None:
    """One step of many days is as many steps of a day: in money, in state, and in who leaves and when."""
    long, short = RetentionEnv(several(), budget=20.0), RetentionEnv(several(), budget=20.0)
    rng, left, cut = np.random.default_rng(1), 0, 0
    long.reset(seed=5)
    short.reset(seed=5)
    for _ in range(3_000):
        contact, level, delay = rng.integers([2, 4, 8])
        seen, reward, terminated, truncated, terms = long.step(np.array([contact, level, delay]))
        totals, rewards = dict.fromkeys(RewardTerms._fields, 0.0), 0.0
        for action in [np.array([contact, level, 0]), *[NO_CONTACT] * delay]:
            also_seen, part, also_terminated, also_truncated, parts = short.step(action)
            totals, rewards = {name: totals[name] + parts[name] for name in RewardTerms._fields}, rewards + part
            if also_terminated or also_truncated:
                break
        assert (terminated, truncated) == (also_terminated, also_truncated)
        assert totals == pytest.approx(terms)
        assert rewards == pytest.approx(reward)
        if terminated or truncated:
            left, cut = left + terminated, cut + truncated
            seen, also_seen = long.reset()[0], short.reset()[0]
        assert seen.tolist() == also_seen.tolist()
    assert left > 30
    assert cut > 30


@pytest.mark.parametrize("level", range(4))
def test_an_accepted_offer_lowers_the_hazard_for_as_long_as_its_level_holds(level: int) -> None:
    response_model = ResponseModel(fatigue=0.0)
    env = started(one(hazard=1e-6, accept=1.0), response_model=response_model)
    cumulative_hazard = []
    for day in range(RULES.quarter):
        before = env.state.cumulative_hazard[0]
        env.step(np.array([day == 0, level, 0]))
        cumulative_hazard.append((env.state.cumulative_hazard[0] - before) / 1e-6)
    offer_days_left = response_model.effect_days[level]

    assert cumulative_hazard == pytest.approx(
        [1 - response_model.effect] * offer_days_left + [1.0] * (RULES.quarter - offer_days_left)
    )


def test_each_contact_annoys_for_a_while_and_more_than_the_one_before() -> None:
    env = started(one(hazard=1e-6, accept=0.0))
    cumulative_hazard = []
    for day in range(60):
        before = env.state.cumulative_hazard[0]
        env.step(np.array([day in (0, 30), 0, 0]))
        cumulative_hazard.append((env.state.cumulative_hazard[0] - before) / 1e-6)
    fatigue_days_left = (
        [1 + RESPONSE_MODEL.fatigue] * 14 + [1.0] * 16 + [1 + 2 * RESPONSE_MODEL.fatigue] * 14 + [1.0] * 16
    )

    assert cumulative_hazard == pytest.approx(fatigue_days_left)


def test_an_episode_is_the_same_again_with_its_seed() -> None:
    def played(seed: int) -> list[float]:
        env, rng = RetentionEnv(several()), np.random.default_rng(2)
        seen, _ = env.reset(seed=seed)
        return [*seen.tolist(), *(env.step(rng.integers([2, 4, 8]))[1] for _ in range(5))]

    assert played(1) == played(1) != played(2)
