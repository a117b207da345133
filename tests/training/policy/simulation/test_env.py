"""The Gymnasium environment: its interface, its reward and the ends of its episodes."""

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


def single_customer(hazard: float = 0.01, accept: float = 0.5, bill: float = 60.0) -> Customers:
    return Customers(np.array([hazard]), np.full((1, 4), accept), np.array([bill]))


def random_customers() -> Customers:
    rng = np.random.default_rng(0)
    return Customers(rng.uniform(0.001, 0.05, 50), rng.uniform(0, 1, (50, 4)), rng.uniform(20, 120, 50))


def started(customers: Customers, **options: Any) -> RetentionEnv:
    env = RetentionEnv(customers, **options)
    env.reset(seed=3)
    return env


def test_gymnasiums_environment_checker_has_no_complaints() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(RetentionEnv(random_customers(), budget=5.0, price=0.5), skip_render_check=True)


def test_observations_stay_in_their_space_even_with_a_contact_a_day() -> None:
    env, truncated = started(single_customer(hazard=1e-9)), False
    while not truncated:
        observation, *_, truncated, _ = env.step(np.array([1, 3, 0]))
        assert env.observation_space.contains(observation), observation


def test_the_reward_is_the_revenue_less_costs_and_penalties() -> None:
    env = started(
        single_customer(hazard=1e-9, accept=1.0), budget=8.0, penalties=PenaltyWeights(budget=2.0, fatigue=7.0)
    )

    def expected(*terms: float) -> Any:
        return pytest.approx(RewardTerms(*terms)._asdict())

    _, reward, *_, terms = env.step(np.array([1, 2, 3]))
    assert list(terms) == list(RewardTerms._fields)
    assert terms == expected(8.0, 6.0, 0.05, 0.0, 0.0)  # four days of 60 a month
    assert reward == pytest.approx(8 - 6 - 0.05)

    _, reward, *_, terms = env.step(np.array([1, 1, 0]))  # forbidden, and 3 of money where 2 are left
    assert terms == expected(2.0, 3.0, 0.05, 1.0, 1.0)
    assert reward == pytest.approx(2 - 3 - 0.05 - 2 * 1 - 7 * 1)

    _, _, *_, terms = env.step(np.array([1, 1, 0]))
    assert terms["budget_violation"] == pytest.approx(3), "nothing was left: all of it is beyond the budget"


@pytest.mark.parametrize("budget", [0.0, 6.0, 6.1])
def test_no_budget_remains_once_it_is_spent(budget: float) -> None:
    env = started(single_customer(accept=1.0), budget=budget)

    observation, *_ = env.step(np.array([1, 2, 0]))

    assert observation[OBSERVATION.index("budget_remaining")] == (budget > 6.0)


def test_the_end_of_the_campaign_truncates_the_episode_and_does_not_terminate_it() -> None:
    env, days, truncated, terms = started(single_customer(hazard=1e-9)), 0, False, dict[str, Any]()
    while not truncated:
        _, _, terminated, truncated, terms = env.step(np.array([0, 0, 6]))
        days += 7
        assert not terminated
    assert days == 91  # the last step is a day shorter
    assert terms["revenue_retained"] == pytest.approx(6 * 60 / 30)


@pytest.mark.parametrize("rules", [RULES, Rules(campaign_days=1)])
def test_churn_terminates_the_episode_after_the_day_is_paid_even_on_the_last_day(rules: Rules) -> None:
    _, reward, terminated, truncated, _ = started(single_customer(hazard=1e3), rules=rules).step(np.array([0, 0, 7]))

    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(60 / 30)


def test_a_delay_is_the_same_as_days_without_contact() -> None:
    """One step of many days is as many steps of a day: in money, in state, and in who churns and when."""
    long, short = RetentionEnv(random_customers(), budget=20.0), RetentionEnv(random_customers(), budget=20.0)
    rng, ends = np.random.default_rng(1), {"terminated": 0, "truncated": 0}
    long.reset(seed=5)
    short.reset(seed=5)
    for _ in range(3_000):
        contact, level, delay = rng.integers([2, 4, 8])
        observation, reward, terminated, truncated, terms = long.step(np.array([contact, level, delay]))
        totals, rewards = dict.fromkeys(RewardTerms._fields, 0.0), 0.0
        for action in [np.array([contact, level, 0]), *[NO_CONTACT] * delay]:
            daily_observation, daily_reward, *ended, daily_terms = short.step(action)
            totals, rewards = {name: totals[name] + daily_terms[name] for name in totals}, rewards + daily_reward
            if any(ended):
                break
        assert [terminated, truncated] == ended
        assert totals == pytest.approx(terms)
        assert rewards == pytest.approx(reward)
        if terminated or truncated:
            ends["terminated"] += terminated
            ends["truncated"] += truncated
            observation, daily_observation = long.reset()[0], short.reset()[0]
        assert observation.tolist() == daily_observation.tolist()
    assert min(ends.values()) > 30


def daily_exposure(env: RetentionEnv, hazard: float, actions: list[np.ndarray]) -> list[float]:
    """Days of plain hazard that each day adds."""
    cumulative = [0.0]
    for action in actions:
        env.step(action)
        cumulative.append(env.state.cumulative_hazard.item() / hazard)
    return np.diff(cumulative).tolist()


@pytest.mark.parametrize("level", range(4))
def test_an_accepted_offer_lowers_the_hazard_for_the_days_of_its_level(level: int) -> None:
    response_model = ResponseModel(fatigue=0.0)
    env = started(single_customer(hazard=1e-6, accept=1.0), response_model=response_model)
    actions = [np.array([day == 0, level, 0]) for day in range(RULES.campaign_days)]

    effect_days, remaining_days = (
        response_model.effect_days[level],
        RULES.campaign_days - response_model.effect_days[level],
    )
    assert daily_exposure(env, 1e-6, actions) == pytest.approx(
        [1 - response_model.effect] * effect_days + [1.0] * remaining_days
    )


def test_each_contact_raises_the_hazard_for_a_while_and_more_than_the_one_before() -> None:
    env = started(single_customer(hazard=1e-6, accept=0.0))
    actions = [np.array([day in (0, 30), 0, 0]) for day in range(60)]

    first, second = 1 + RESPONSE_MODEL.fatigue, 1 + 2 * RESPONSE_MODEL.fatigue
    expected = [first] * 14 + [1.0] * 16 + [second] * 14 + [1.0] * 16
    assert daily_exposure(env, 1e-6, actions) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_episode() -> None:
    def episode(seed: int) -> list[float]:
        env, rng = RetentionEnv(random_customers()), np.random.default_rng(2)
        observation, _ = env.reset(seed=seed)
        return [*observation.tolist(), *(env.step(rng.integers([2, 4, 8]))[1] for _ in range(5))]

    assert episode(1) == episode(1) != episode(2)
