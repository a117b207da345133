"""A network in torch, and the file that the service runs in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.policy.policies.network import FILE, HEADS, INPUTS, SLICES
from services.policy.policies.network import Network as Served
from services.policy.policies.observation import OBSERVATION
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest, content_version, write_manifest
from training.policy.export import packed, served
from training.policy.ppo import Network

STATES = torch.rand(10_000, len(OBSERVATION), generator=torch.Generator().manual_seed(1))


def network(seed: int = 3) -> Network:
    """Far from where training begins, on inputs of a mean and a spread of their own."""
    torch.manual_seed(seed)
    network = Network()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    network.mean.uniform_(0.2, 0.8)
    network.spread.uniform_(0.1, 0.5)
    return network


def written(folder: Path, network: Network) -> Path:
    (folder / FILE).write_bytes(packed(network))
    version = content_version({FILE: packed(network)})
    write_manifest(
        folder, Manifest(version=version, made_by="make train-policy", inputs=INPUTS, data_sha256={}, metrics={})
    )
    return folder


def test_the_service_says_what_torch_says(tmp_path: Path) -> None:
    torches = network()
    with torch.no_grad():
        heads = torches(STATES, torch.ones(len(STATES), dtype=torch.bool))

    outputs = Served.load(written(tmp_path, torches))(STATES.numpy())
    *choices, value = (outputs[:, head] for head in SLICES.values())

    for said, mine in zip(heads[:3], choices, strict=True):
        assert np.abs(torch.log_softmax(torch.from_numpy(mine), dim=1).numpy() - said.numpy()).max() < 1e-5
        assert said.exp().std(dim=0).min() > 1e-3, "or equality would say nothing"
    assert np.abs(value[:, 0] - heads.value.numpy()).max() < 1e-5


def test_the_file_holds_the_heads_by_name_as_plain_numbers(tmp_path: Path) -> None:
    with np.load(written(tmp_path, network()) / FILE, allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            **{"mean": (9,), "std": (9,), "w1": (9, 128), "b1": (128,), "w2": (128, 128), "b2": (128,)},
            **{"contact_w": (128, 2), "offer_w": (128, 4), "delay_w": (128, 8), "value_w": (128, 1)},
            **{"contact_b": (2,), "offer_b": (4,), "delay_b": (8,), "value_b": (1,)},
        }
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.float32)}


def test_a_network_has_one_file_and_so_one_version() -> None:
    assert packed(network()) == packed(network())
    assert packed(network()) != packed(network(seed=4))


def test_before_it_has_a_file_it_says_the_same(tmp_path: Path) -> None:
    states = STATES[:100].numpy()

    assert np.array_equal(served(network())(states), Served.load(written(tmp_path, network()))(states))


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, network())
    (folder / FILE).write_bytes(packed(network(seed=4)))

    with pytest.raises(ArtifactError, match=r"not what manifest\.json says"):
        Served.load(folder)


def test_what_ships_says_what_torch_says_in_cooldowns_too() -> None:
    with np.load(ARTIFACTS / "policy" / FILE, allow_pickle=False) as arrays:
        torches = loaded(dict(arrays))
    states = STATES.clone()
    states[:, 7] = states[:, 7].round()  # a cooldown is, or is not
    with torch.no_grad():
        heads = torches(states, torch.ones(len(states), dtype=torch.bool))
    found = Served.load(ARTIFACTS / "policy")(states.numpy())

    *choices, value = (found[:, head] for head in SLICES.values())
    for mine, head in zip(choices, heads[:3], strict=True):
        said = torch.softmax(torch.from_numpy(mine), 1)
        assert float((said - head.exp()).abs().max()) < 1e-5, "of every choice's probability"
    assert np.abs(value[:, 0] - heads.value.numpy()).max() < 1e-5


def loaded(arrays: dict[str, np.ndarray]) -> Network:
    """Back from the file."""
    network = Network()
    parts = {name: torch.from_numpy(array) for name, array in arrays.items()}
    network.mean.copy_(parts["mean"])
    network.spread.copy_(parts["std"])
    for layer, number in ((network.first, 1), (network.second, 2)):
        layer.weight.data, layer.bias.data = parts[f"w{number}"].T.contiguous(), parts[f"b{number}"]
    network.heads.weight.data = torch.cat([parts[f"{head}_w"] for head in HEADS], dim=1).T.contiguous()
    network.heads.bias.data = torch.cat([parts[f"{head}_b"] for head in HEADS])
    return network
