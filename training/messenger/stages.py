"""Shared by the scripts of all stages: folders of models and histories, progress, and command-line options.

A stage leaves its model in `MODELS/STAGE` (PPO in `MODELS/merged`) and its history in `MODELS/STAGE.json`.
"""

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shared.settings import Settings
from training.messenger.lm import LM, load

MODELS = Path("models/messenger")
"""Default folder of the models."""
HISTORY_POINTS = 100
"""Steps of a stage that its history keeps, evenly spaced."""
HISTORY_KEYS = {
    "clip_fraction": "clipped",
    "held_out_loss": "held_out",
    "length_correlation": "with_length",
    "longer_accuracy": "longer",
    "violation_rate": "broken",
}
"""Keys of training.json that differ from the names of the metrics."""
SCRIPT_NAMES = {"people": "human_preferences"}
"""Names of scripts, by the key of their history, where the two differ."""
FOLDER_NAMES = {"ppo": "merged"}
"""Names of model folders, by stage, where the two differ."""
PROGRESS_METRICS = ("loss", "accuracy", "score", "violation_rate", "kl", "beta", "approx_kl")
"""Metrics that the progress bar shows."""


class MissingStageError(Exception):
    """A stage needs a file that an earlier stage has not made yet."""


def require(path: Path, stage: str) -> Path:
    """`path`. Raises `MissingStageError` where it does not exist."""
    if not path.exists():
        raise MissingStageError(f"{path} is missing; python -m training.messenger.{stage} makes it")
    return path


def load_model(models: Path, stage: str, eight_bit: bool = False) -> LM:
    """The model that a stage saved. Raises `MissingStageError`."""
    folder = models / FOLDER_NAMES.get(stage, stage)
    return load(require(folder / "config.json", stage).parent, eight_bit)


def load_history(models: Path, stage: str) -> dict[str, Any]:
    """The history that a stage saved. Raises `MissingStageError`."""
    history: dict[str, Any] = json.loads(require(models / f"{stage}.json", SCRIPT_NAMES.get(stage, stage)).read_text())
    return history


def save_history(models: Path, stage: str, history: Mapping[str, Any]) -> None:
    models.mkdir(parents=True, exist_ok=True)
    (models / f"{stage}.json").write_text(json.dumps(history))


class Progress:
    """Shows the metrics of each step while a stage trains, and keeps them as its history."""

    def __init__(self, stage: str, steps: int) -> None:
        self._stage, self._steps = stage, steps
        self.metrics: list[Any] = []

    def __enter__(self) -> Callable[[Any], None]:
        self._bar, self._start = tqdm(total=self._steps, desc=self._stage, unit=" steps"), time.perf_counter()
        return self._record

    def _record(self, metrics: Any) -> None:
        self.metrics.append(metrics)
        self._bar.update()
        self._bar.set_postfix_str(
            ", ".join(f"{name} {value:.3g}" for name, value in metrics._asdict().items() if name in PROGRESS_METRICS)
        )

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._bar.close()

    def history(self) -> dict[str, Any]:
        """A column for each metric; `took` is the duration of the stage in seconds."""
        points = min(HISTORY_POINTS, len(self.metrics))
        rows = [self.metrics[i] for i in np.linspace(0, len(self.metrics) - 1, points).astype(int)]
        columns = {name: [_rounded(getattr(row, name)) for row in rows] for name in rows[0]._fields}
        return {"took": round(self.seconds, 1), **with_history_keys(columns)}


def with_history_keys(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics by their keys in training.json."""
    return {HISTORY_KEYS.get(name, name): value for name, value in metrics.items()}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def stage_parser(stage: str, description: str) -> ArgumentParser:
    """A parser of the options that every stage has."""
    parser = ArgumentParser(prog=f"python -m training.messenger.{stage}", description=description)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the models (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: %(default)s)")
    return parser


def add_initial_model_options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", help="a pretrained model, by folder or name on the hub (default: MODELS/base)")
    parser.add_argument("--eight-bit", action="store_true", help="load the model in 8 bits (bitsandbytes)")


def load_initial_model(options: Namespace) -> LM:
    """The pretrained model that the options name, or else the base model. Raises `MissingStageError`."""
    if options.model:
        return load(options.model, options.eight_bit)
    return load_model(options.models, "base", options.eight_bit)


def add_data_set_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--mirror", type=Path, default=Settings.from_environment().data, help="folder of local copies of the data sets"
    )
    parser.add_argument("--data-folder", type=Path, default=Path("data"), help="folder of the prepared data sets")
