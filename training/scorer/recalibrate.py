"""Recalibrate the scorer from its latest outcomes: new curves over the same trees, which rank the same.

python -m training.scorer.recalibrate --decisions FILE --outcomes FILE [--artifact DIR]

Uses the latest outcomes of this version of the scorer, and makes a new version.
"""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from services.scorer.model import CALIBRATORS_FILE, FILES, INPUTS
from shared.artifacts import ARTIFACTS, ArtifactError, content_version, read_manifest, write_manifest
from training.history import HistoryError, read_outcomes, scored_at
from training.log_window import within_log
from training.scorer.drift_tests import MIN_OUTCOMES
from training.scorer.logistic_recalibration import WINDOW_SIZE, Recalibration, fit_recalibration
from training.scorer.outcome_log import LABELS, Labelled, decisions_of_version


class TooFewOutcomesError(Exception):
    """No model can be recalibrated from these outcomes; the message gives the reason for each model."""


def recalibrate(artifact: Path, decisions: Path, outcomes: Path) -> dict[str, str]:
    """Replace `artifact` by its recalibrated version; return a summary by model, and the new version.

    Lines that cannot be read are counted. Raises `ArtifactError`, `HistoryError`, OSError and `TooFewOutcomesError`,
    and then changes nothing.
    """
    manifest, skipped = read_manifest(artifact, INPUTS, FILES), Counter[str]()
    decided = decisions_of_version(decisions, manifest.version, skipped)
    decided, reported = within_log(decided, read_outcomes(outcomes, skipped), scored_at, skipped)
    recalibrations = {model: latest_recalibration(join(decided, reported)) for model, join in LABELS.items()}
    summary = {model: str(recalibration) for model, recalibration in recalibrations.items()}
    summary |= {f"skipped, {reason}": f"{count:,} lines" for reason, count in skipped.items()}
    if not any(isinstance(recalibration, Recalibration) for recalibration in recalibrations.values()):
        raise TooFewOutcomesError("; ".join(f"{name}: {text}" for name, text in summary.items()))
    card = (artifact / "MODEL_CARD.md").read_text(encoding="utf-8")
    files = {name: (artifact / name).read_bytes() for name in manifest.files}
    curves = json.loads(files[CALIBRATORS_FILE])
    for model, recalibration in recalibrations.items():
        if isinstance(recalibration, Recalibration):
            for curve in (curves[model]["whole"], curves[model]["part"]):
                curve["y"] = recalibration(np.array(curve["y"])).tolist()
    files[CALIBRATORS_FILE] = json.dumps(curves).encode()
    (artifact / CALIBRATORS_FILE).write_bytes(files[CALIBRATORS_FILE])
    new = write_manifest(artifact, manifest.model_copy(update={"version": content_version(files)}))
    card = recalibrated_card(card, manifest.version, new.version, summary)
    (artifact / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return summary | {"version": new.version}


def latest_recalibration(labelled: Labelled) -> Recalibration | str:
    """A recalibration fitted on the latest outcomes, or the reason why the model is not recalibrated."""
    probabilities, labels = (values[-WINDOW_SIZE:] for values in labelled)
    positive = int(labels.sum())
    if min(positive, len(labels) - positive) < MIN_OUTCOMES:
        return (
            f"as it was: {positive:,} of its latest {len(labels):,} outcomes are yes, and it takes {MIN_OUTCOMES} of"
            " each class"
        )
    recalibration = fit_recalibration(probabilities, labels)
    return recalibration if recalibration.slope > 0 else "as it was: ranking is lost, which no curve corrects; retrain"


def recalibrated_card(card: str, old: str, new: str, summary: Mapping[str, str]) -> str:
    """The card of the new version: its metrics are of the old one, with a note of what has changed."""
    notes = "\n".join(f"- {name}: {text}" for name, text in summary.items())
    return f"{card.replace(old, new, 1)}\n## Recalibrated\n\nAll metrics are of version {old}. Since then:\n\n{notes}\n"


def main() -> None:
    parser = ArgumentParser(prog="python -m training.scorer.recalibrate", description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=Path, required=True, help="the decisions, one JSON object per line")
    parser.add_argument("--outcomes", type=Path, required=True, help="their outcomes, one JSON object per line")
    parser.add_argument("--artifact", type=Path, default=ARTIFACTS / "scorer", help="folder of the scorer's artifact")
    args = parser.parse_args()
    try:
        summary = recalibrate(args.artifact, args.decisions, args.outcomes)
    except (ArtifactError, HistoryError, OSError, TooFewOutcomesError) as error:
        sys.exit(str(error))
    for name, text in summary.items():
        print(f"{name}: {text}")


if __name__ == "__main__":
    main()
