from pathlib import Path

import numpy as np
import pytest

from services.policy.policies.network import FILE, HEADS, INPUTS, Network
from services.policy.policies.observation import OBSERVATION
from shared.artifacts import ArtifactError, Manifest, write_manifest
from tests.policy.networks import arrays, artifact


def slowly(observations: np.ndarray, a: dict[str, np.ndarray]) -> np.ndarray:
    """The network as it is written down, in double precision."""
    a = {name: array.astype(float) for name, array in a.items()}
    z = np.maximum((observations - a["mean"]) / a["std"] @ a["w1"] + a["b1"], 0)
    z = np.maximum(z @ a["w2"] + a["b2"], 0)
    return np.hstack([z @ a[f"{head}_w"] + a[f"{head}_b"] for head in HEADS])


def observations(number: int) -> np.ndarray:
    return np.random.default_rng(1).random((number, len(OBSERVATION)), dtype=np.float32)


def test_it_says_what_is_written_down_of_ten_thousand_states(tmp_path: Path) -> None:
    said = Network.load(artifact(tmp_path / "policy"))(observations(10_000))

    assert said.dtype == np.float32
    assert np.abs(said - slowly(observations(10_000).astype(float), arrays())).max() < 1e-5


def test_one_alone_is_told_the_same_as_among_others(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy"))
    many = network(observations(100))

    assert np.abs(np.array([network(o) for o in observations(100)]) - many).max() < 1e-5


def test_it_changes_nothing_of_what_it_looks_at(tmp_path: Path) -> None:
    looked_at = observations(5)
    Network.load(artifact(tmp_path / "policy"))(looked_at)

    assert np.array_equal(looked_at, observations(5))


def test_a_damaged_file_is_not_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy")
    (folder / FILE).write_bytes(b"not a network")

    with pytest.raises(ArtifactError, match=r"policy\.npz is missing or not what .* says\. Run: make train-policy"):
        Network.load(folder)


def test_a_network_of_other_observations_is_not_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy")
    inputs = {"policy": (*INPUTS["policy"], "moon")}
    write_manifest(folder, Manifest(version="1", made_by="hand", inputs=inputs, data_sha256={}, metrics={}))

    with pytest.raises(ArtifactError, match="moon"):
        Network.load(folder)


def test_nothing_pickled_is_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy", w1=np.array([{"code": "that runs"}], dtype=object))

    with pytest.raises(ValueError, match="allow_pickle"):
        Network.load(folder)
