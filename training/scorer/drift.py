"""Has the world moved away from the scorer? It says of each model: fine, check, recalibrate, retrain, or unknown.

python -m training.scorer.drift --seen LOG.jsonl [--decisions FILE --outcomes FILE] [--artifact DIR] [--json FILE]

- Do customers still look like those of training? PSI a fact, from the counts that the scorer says in its log.
- Are the facts still sent? How many customers lack each, from the same counts.
- Does a probability still keep its word? Predicted against observed, in periods of time.
- Does the model still rank? AUC, against that of training and against what these customers' probabilities promise.

*Check* the feed, before all else, where some customers have a fact that the model leans on and many more lack it than
in training: what is learnt from a broken feed learns the break. Outcomes do not show it, since probabilities keep their
word for customers of whom less is known. Publishers who send different facts look the same, so it is a question. A fact
that nobody sends is told and asks for nothing: it may be a publisher's choice, and one log cannot tell that from a feed
that broke before the log began.

*Retrain* where ranking is lost; or, as long as outcomes are too few to know that, where facts that the model leans on
have drifted. *Recalibrate* where only the probabilities are off: a new curve (training.scorer.recalibrate) mends them,
and ranks the same. A drifted fact alone is no reason to act once outcomes say that ranking holds. *Unknown* where too
few outcomes say anything.

Exits as diff does: 0 for fine, 1 where there is something to do, 2 where it cannot say.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xgboost
from pydantic_core import from_json, to_json

from services.scorer.features import fact_of
from services.scorer.model import FILES, INPUTS
from services.scorer.monitor import REFERENCE_FILE, SCORES
from shared.artifacts import ARTIFACTS, ArtifactError, read_manifest
from training.scorer import outcome_log
from training.scorer.drift_tests import (
    ENOUGH,
    WATCH,
    Period,
    Ranking,
    Shift,
    calibration_in_time,
    drifted,
    lacking,
    ranking,
    shifts,
)

Word = Literal["fine", "unknown", "check", "recalibrate", "retrain"]

TRAINED_AUC = {"risk": "risk.auc.low", "accept": "accept.serving.auc.low"}
"""The lower end of training's interval, by the manifest's name."""
LEANS = 0.05
"""Share of a model's gain from which on it leans on a fact."""


@dataclass(frozen=True)
class Verdict:
    word: Word
    why: tuple[str, ...]
    periods: Sequence[Period] = ()
    ranking: Ranking | None = None


@dataclass(frozen=True)
class Drift:
    """What `--json` writes."""

    version: str
    customers: int
    shifts: Mapping[str, Shift]
    unknown: Mapping[str, int]
    verdicts: Mapping[str, Verdict]
    skipped: Mapping[str, int]
    """Lines that were not read, by reason."""


def verdict(
    periods: Sequence[Period],
    ranks: Ranking | None,
    trained_auc: float,
    facts: Collection[str],
    lacked: Mapping[str, Shift],
) -> Verdict:
    """Of one model: `trained_auc` is the lower end of training's interval.

    Of the facts that it leans on, `facts` have drifted, and `lacked` are missing of many more customers.
    """
    never = [name for name, shift in lacked.items() if shift.never_sent]
    why = [
        f"{name} is missing of {shift.missing:.1%} of customers, in training of {shift.missing_before:.1%}:"
        " is the feed broken?"
        for name, shift in lacked.items()
        if name not in never
    ]
    broken = bool(why)
    off = [number for number, period in enumerate(periods, 1) if period.off]
    lost = ranks.high < min(trained_auc, ranks.promised) if ranks else bool(facts)
    if ranks:
        why.append(
            f"ranking {'is lost' if lost else 'holds'}: AUC {ranks.auc:.3f} ({ranks.low:.3f} to {ranks.high:.3f});"
            f" training had at least {trained_auc:.3f}, and these customers promise {ranks.promised:.3f}"
        )
    else:
        why.append(f"too few outcomes to know whether ranking holds: it takes {ENOUGH} of either sort")
    if off:
        first = periods[off[0] - 1]
        why.append(
            f"probabilities are off in {len(off)} of {len(periods)} periods, first in period {off[0]}:"
            f" {first.predicted:.1%} predicted, {first.observed:.1%} observed"
        )
    if facts:
        why.append(f"facts that the model leans on have drifted: {', '.join(facts)}")
    if never:
        why.append(f"facts that the model leans on were never sent: {', '.join(never)}")
    word: Word = "check" if broken else "retrain" if lost else "recalibrate" if off else "fine" if ranks else "unknown"
    return Verdict(word, tuple(why), periods, ranks)


def leans_on(model: Path) -> list[str]:
    """The facts that make a good part of a model's gain, in the trees of the file."""
    gains = Counter[str]()
    for feature, gain in xgboost.Booster(model_file=model).get_score(importance_type="total_gain").items():
        gains[fact_of(feature)] += gain
    return [name for name, gain in gains.items() if gain >= LEANS * gains.total()]


def drift(artifact: Path, seen: Path, decisions: Path | None = None, outcomes: Path | None = None) -> Drift:
    """Raises `ArtifactError` and OSError; nothing that is in a line stops it."""
    skipped = Counter[str]()
    manifest = read_manifest(artifact, INPUTS, FILES)
    bins = from_json((artifact / REFERENCE_FILE).read_bytes())
    saw = outcome_log.saw(seen, manifest.version, bins, skipped)
    moved = shifts(bins, saw.counts, saw.unknown)
    said = outcome_log.decided(decisions, manifest.version, skipped) if decisions else []
    became = outcome_log.became(outcomes, skipped) if outcomes else []
    verdicts = {}
    for model, join in outcome_log.JOINS.items():
        labelled = join(said, became)
        leaning = leans_on(artifact / f"{model}.ubj")
        facts = [name for name in drifted(moved) if name in leaning]
        lacked = {name: moved[name] for name in lacking(moved) if name in leaning}
        trained_auc = manifest.metrics[TRAINED_AUC[model]]
        verdicts[model] = verdict(calibration_in_time(*labelled), ranking(*labelled), trained_auc, facts, lacked)
    return Drift(manifest.version, saw.customers, moved, saw.unknown, verdicts, skipped)


def table(found: Drift) -> str:
    """For people: the facts that can be compared, those that cannot, and the verdicts.

    What the models say moves where facts are merely missing, too: it is shown and not judged.
    """
    lines = [f"{found.customers:,} customers scored by version {found.version}", ""]
    lines.append(f"{'fact':20} {'PSI':>6}  {'missing, in training':>20}  {'unknown':>8}")
    facts = {name: shift for name, shift in found.shifts.items() if name not in SCORES}
    words = dict.fromkeys(drifted(facts, WATCH), "watch")
    words |= dict.fromkeys(drifted(facts), "drifted") | dict.fromkeys(lacking(facts), "missing")
    for name, shift in found.shifts.items():
        if shift.missing_before < 1 and not shift.never_sent:
            lines.append(
                f"{name:20} {shift.psi:6.3f}  {shift.missing:8.1%} {shift.missing_before:11.1%}"
                f"  {found.unknown.get(name, 0):8,}  {words.get(name, '')}"
            )
    never = [name for name, shift in found.shifts.items() if shift.never_sent]
    lines += ["", f"never sent: {', '.join(never) or 'none'}"]
    for model, said in found.verdicts.items():
        lines += ["", f"{model}: {said.word}", *(f"  {reason}" for reason in said.why)]
    return "\n".join([*lines, "", *(f"{why}: {count:,} lines skipped" for why, count in found.skipped.items())])


def main() -> int:
    parser = ArgumentParser(prog="python -m training.scorer.drift", description=__doc__.partition("\n")[0])
    parser.add_argument("--seen", type=Path, required=True, help="the scorer's log, one JSON object a line")
    parser.add_argument("--decisions", type=Path, help="what was decided, one decision a line")
    parser.add_argument("--outcomes", type=Path, help="what became of it, one outcome a line")
    parser.add_argument("--artifact", type=Path, default=ARTIFACTS / "scorer", help="folder of the scorer's model")
    parser.add_argument("--json", type=Path, help="where to write it for machines")
    arguments = vars(parser.parse_args())
    out = arguments.pop("json")
    try:
        found = drift(**arguments)
        if out:
            out.write_bytes(to_json(found, indent=2) + b"\n")
    except (ArtifactError, OSError) as error:
        parser.error(str(error))
    print(table(found))
    words = {said.word for said in found.verdicts.values()}
    return 1 if words & {"check", "recalibrate", "retrain"} else 2 if "unknown" in words else 0


if __name__ == "__main__":
    sys.exit(main())
