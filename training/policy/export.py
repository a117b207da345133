"""From torch to the file that the service reads."""

import io

import numpy as np

from services.policy.policies.network import INPUTS
from services.policy.policies.network import Network as Served
from shared.artifacts import Manifest
from training.policy.ppo import HEADS, Network

NAMES = ("contact", "offer", "delay", "value")


def arrays(network: Network) -> dict[str, np.ndarray]:
    """As `services.policy.policies.network` takes them."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    found = {"mean": state["mean"], "std": state["spread"]}
    for number, layer in ((1, "first"), (2, "second")):
        found |= {f"w{number}": state[f"{layer}.weight"].T, f"b{number}": state[f"{layer}.bias"]}
    ends = np.cumsum(HEADS)[:-1]
    weights, biases = (np.split(state[f"heads.{kind}"], ends) for kind in ("weight", "bias"))
    for name, weight, bias in zip(NAMES, weights, biases, strict=True):
        found |= {f"{name}_w": weight.T, f"{name}_b": bias}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def served(network: Network) -> Served:
    """The network as the service runs it, before it has a version."""
    return Served(arrays(network), Manifest(version="", made_by="", inputs=INPUTS, data_sha256={}, metrics={}))


def packed(network: Network) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays(network))
    return out.getvalue()
