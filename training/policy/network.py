"""The actor-critic network in torch, with masked, multi-discrete actions: contact, offer and delay; and its file.

`services.policy.policies.network` runs the same network in NumPy and states the layout of its outputs.
"""

import io
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from services.policy.policies.network import HEADS, INPUTS, NUM_OUTPUTS, SLICES, Network
from services.policy.policies.observation import OBSERVATION
from shared.artifacts import ArtifactError, Manifest

MASKED_LOGIT = -1e9
"""Logit of a contact that is masked."""
NETWORKS = Path("models/policy")
"""Folder of the networks that the stages of training write and read."""
PRETRAINED, TRAINED = NETWORKS / "pretrained.npz", NETWORKS / "ppo.npz"
LAYERS = {"first": "1", "second": "2"}


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
    """Log-probability [n] of the actions [n, 3]. Without a contact, the offer does not count."""
    contact, offer, delay = (
        choice.gather(1, action[:, None])[:, 0] for choice, action in zip(heads[:3], actions.T, strict=True)
    )
    return contact + actions[:, 0] * offer + delay


def entropy(heads: Heads) -> Tensor:
    """Entropy [n] of the joint action: that of the offer is weighted by the probability of a contact."""
    contact, offer, delay = (-(choice.exp() * choice).sum(dim=1) for choice in heads[:3])
    return contact + heads.contact[:, 1].exp() * offer + delay


def sample(heads: Heads, rng: np.random.Generator) -> np.ndarray:
    """Actions [n, 3] drawn from the heads by the Gumbel-max trick."""
    return np.stack([(choice.numpy() + rng.gumbel(size=choice.shape)).argmax(axis=1) for choice in heads[:3]], axis=1)


def arrays_of(network: ActorCritic) -> dict[str, np.ndarray]:
    """The weights as the arrays that `services.policy.policies.network.Network` takes."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    arrays = {"mean": state["mean"], "std": state["std"]}
    for layer, number in LAYERS.items():
        arrays |= {f"w{number}": state[f"{layer}.weight"].T, f"b{number}": state[f"{layer}.bias"]}
    for head, outputs in SLICES.items():
        arrays |= {f"{head}_w": state["heads.weight"][outputs].T, f"{head}_b": state["heads.bias"][outputs]}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def serving_network(network: ActorCritic) -> Network:
    """The network in the form that the service runs, without a version."""
    return Network(arrays_of(network), Manifest(version="", made_by="", inputs=INPUTS, data_sha256={}, metrics={}))


def pack(network: ActorCritic) -> bytes:
    """Content of the file that the service reads."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays_of(network))
    return file.getvalue()


def save_network(network: ActorCritic, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(network))


def load_network(path: Path) -> ActorCritic:
    """The network in the file. Raises `ArtifactError` if it is missing or holds no policy network."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file}
        network = ActorCritic()
        network.load_state_dict(
            {"mean": arrays["mean"], "std": arrays["std"]}
            | {f"{layer}.weight": arrays[f"w{number}"].T for layer, number in LAYERS.items()}
            | {f"{layer}.bias": arrays[f"b{number}"] for layer, number in LAYERS.items()}
            | {"heads.weight": torch.cat([arrays[f"{head}_w"] for head in SLICES], dim=1).T}
            | {"heads.bias": torch.cat([arrays[f"{head}_b"] for head in SLICES])}
        )
    except FileNotFoundError as error:
        raise ArtifactError(
            f"There is no network {path}. python -m training.policy.behaviour_cloning makes {PRETRAINED}, and "
            f"python -m training.policy.ppo makes {TRAINED}."
        ) from error
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile) as error:
        raise ArtifactError(f"{path} holds no policy network: {error}") from error
    return network
