"""A network in torch, and the file that the service runs in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.policy.policies.network import CONTACT, DELAY, FILE, INPUTS, OFFER, VALUE, Network
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest, content_version, write_manifest
from training.policy.network import ActorCritic, load_network, pack, save_network, serving_network

pytestmark = pytest.mark.torch

OBSERVATIONS = torch.rand(10_000, 9, generator=torch.Generator().manual_seed(1))


def network(seed: int = 3) -> ActorCritic:
    """Weights far from the initial ones, on inputs with a mean and a standard deviation of their own."""
    torch.manual_seed(seed)
    network = ActorCritic()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    network.mean.uniform_(0.2, 0.8)
    network.std.uniform_(0.1, 0.5)
    return network


def written(folder: Path, network: ActorCritic) -> Path:
    (folder / FILE).write_bytes(pack(network))
    version = content_version({FILE: pack(network)})
    manifest = Manifest(version=version, made_by="make train-policy", inputs=INPUTS, data_sha256={}, metrics={})
    write_manifest(folder, manifest)
    return folder


def test_the_service_computes_what_torch_computes(tmp_path: Path) -> None:
    in_torch = network()
    with torch.no_grad():
        heads = in_torch(OBSERVATIONS, torch.ones(len(OBSERVATIONS), dtype=torch.bool))

    outputs = Network.load(written(tmp_path, in_torch))(OBSERVATIONS.numpy())

    for logprobs, columns in zip(heads[:3], (CONTACT, OFFER, DELAY), strict=True):
        served = torch.log_softmax(torch.from_numpy(outputs[:, columns]), dim=1)
        assert (served - logprobs).abs().max() < 1e-5
        assert logprobs.exp().std(dim=0).min() > 1e-3, "or equality would prove nothing"
    assert np.abs(outputs[:, VALUE][:, 0] - heads.value.numpy()).max() < 1e-5


def test_the_file_holds_each_heads_weights_by_name_in_single_precision(tmp_path: Path) -> None:
    with np.load(written(tmp_path, network()) / FILE, allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            **{"mean": (9,), "std": (9,), "w1": (9, 128), "b1": (128,), "w2": (128, 128), "b2": (128,)},
            **{"contact_w": (128, 2), "offer_w": (128, 4), "delay_w": (128, 8), "value_w": (128, 1)},
            **{"contact_b": (2,), "offer_b": (4,), "delay_b": (8,), "value_b": (1,)},
        }
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.float32)}


def test_the_same_weights_make_the_same_file() -> None:
    assert pack(network()) == pack(network())
    assert pack(network()) != pack(network(seed=4))


def test_a_network_is_served_alike_before_and_after_it_is_written(tmp_path: Path) -> None:
    observations = OBSERVATIONS[:100].numpy()

    before, after = serving_network(network()), Network.load(written(tmp_path, network()))

    assert np.array_equal(before(observations), after(observations))


def test_a_saved_network_is_loaded_with_the_same_weights(tmp_path: Path) -> None:
    save_network(network(), tmp_path / "stage" / "network.npz")
    saved, loaded = network().state_dict(), load_network(tmp_path / "stage" / "network.npz").state_dict()

    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)


@pytest.mark.parametrize("kind", ["empty", "text", "other widths", "cut short"])
def test_a_file_without_a_policy_network_is_refused(kind: str, tmp_path: Path) -> None:
    contents = {
        "empty": b"",
        "text": b"text",
        "other widths": pack(ActorCritic(hidden=8)),
        "cut short": pack(ActorCritic())[:-1000],
    }
    (tmp_path / "network.npz").write_bytes(contents[kind])

    with pytest.raises(ArtifactError, match="holds no policy network"):
        load_network(tmp_path / "network.npz")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, network())
    (folder / FILE).write_bytes(pack(network(seed=4)))

    with pytest.raises(ArtifactError, match=r"not what manifest\.json says"):
        Network.load(folder)


def test_the_shipped_network_computes_the_same_in_torch_in_cooldowns_too() -> None:
    in_torch = load_network(ARTIFACTS / "policy" / FILE)
    observations = OBSERVATIONS.clone()
    observations[:, 7] = observations[:, 7].round()  # a cooldown is, or is not
    with torch.no_grad():
        heads = in_torch(observations, torch.ones(len(observations), dtype=torch.bool))
    outputs = Network.load(ARTIFACTS / "policy")(observations.numpy())

    for logprobs, columns in zip(heads[:3], (CONTACT, OFFER, DELAY), strict=True):
        served = torch.softmax(torch.from_numpy(outputs[:, columns]), 1)
        assert float((served - logprobs.exp()).abs().max()) < 1e-5, "probability of every choice"
    assert np.abs(outputs[:, VALUE][:, 0] - heads.value.numpy()).max() < 1e-5
