"""From torch to the file that the service reads."""

import io

import numpy as np

from services.policy.policies.network import INPUTS, SLICES
from services.policy.policies.network import Network as Served
from shared.artifacts import Manifest
from training.policy.ppo import Network


def arrays(network: Network) -> dict[str, np.ndarray]:
    """As `services.policy.policies.network` takes them."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    found = {"mean": state["mean"], "std": state["spread"]}
    for number, layer in ((1, "first"), (2, "second")):
        found |= {f"w{number}": state[f"{layer}.weight"].T, f"b{number}": state[f"{layer}.bias"]}
    for head, outputs in SLICES.items():
        found |= {f"{head}_w": state["heads.weight"][outputs].T, f"{head}_b": state["heads.bias"][outputs]}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def served(network: Network) -> Served:
    """The network as the service runs it, before it has a version."""
    return Served(arrays(network), Manifest(version="", made_by="", inputs=INPUTS, data_sha256={}, metrics={}))


def packed(network: Network) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays(network))
    return out.getvalue()
