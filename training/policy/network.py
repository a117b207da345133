"""The actor-critic network in torch, with masked, multi-discrete actions: contact, offer and delay.

`services.policy.policies.network` runs the same network in NumPy and states the layout of its outputs.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from services.policy.policies.network import HEADS, NUM_OUTPUTS
from services.policy.policies.observation import OBSERVATION

MASKED_LOGIT = -1e9


class Heads(NamedTuple):
    """Log-probabilities [n, choices] of three choices, and the value of the state [n]."""

    contact: Tensor
    offer: Tensor
    delay: Tensor
    value: Tensor


class ActorCritic(nn.Module):
    """9 → 128 → 128 → four heads, on inputs normalised by `mean` and `std`.

    The initialisation is PPO's usual one: orthogonal, with a gain of √2, and of 0.01 for the heads.
    """

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((len(OBSERVATION),), 0.5))
        self.register_buffer("std", torch.full((len(OBSERVATION),), 0.3))
        self.first, self.second = nn.Linear(len(OBSERVATION), hidden), nn.Linear(hidden, hidden)
        self.heads = nn.Linear(hidden, NUM_OUTPUTS)
        for layer, gain in ((self.first, 2**0.5), (self.second, 2**0.5), (self.heads, 0.01)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, observations: Tensor, contact_mask: Tensor) -> Heads:
        """The heads for observations [n, 9]; where `contact_mask` [n] is False a contact has probability 0."""
        hidden = torch.relu(self.first((observations - self.mean) / self.std))
        outputs = self.heads(torch.relu(self.second(hidden)))
        contact, offer, delay, value = outputs.split(tuple(HEADS.values()), dim=1)
        contact = contact.masked_fill(~contact_mask[:, None] & torch.tensor([False, True]), MASKED_LOGIT)
        contact, offer, delay = (torch.log_softmax(logits, dim=1) for logits in (contact, offer, delay))
        return Heads(contact, offer, delay, value[:, 0])


def log_probability(heads: Heads, actions: Tensor) -> Tensor:
    """Log-probability [n] of the actions [n, 3]. The offer is no part of an action without contact."""
    contact, offer, delay = (
        choice.gather(1, action[:, None])[:, 0] for choice, action in zip(heads[:3], actions.T, strict=True)
    )
    return contact + actions[:, 0] * offer + delay


def entropy(heads: Heads) -> Tensor:
    """Entropy [n] of the joint action: that of the offer counts as far as a contact is likely."""
    contact, offer, delay = (-(choice.exp() * choice).sum(dim=1) for choice in heads[:3])
    return contact + heads.contact[:, 1].exp() * offer + delay


def sample(heads: Heads, rng: np.random.Generator) -> np.ndarray:
    """Actions [n, 3] drawn from the heads by the Gumbel-max trick."""
    return np.stack([(choice.numpy() + rng.gumbel(size=choice.shape)).argmax(axis=1) for choice in heads[:3]], axis=1)
