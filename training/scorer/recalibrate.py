"""Put a new curve over the probabilities, where the drift says so: the trees stay, and rank the same.

python -m training.scorer.recalibrate --decisions FILE --outcomes FILE [--artifact DIR]

Learns from the latest outcomes of this version of the scorer, and makes a new version.
"""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from services.scorer.model import CURVES_FILE, FILES, INPUTS
from shared.artifacts import ARTIFACTS, ArtifactError, content_version, read_manifest, write_manifest
from training.scorer import outcome_log
from training.scorer.drift_tests import ENOUGH
from training.scorer.logistic_recalibration import WINDOW, Line, line


class TooFewError(Exception):
    """Outcomes carry no curve for either model; the text says why."""


def recalibrate(artifact: Path, decisions: Path, outcomes: Path) -> dict[str, str]:
    """Makes the new version of `artifact`, and says in words what became of each model.

    Lines that cannot be read stop nothing. Raises `ArtifactError`, OSError and `TooFewError`, with nothing changed.
    """
    manifest, skipped = read_manifest(artifact, INPUTS, FILES), Counter[str]()
    said, became = outcome_log.decided(decisions, manifest.version, skipped), outcome_log.became(outcomes, skipped)
    lines = {model: over(join(said, became)) for model, join in outcome_log.JOINS.items()}
    told = {model: found if isinstance(found, str) else found.words() for model, found in lines.items()}
    told |= {f"skipped, {why}": f"{count:,} lines" for why, count in skipped.items()}
    if all(isinstance(found, str) for found in lines.values()):
        raise TooFewError("; ".join(f"{what}: {text}" for what, text in told.items()))
    card = (artifact / "MODEL_CARD.md").read_text(encoding="utf-8")
    files = {name: (artifact / name).read_bytes() for name in manifest.files}
    curves = json.loads(files[CURVES_FILE])
    for model, found in lines.items():
        if isinstance(found, Line):
            for curve in (curves[model]["whole"], curves[model]["part"]):
                curve["y"] = found(np.array(curve["y"])).tolist()
    files[CURVES_FILE] = json.dumps(curves).encode()
    (artifact / CURVES_FILE).write_bytes(files[CURVES_FILE])
    made = write_manifest(artifact, manifest.model_copy(update={"version": content_version(files)}))
    card = recalibrated(card, manifest.version, made.version, told)
    (artifact / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return told | {"version": made.version}


def over(labelled: outcome_log.Labelled) -> Line | str:
    """The line over the latest, or in words why there is none."""
    probabilities, labels = (each[-WINDOW:] for each in labelled)
    yes = int(labels.sum())
    if min(yes, len(labels) - yes) < ENOUGH:
        return (
            f"as it was, for {yes:,} of its latest {len(labels):,} outcomes are yes; it takes {ENOUGH} of either sort"
        )
    found = line(probabilities, labels)
    return found if found.slope > 0 else "as it was, for ranking is lost and no curve mends that: retrain"


def recalibrated(card: str, old: str, new: str, told: Mapping[str, str]) -> str:
    """The card of the new version. What was measured of the old one stays, and says so."""
    notes = "\n".join(f"- {what}: {text}" for what, text in told.items())
    return f"{card.replace(old, new, 1)}\n## Recalibrated\n\nAll metrics are of version {old}. Since then:\n\n{notes}\n"


def main() -> None:
    parser = ArgumentParser(prog="python -m training.scorer.recalibrate", description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=Path, required=True, help="what was decided, one decision a line")
    parser.add_argument("--outcomes", type=Path, required=True, help="what became of it, one outcome a line")
    parser.add_argument("--artifact", type=Path, default=ARTIFACTS / "scorer", help="folder of the scorer's model")
    try:
        told = recalibrate(**vars(parser.parse_args()))
    except (ArtifactError, OSError, TooFewError) as error:
        sys.exit(str(error))
    print(*(f"{what}: {text}" for what, text in told.items()), sep="\n")


if __name__ == "__main__":
    main()
