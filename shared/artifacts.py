"""A trained model is a folder of data files with a manifest. Knows nothing of what is in the files."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from shared.messages import FrozenModel

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
MANIFEST = "manifest.json"


class ArtifactError(Exception):
    """An artifact is missing, damaged or not what the service was built for; the text says which and what to do."""


class Manifest(FrozenModel):
    """What was trained, from what, by which command, and how good it is."""

    version: str
    made_by: str
    inputs: dict[str, tuple[str, ...]]
    data_sha256: dict[str, str]
    metrics: dict[str, float]
    files: dict[str, str] = {}


def read_manifest(folder: Path, inputs: Mapping[str, Sequence[str]], files: Collection[str] = ()) -> Manifest:
    """The manifest of `folder`, once `files` are there, all match it, and its models take just `inputs`, in order."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: no readable {MANIFEST} ({error}). Train the model first.") from error
    if missing := sorted(set(files) - manifest.files.keys()):
        raise ArtifactError(f"{folder} is of another version of the service: no {missing[0]}. Run: {manifest.made_by}")
    for name, digest in manifest.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is missing or not what {MANIFEST} says. Run: {manifest.made_by}")
    if wrong := input_mismatch(manifest.inputs, inputs):
        raise ArtifactError(
            f"{folder}: the model does not take what this service gives it: {wrong}. Run: {manifest.made_by}"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest of all the other files in `folder` and below it."""
    found = (f for f in sorted(folder.rglob("*")) if f.is_file() and f != folder / MANIFEST and f.suffix != ".md")
    files = {f.relative_to(folder).as_posix(): sha256(f) for f in found}
    manifest = manifest.model_copy(update={"files": files})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def content_version(files: Mapping[str, bytes]) -> str:
    """Of an artifact with these files; another for any other content."""
    return hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()[:12]


def input_mismatch(trained: Mapping[str, Sequence[str]], served: Mapping[str, Sequence[str]]) -> str:
    """In words, how the features a model was trained on differ from those it is served; empty if they do not."""
    for model in sorted(trained.keys() | served.keys()):
        a, b = list(trained.get(model, ())), list(served.get(model, ()))
        if a != b:
            missing, extra = [f for f in a if f not in b], [f for f in b if f not in a]
            return f"{model}: missing {missing}, unknown {extra}" if missing or extra else f"{model}: another order"
    return ""


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
