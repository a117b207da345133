"""Write a trained network to the file that the service reads, and read it back into torch."""

import io
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from services.policy.policies.network import INPUTS, SLICES, Network
from shared.artifacts import ArtifactError, Manifest
from training.policy.network import ActorCritic

NETWORKS = Path("models/policy")
"""Folder of networks that the stages of training leave for one another."""
PRETRAINED, TRAINED = NETWORKS / "pretrained.npz", NETWORKS / "ppo.npz"
LAYERS = {"first": "1", "second": "2"}


def arrays_of(network: ActorCritic) -> dict[str, np.ndarray]:
    """The arrays that `services.policy.policies.network.Network` takes."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    arrays = {"mean": state["mean"], "std": state["std"]}
    for layer, number in LAYERS.items():
        arrays |= {f"w{number}": state[f"{layer}.weight"].T, f"b{number}": state[f"{layer}.bias"]}
    for head, outputs in SLICES.items():
        arrays |= {f"{head}_w": state["heads.weight"][outputs].T, f"{head}_b": state["heads.bias"][outputs]}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def serving_network(network: ActorCritic) -> Network:
    """The network as the service runs it, without a version."""
    return Network(arrays_of(network), Manifest(version="", made_by="", inputs=INPUTS, data_sha256={}, metrics={}))


def pack(network: ActorCritic) -> bytes:
    """Content of the file that the service reads."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays_of(network))
    return file.getvalue()


def save(network: ActorCritic, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(network))


def load(path: Path) -> ActorCritic:
    """Raises `ArtifactError` where there is no such file, or it holds no such network."""
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
