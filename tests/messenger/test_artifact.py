import shutil
from pathlib import Path

import pytest

from services.messenger import artifact as artifacts
from services.messenger.artifact import INPUTS, Artifact
from services.messenger.prompt import SLOTS
from shared.artifacts import ArtifactError, Manifest, write_manifest
from tests.messenger.tiny_model import Tiny


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny.artifacts / "messenger", tmp_path / "messenger"))


def again(folder: Path) -> None:
    """Writes the manifest of what is there now."""
    write_manifest(folder, Manifest(version="2", made_by="a test", inputs=INPUTS, data_sha256={}, metrics={}))


def test_an_artifact_holds_a_writer_and_a_reward_model(artifact: Artifact) -> None:
    assert artifact.version == "tiny"
    assert artifact.reward is not None
    assert artifact.writer.eos_id == artifact.reward.eos_id == 2


def test_a_reward_model_may_be_missing(folder: Path) -> None:
    shutil.rmtree(folder / "reward")
    again(folder)

    assert Artifact.load(folder).reward is None


def test_the_manifest_vouches_for_files_in_folders(folder: Path) -> None:
    (folder / "writer" / "config.json").write_text("{}")

    with pytest.raises(ArtifactError, match=r"writer/config.json is missing or not what manifest.json says"):
        Artifact.load(folder)


def test_an_artifact_without_a_writer_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "writer")
    again(folder)

    with pytest.raises(ArtifactError, match=r"no writer/config\.json\. Run: a test"):
        Artifact.load(folder)


def test_no_artifact_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Train the model first") as refused:
        Artifact.load(tmp_path / "messenger")
    assert "\n" not in str(refused.value)


def test_a_model_of_other_prompts_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "INPUTS", {"prompt": tuple(text.lower() for text in INPUTS["prompt"])})

    with pytest.raises(ArtifactError, match="prompt: missing"):
        Artifact.load(folder)


@pytest.mark.parametrize("part", [*SLOTS, "price", "service", "contract", "none", "nothing", "Known:", "Message:"])
def test_every_part_of_a_prompt_is_among_the_inputs(part: str) -> None:
    assert any(part in text for text in INPUTS["prompt"])
