from pathlib import Path

import pytest

from shared.artifacts import ArtifactError, Manifest, read_manifest, write_manifest

INPUTS = {"risk": ("tenure", "contract")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "MODEL_CARD.md").write_text("# card")
    write_manifest(
        tmp_path, Manifest(version="1", made_by="make train", inputs=INPUTS, data_sha256={}, metrics={"auc": 0.8})
    )
    return tmp_path


def test_a_written_manifest_is_read_back(folder: Path) -> None:
    manifest = read_manifest(folder, INPUTS)
    assert manifest.metrics == {"auc": 0.8}
    assert list(manifest.files) == ["model.json"]


@pytest.mark.parametrize(
    ("inputs", "mismatch"),
    [
        ({"risk": ("tenure", "age")}, r"missing \['contract'\], unknown \['age'\]"),
        ({"risk": ("contract", "tenure")}, "another order"),
        ({}, "missing"),
        ({**INPUTS, "accept": ("age",)}, "unknown"),
    ],
)
def test_a_model_with_other_features_than_the_services_is_refused(
    folder: Path, inputs: dict[str, tuple[str, ...]], mismatch: str
) -> None:
    with pytest.raises(ArtifactError, match=mismatch):
        read_manifest(folder, inputs)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    (folder / "model.json").write_text("{ }")
    with pytest.raises(ArtifactError, match=r"model.json is missing or not what .* says. Run: make train"):
        read_manifest(folder, INPUTS)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "model.json").unlink()
    with pytest.raises(ArtifactError, match=r"model.json is missing"):
        read_manifest(folder, INPUTS)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Train the model first"):
        read_manifest(tmp_path, INPUTS)
