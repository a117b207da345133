from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.action_value import action_value
from services.policy.policies.base import Exploration
from services.policy.policies.network import NUM_DELAYS, NUM_OUTPUTS, Network
from services.policy.policies.ppo import PPOPolicy, action_distribution, greedy_action
from tests.policy.builders import ALL_ALLOWED, decision_context, scored
from tests.policy.networks import artifact

Logits = st.lists(st.floats(-20, 20), min_size=NUM_OUTPUTS, max_size=NUM_OUTPUTS)
Masks = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()).map(ActionMask)

EAGER = {
    "contact_b": np.array([0, 9], np.float32),
    "offer_b": np.array([0, 0, 9, 1], np.float32),
    "delay_b": 9 * np.eye(NUM_DELAYS, dtype=np.float32)[5],
}
"""Biases of a network that prefers contact at level 2, after a delay of 5 days."""


def outputs(contact: float = 0.0, offers: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0), delay: int = 0) -> list[float]:
    return [0.0, contact, *offers, *(float(day == delay) for day in range(NUM_DELAYS)), 7.0]


def test_a_customer_is_contacted_if_that_is_likelier_than_not() -> None:
    assert greedy_action(outputs(contact=0.1), ALL_ALLOWED, can_wait=True)[0] == 0
    assert greedy_action(outputs(contact=0.0), ALL_ALLOWED, can_wait=True)[0] is None
    assert greedy_action(outputs(contact=-0.1), ALL_ALLOWED, can_wait=True)[0] is None


def test_the_likeliest_offer_and_delay_are_chosen() -> None:
    prefers = outputs(contact=1.0, offers=(0.1, 0.3, 0.2, 0.9), delay=6)

    assert greedy_action(prefers, ALL_ALLOWED, can_wait=True) == (3, 6)
    assert greedy_action(prefers, ActionMask(NO_CONTACT), can_wait=True) == (None, 6)


def test_the_likeliest_offer_is_waited_for_while_it_is_over_budget() -> None:
    mask = ActionMask((True, True, True, False))
    delayed, undelayed = (outputs(contact=1.0, offers=(0.1, 0.3, 0.2, 0.9), delay=delay) for delay in (6, 0))

    assert greedy_action(delayed, mask, can_wait=True) == (None, 6)
    assert greedy_action(undelayed, mask, can_wait=True) == (None, 1), "for a day at least"
    assert greedy_action(delayed, mask, can_wait=False) == (1, 6), "with an unknown bill it would wait for ever"


@given(logits=Logits, allowed=Masks, can_wait=st.booleans())
def test_the_distribution_is_over_the_allowed_actions(logits: list[float], allowed: ActionMask, can_wait: bool) -> None:
    probs = action_distribution(logits, allowed, can_wait)

    assert sum(probs) == pytest.approx(1)
    assert all(prob >= 0 for prob in probs)
    assert all(prob == 0 for prob, is_allowed in zip(probs[1:], allowed.offers, strict=True) if not is_allowed)
    assert allowed.contact or probs[0] == 1


def test_the_distribution_is_the_masked_softmax_if_the_policy_cannot_wait() -> None:
    prefers = outputs(contact=1.0, offers=(0.0, 1.0, 2.0, 3.0))
    probs = action_distribution(prefers, ActionMask((True, False, True, True)), can_wait=False)

    contact, offers = np.exp(1) / (1 + np.exp(1)), np.exp([0, 2, 3]) / np.exp([0, 2, 3]).sum()
    assert probs == pytest.approx([1 - contact, contact * offers[0], 0, contact * offers[1], contact * offers[2]])


def test_the_probability_of_an_offer_that_is_waited_for_goes_to_no_contact() -> None:
    prefers = outputs(contact=1.0, offers=(0.0, 1.0, 2.0, 3.0))

    masked = action_distribution(prefers, ActionMask((True, True, False, False)), can_wait=True)
    unmasked = action_distribution(prefers, ALL_ALLOWED, can_wait=True)

    assert masked == pytest.approx([unmasked[0] + unmasked[3] + unmasked[4], unmasked[1], unmasked[2], 0, 0])


def test_exploration_waits_too(tmp_path: Path) -> None:
    """The network prefers an offer that is masked, so all but a few samples are no contact."""
    policy = PPOPolicy(Network.load(artifact(tmp_path / "policy", **EAGER)), Exploration(1.0))
    mask = ActionMask((True, False, False, False))
    actions = [policy.choose(decision_context(scored(event_id=str(n)), mask)) for n in range(200)]

    assert sum(action.level is None for action in actions) > 190
    for action in actions:
        assert action.propensity == action.action_probs[0 if action.level is None else 1 + action.level]


def test_the_action_is_the_networks_with_the_value_of_the_response_model(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy", **EAGER))
    action = PPOPolicy(network).choose(decision_context())

    assert (action.level, action.delay_days, action.propensity) == (2, 5, 1.0)
    assert (action.expected_value, action.retention_prob) == action_value(decision_context(), 2)
    assert PPOPolicy(network).version == network.manifest.version


def test_exploration_samples_from_the_network_and_never_a_masked_offer(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy"))
    policy, mask = PPOPolicy(network, Exploration(0.5)), ActionMask((True, False, True, False))
    actions = [policy.choose(decision_context(scored(event_id=str(n)), mask)) for n in range(300)]

    logits = network(np.array(decision_context().observation, np.float32)).tolist()
    greedy, delay = greedy_action(logits, mask, can_wait=True)
    mixture = [0.5 * prob for prob in action_distribution(logits, mask, can_wait=True)]
    mixture[0 if greedy is None else greedy + 1] += 0.5
    for action in actions:
        assert action.action_probs == pytest.approx(mixture)
        assert action.delay_days == delay
    assert {action.level for action in actions} == {None, 0, 2}
