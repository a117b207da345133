"""The actor-critic: masks, joint log-probabilities, entropy and sampling."""

from math import log

import numpy as np
import pytest
import torch

from training.policy.network import ActorCritic, Heads, entropy, log_probability, sample

pytestmark = pytest.mark.torch


def heads(contact: float = 0.5, offers: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4), n: int = 1) -> Heads:
    """Heads [n] with these probabilities, and all delays equally likely."""
    contacts, levels, delays = (
        torch.tensor([probs] * n).log() for probs in ([1 - contact, contact], offers, [1 / 8] * 8)
    )
    return Heads(contacts, levels, delays, torch.zeros(n))


def test_the_entropy_of_the_offer_counts_as_far_as_a_contact_is_likely() -> None:
    assert entropy(heads(0.5, (0.25,) * 4)).item() == pytest.approx(log(2) + 0.5 * log(4) + log(8))
    assert entropy(heads(0.25, (0.25,) * 4)).item() == pytest.approx(
        -0.25 * log(0.25) - 0.75 * log(0.75) + 0.25 * log(4) + log(8)
    )


def test_the_offer_is_no_part_of_an_action_without_contact() -> None:
    probabilities = log_probability(heads(0.3, n=3), torch.tensor([[0, 1, 5], [0, 3, 5], [1, 3, 5]])).exp()

    assert probabilities.tolist() == pytest.approx([0.7 / 8, 0.7 / 8, 0.3 * 0.4 / 8])


def test_a_masked_contact_has_probability_0() -> None:
    masked = ActorCritic()(torch.rand(50, 9), torch.tensor([True, False] * 25))

    assert (masked.contact[1::2, 1].exp() == 0).all()
    assert (masked.contact[::2, 1].exp() > 0).all()


def test_a_masked_contact_has_no_gradient() -> None:
    network, mask = ActorCritic(), torch.zeros(20, dtype=torch.bool)
    log_probability(network(torch.rand(20, 9), mask), torch.tensor([[0, 2, 0]] * 20)).sum().backward()

    assert not network.heads.weight.grad[:6].any(), "neither contact nor offer"
    assert network.heads.weight.grad[6:14].any(), "the delay has one"


def test_actions_are_sampled_with_their_probabilities() -> None:
    actions = sample(heads(0.3, n=20_000), np.random.default_rng(1))

    assert actions[:, 0].mean() == pytest.approx(0.3, abs=0.015)
    assert np.bincount(actions[:, 1]) / 20_000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)
    assert np.bincount(actions[:, 2]) / 20_000 == pytest.approx([1 / 8] * 8, abs=0.015)
