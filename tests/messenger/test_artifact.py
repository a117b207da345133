import shutil
from pathlib import Path

import pytest

from services.messenger import artifact as artifact_module
from services.messenger.artifact import INPUTS, Artifact
from services.messenger.prompt import SLOTS
from shared.artifacts import ArtifactError, Manifest, write_manifest
from tests.messenger.tiny_model import TinyModels

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(tiny: TinyModels, tmp_path: Path) -> Path:
    """A copy of the artifact, to damage."""
    return Path(shutil.copytree(tiny.artifacts / "messenger", tmp_path / "messenger"))


def rewrite_manifest(folder: Path) -> None:
    """Write a manifest of the files that are now in `folder`."""
    write_manifest(folder, Manifest(version="2", made_by="a test", inputs=INPUTS, data_sha256={}, metrics={}))


def test_an_artifact_holds_a_writer_and_a_reward_model(artifact: Artifact) -> None:
    assert artifact.version == "tiny"
    assert artifact.reward is not None
    assert artifact.writer.eos_id == artifact.reward.eos_id == 2


def test_the_reward_model_is_optional(folder: Path) -> None:
    shutil.rmtree(folder / "reward")
    rewrite_manifest(folder)

    assert Artifact.load(folder).reward is None


def test_the_manifest_covers_files_in_subfolders(folder: Path) -> None:
    (folder / "writer" / "config.json").write_text("{}")

    with pytest.raises(ArtifactError, match=r"writer/config.json is missing or not what manifest.json says"):
        Artifact.load(folder)


def test_an_artifact_without_a_writer_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "writer")
    rewrite_manifest(folder)

    with pytest.raises(ArtifactError, match=r"no writer/config\.json\. Run: a test"):
        Artifact.load(folder)


def test_a_missing_artifact_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Train the model first") as raised:
        Artifact.load(tmp_path / "messenger")
    assert "\n" not in str(raised.value)


def test_a_model_trained_on_another_prompt_format_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_module, "INPUTS", {"prompt": tuple(prompt.lower() for prompt in INPUTS["prompt"])})

    with pytest.raises(ArtifactError, match="prompt: missing"):
        Artifact.load(folder)


@pytest.mark.parametrize("element", [*SLOTS, "price", "service", "contract", "none", "nothing", "Known:", "Message:"])
def test_every_element_of_the_prompt_format_is_in_the_inputs(element: str) -> None:
    assert any(element in prompt for prompt in INPUTS["prompt"])
