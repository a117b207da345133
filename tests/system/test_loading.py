"""Loading a model runs no code: formats are data, and what could unpickle is told not to. The code is only read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.artifacts import ARTIFACTS

ROOT = Path(__file__).parents[2]
CODE = sorted(file for floor in ("shared", "services", "training", "deploy") for file in (ROOT / floor).rglob("*.py"))
PICKLING = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
MUST_SAY = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
MUST_NOT_SAY = {"allow_pickle": True, "weights_only": False, "trust_remote_code": True}
DATA = {".json", ".jsonl", ".ubj", ".npz", ".md", ".bin", ".txt"}
"""`.bin` is CTranslate2's own: numbers behind a header."""


def unsafe(code: str) -> Iterator[str]:
    """What in `code` could run a stranger's."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names):
                yield from (n.name for n in names if n.name.partition(".")[0] in PICKLING)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in PICKLING:
                yield module
            case ast.ImportFrom("numpy" | "torch", names) if any(n.name == "load" for n in names):
                yield ast.unparse(node)  # under a name of its own it would not be seen below
            case ast.Call():
                name = ast.unparse(node.func)
                said = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
                if name in MUST_SAY and said.get(MUST_SAY[name][0]) is not MUST_SAY[name][1]:
                    yield name
                if name.endswith("read_pickle") or any(said.get(k) is v for k, v in MUST_NOT_SAY.items()):
                    yield ast.unparse(node)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import numpy, joblib as j",
        "from joblib import load",
        "from numpy import load",
        "np.load(f)",
        "np.load(f, allow_pickle=flag)",
        "numpy.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "pd.read_pickle(f)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_what_could_run_code_is_found(code: str) -> None:
    assert list(unsafe(code))


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_that_is_loaded_runs_code(file: Path) -> None:
    assert not list(unsafe(file.read_text()))


@pytest.mark.parametrize(
    "file",
    sorted(file for file in ARTIFACTS.rglob("*") if file.is_file()),
    ids=lambda file: file.relative_to(ARTIFACTS).as_posix(),
)
def test_artifacts_are_data(file: Path) -> None:
    assert file.suffix in DATA
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays)
