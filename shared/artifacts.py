"""Artifacts: trained models as folders of data files with a manifest. Independent of what the files contain."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from shared.errors import ConfigurationError
from shared.messages import FrozenModel

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
MANIFEST = "manifest.json"


class ArtifactError(ConfigurationError):
    """An artifact is missing, damaged or of another version of the service. The text says which, and what to do."""


class Manifest(FrozenModel):
    """The contents of an artifact, how it was made and how good it is."""

    version: str
    made_by: str
    """The command that makes it again."""
    inputs: dict[str, tuple[str, ...]]
    """The features of each model, in order."""
    data_sha256: dict[str, str]
    """SHA-256 of each file that it was trained on."""
    metrics: dict[str, float]
    files: dict[str, str] = {}
    """SHA-256 of each file of the artifact."""


def read_manifest(folder: Path, inputs: Mapping[str, Sequence[str]], files: Collection[str] = ()) -> Manifest:
    """The manifest of an artifact that has been checked.

    Raises `ArtifactError` unless all of `files` are listed, every file has its checksum, and the models take exactly
    `inputs` (features of each model, in order).
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a manifest"
        raise ArtifactError(
            f"{folder}: no readable {MANIFEST} ({reason}). Train the model first, or set RETENTION_ARTIFACTS."
        ) from error
    if missing := sorted(set(files) - manifest.files.keys()):
        raise ArtifactError(f"{folder} is of another version of the service: no {missing[0]}. Run: {manifest.made_by}")
    for name, digest in manifest.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is missing or not what {MANIFEST} says. Run: {manifest.made_by}")
    if mismatch := input_mismatch(manifest.inputs, inputs):
        raise ArtifactError(
            f"{folder}: the model's inputs are not those of this service: {mismatch}. Run: {manifest.made_by}"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write a manifest with the checksums of all files in `folder` and below, except Markdown; returns it."""
    paths = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST and path.suffix != ".md"
    )
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
    manifest = manifest.model_copy(update={"files": files})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def content_version(files: Mapping[str, bytes]) -> str:
    """Version of an artifact with these files: 12 hexadecimal digits of a hash of their contents."""
    return hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()[:12]


def input_mismatch(trained: Mapping[str, Sequence[str]], served: Mapping[str, Sequence[str]]) -> str:
    """How the features of models in training differ from those in service, as text; empty if they are equal."""
    for model in sorted(trained.keys() | served.keys()):
        in_training, in_service = list(trained.get(model, ())), list(served.get(model, ()))
        if in_training != in_service:
            missing = [feature for feature in in_training if feature not in in_service]
            unknown = [feature for feature in in_service if feature not in in_training]
            return f"{model}: missing {missing}, unknown {unknown}" if missing or unknown else f"{model}: another order"
    return ""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
