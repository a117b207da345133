"""Loading a model runs no code: artifacts are data, and loaders are forbidden to unpickle. The code is only read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.artifacts import ARTIFACTS

ROOT = Path(__file__).parents[2]
CODE = sorted(file for floor in ("shared", "services", "training", "deploy") for file in (ROOT / floor).rglob("*.py"))
PICKLING = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
REQUIRED_ARGUMENTS = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
FORBIDDEN_ARGUMENTS = {"allow_pickle": True, "weights_only": False, "trust_remote_code": True}
DATA = {".json", ".jsonl", ".ubj", ".npz", ".md", ".bin", ".txt"}
"""`.bin` is CTranslate2's format: numbers behind a header."""


def unsafe(code: str) -> Iterator[str]:
    """The parts of `code` that could run code of a loaded file."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names):
                yield from (n.name for n in names if n.name.partition(".")[0] in PICKLING)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in PICKLING:
                yield module
            case ast.ImportFrom("numpy" | "torch", names) if any(n.name == "load" for n in names):
                yield ast.unparse(node)  # the call below would not be recognised
            case ast.Call():
                name = ast.unparse(node.func)
                constants = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
                if (
                    name in REQUIRED_ARGUMENTS
                    and constants.get(REQUIRED_ARGUMENTS[name][0]) is not REQUIRED_ARGUMENTS[name][1]
                ):
                    yield name
                if name.endswith("read_pickle") or any(constants.get(k) is v for k, v in FORBIDDEN_ARGUMENTS.items()):
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
def test_code_that_could_run_other_code_is_found(code: str) -> None:
    assert list(unsafe(code))


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_module_loads_what_could_run_code(file: Path) -> None:
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
