from collections import Counter

import pytest

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.base import GREEDY, Exploration, uniform


def unused() -> list[float]:
    raise AssertionError("a greedy policy does not explore")


def test_without_exploration_the_greedy_action_has_probability_one() -> None:
    assert GREEDY.sample("event", None, unused) == (None, 1.0, (1.0, 0.0, 0.0, 0.0, 0.0))
    assert GREEDY.sample("event", 2, unused) == (2, 1.0, (0.0, 0.0, 0.0, 1.0, 0.0))


def test_exploration_samples_from_a_mixture_and_reports_its_propensity() -> None:
    probs = [0.5, 0.2, 0.0, 0.3, 0.0]
    actions = [Exploration(0.4).sample(f"event {n}", 0, lambda: probs) for n in range(200)]

    assert all(action.action_probs == pytest.approx((0.2, 0.08 + 0.6, 0.0, 0.12, 0.0)) for action in actions)
    assert {action.level for action in actions} == {None, 0, 2}
    for action in actions:
        assert action.propensity == action.action_probs[0 if action.level is None else action.level + 1]


def test_actions_are_sampled_as_often_as_their_probabilities_say() -> None:
    probs = [0.5, 0.2, 0.0, 0.3, 0.0]
    actions = [Exploration(0.4).sample(f"event {n}", 0, lambda: probs) for n in range(20_000)]

    counts = Counter(action.level for action in actions)
    shares = [counts[level] / len(actions) for level in (None, 0, 1, 2, 3)]
    assert shares == pytest.approx([0.2, 0.68, 0.0, 0.12, 0.0], abs=0.01)  # three standard errors


def test_an_epsilon_of_one_always_explores() -> None:
    assert Exploration(1.0).sample("event", 3, lambda: [0.0, 1.0, 0.0, 0.0, 0.0]).level == 0


def test_an_event_samples_the_same_action_in_any_process() -> None:
    """These were sampled once, and a repeated event must sample them for ever."""
    levels = [Exploration(1.0).sample(f"event {n}", None, lambda: [0.2] * 5).level for n in range(8)]

    assert levels == [1, 1, 1, None, 3, 1, 3, 2]


def test_uniform_is_over_no_contact_and_the_allowed_levels() -> None:
    assert uniform(ActionMask((True, False, True, False))) == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0])
    assert uniform(ActionMask(NO_CONTACT)) == [1, 0, 0, 0, 0]
