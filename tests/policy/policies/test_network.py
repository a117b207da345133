from pathlib import Path

import numpy as np
import pytest

from services.policy.policies.network import (
    CONTACT,
    DELAY,
    FILE,
    HEADS,
    INPUTS,
    NUM_OUTPUTS,
    OFFER,
    VALUE,
    Network,
)
from services.policy.policies.observation import OBSERVATION
from shared.artifacts import ArtifactError, Manifest, write_manifest
from tests.policy.networks import arrays, artifact


def reference(observations: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The network as its formula says, in double precision."""
    w = {name: array.astype(float) for name, array in weights.items()}
    hidden = np.maximum((observations - w["mean"]) / w["std"] @ w["w1"] + w["b1"], 0)
    hidden = np.maximum(hidden @ w["w2"] + w["b2"], 0)
    return np.hstack([hidden @ w[f"{head}_w"] + w[f"{head}_b"] for head in HEADS])


def observations(number: int) -> np.ndarray:
    return np.random.default_rng(1).random((number, len(OBSERVATION)), dtype=np.float32)


def test_the_outputs_are_the_heads_side_by_side() -> None:
    outputs = list(range(NUM_OUTPUTS))

    assert [outputs[head] for head in (CONTACT, OFFER, DELAY, VALUE)] == [
        [0, 1],
        [2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11, 12, 13],
        [14],
    ]


def test_the_outputs_are_those_of_the_formula(tmp_path: Path) -> None:
    outputs = Network.load(artifact(tmp_path / "policy"))(observations(10_000))

    assert outputs.dtype == np.float32
    assert np.abs(outputs - reference(observations(10_000).astype(float), arrays())).max() < 1e-5


def test_one_observation_has_the_same_outputs_as_in_a_batch(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy"))
    batch = network(observations(100))

    assert np.abs(np.array([network(observation) for observation in observations(100)]) - batch).max() < 1e-5


def test_the_observations_are_not_changed(tmp_path: Path) -> None:
    before = observations(5)
    Network.load(artifact(tmp_path / "policy"))(before)

    assert np.array_equal(before, observations(5))


def test_a_damaged_file_is_not_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy")
    (folder / FILE).write_bytes(b"not a network")

    with pytest.raises(ArtifactError, match=r"policy\.npz is missing or not what .* says\. Run: make train-policy"):
        Network.load(folder)


def test_a_network_for_other_observations_is_not_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy")
    inputs = {"policy": (*INPUTS["policy"], "moon")}
    write_manifest(folder, Manifest(version="1", made_by="hand", inputs=inputs, data_sha256={}, metrics={}))

    with pytest.raises(ArtifactError, match="moon"):
        Network.load(folder)


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "policy", w1=np.array([{"code": "that runs"}], dtype=object))

    with pytest.raises(ValueError, match="allow_pickle"):
        Network.load(folder)
