from collections import Counter

import pytest

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.base import GREEDY, Exploration, uniform

HALF = ActionMask((True, False, True, False))


def never() -> list[float]:
    raise AssertionError("nobody explores")


def test_without_exploration_the_best_is_taken_for_sure() -> None:
    assert GREEDY.sample("event", None, never) == (None, 1.0, (1.0, 0.0, 0.0, 0.0, 0.0))
    assert GREEDY.sample("event", 2, never) == (2, 1.0, (0.0, 0.0, 0.0, 1.0, 0.0))


def test_it_is_drawn_from_a_mixture_and_its_share_of_it_is_the_propensity() -> None:
    by = [0.5, 0.2, 0.0, 0.3, 0.0]
    drawn = [Exploration(0.4).sample(f"event {n}", 0, lambda: by) for n in range(200)]

    assert all(d.action_probs == pytest.approx((0.2, 0.08 + 0.6, 0.0, 0.12, 0.0)) for d in drawn)
    assert {d.level for d in drawn} == {None, 0, 2}
    assert all(d.propensity == d.action_probs[0 if d.level is None else d.level + 1] for d in drawn)


def test_each_action_is_drawn_as_often_as_is_logged() -> None:
    by = [0.5, 0.2, 0.0, 0.3, 0.0]
    drawn = [Exploration(0.4).sample(f"event {n}", 0, lambda: by) for n in range(20_000)]

    often = Counter(d.level for d in drawn)
    shares = [often[level] / len(drawn) for level in (None, 0, 1, 2, 3)]
    assert shares == pytest.approx([0.2, 0.68, 0.0, 0.12, 0.0], abs=0.01)  # three standard errors


def test_a_whole_share_samples() -> None:
    assert Exploration(1.0).sample("event", 3, lambda: [0.0, 1.0, 0.0, 0.0, 0.0]).level == 0


def test_a_repeat_repeats_in_any_process() -> None:
    """What was drawn once for these events, and must be for ever."""
    levels = [Exploration(1.0).sample(f"event {n}", None, lambda: [0.2] * 5).level for n in range(8)]

    assert levels == [1, 1, 1, None, 3, 1, 3, 2]


def test_uniform_is_over_nothing_and_what_is_allowed() -> None:
    assert uniform(HALF) == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0])
    assert uniform(ActionMask(NO_CONTACT)) == [1, 0, 0, 0, 0]
