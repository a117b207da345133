"""Check a trained scorer against recent customers: fine, check the events, recalibrate, retrain, or unknown, by model.

python -m training.scorer.drift --seen LOG.jsonl [--decisions FILE --outcomes FILE] [--artifact DIR] [--json FILE]

- Are customers still like those of training? PSI of each fact, from the counts that the scorer writes to its log.
- Are the facts still sent? The share of customers without each, from the same counts.
- Are the probabilities still calibrated? Predicted against observed shares, in periods of time.
- Does the model still rank? AUC, against that of training and against what these customers' probabilities lead to
  expect.

*Check* the events that publishers send, before anything else, if some customers have a fact that the model relies on
and many more lack it than in training: a publisher may have lost the fact by a fault, and a model that is retrained now
would learn from incomplete data. Outcomes do not show this, since the model is calibrated for customers of whom less is
known, too. Several publishers who send different facts look the same, so a person has to decide. A fact that no event
has is listed without a request to act: it may be the publisher's choice, and the log of one period cannot distinguish
that from a fault before the period.

*Retrain* if the model no longer ranks; or, as long as there are too few outcomes to know that, if facts that the model
relies on have shifted. *Recalibrate* if only the probabilities are wrong: a new curve (training.scorer.recalibrate)
corrects them, and ranks the same. A shifted fact alone is no reason to act once outcomes show that ranking holds.
*Unknown* if there are too few outcomes. Facts of fewer than a hundred customers are not compared. Decisions and
outcomes whose times cannot be are left out and counted (training.log_window).

Exit codes: 0 for fine, 1 if there is something to do, 2 for unknown.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import xgboost
from pydantic_core import from_json, to_json

from services.scorer.features import fact_of
from services.scorer.model import FILES, INPUTS
from services.scorer.monitor import HISTOGRAMS_FILE, SCORES
from shared.artifacts import ARTIFACTS, ArtifactError, read_manifest
from training.command_line import check_output
from training.history import HistoryError, read_outcomes, scored_at, skipped_lines
from training.log_window import within_log
from training.scorer.drift_tests import (
    MIN_CUSTOMERS,
    MIN_OUTCOMES,
    WATCH_PSI,
    Period,
    Ranking,
    Shift,
    calibration_by_period,
    fact_shifts,
    newly_missing_facts,
    ranking,
    shifted_facts,
)
from training.scorer.outcome_log import LABELS, decisions_of_version, feature_counts

Action = Literal["fine", "unknown", "check", "recalibrate", "retrain"]

TRAINED_AUC = {"risk": "risk.auc.low", "accept": "accept.serving.auc.low"}
"""The metric of the manifest that is the lower end of the AUC's interval in training, by model."""
MIN_GAIN_SHARE = 0.05
"""A model relies on a fact that has at least this share of the total gain of its trees."""
JSON_KEYS = {
    "action": "word",
    "reasons": "why",
    "p_value": "chance",
    "missing_p_value": "missing_chance",
    "expected": "promised",
    "is_miscalibrated": "off",
}
"""Keys of `--json` that differ from the fields' names here."""


@dataclass(frozen=True)
class Verdict:
    """What to do about one model, and why."""

    action: Action
    reasons: tuple[str, ...]
    periods: Sequence[Period] = ()
    ranking: Ranking | None = None


@dataclass(frozen=True)
class DriftReport:
    """The content of the file that `--json` names."""

    version: str
    customers: int
    shifts: Mapping[str, Shift]
    unknown: Mapping[str, int]
    """Number of values that are no category of training, by fact."""
    verdicts: Mapping[str, Verdict]
    skipped: Mapping[str, int]
    """Number of lines that were left out, by reason."""

    def json(self) -> bytes:
        return to_json(asdict(self, dict_factory=_json_object), indent=2) + b"\n"


def _json_object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {JSON_KEYS.get(name, name): value for name, value in items}


def verdict(
    periods: Sequence[Period],
    rank: Ranking | None,
    trained_auc: float,
    shifted: Collection[str],
    newly_missing: Mapping[str, Shift],
) -> Verdict:
    """What to do about one model, whose AUC in training was at least `trained_auc`.

    `shifted` and `newly_missing` are facts that the model relies on.
    """
    never_sent = [name for name, shift in newly_missing.items() if shift.never_sent]
    broken = [
        f"{name} is missing of {shift.missing:.1%} of customers, in training of {shift.missing_before:.1%}:"
        " has a publisher stopped sending it?"
        for name, shift in newly_missing.items()
        if name not in never_sent
    ]
    ranking_lost = rank.high < min(trained_auc, rank.expected) if rank else bool(shifted)
    reasons = [*broken, _ranking_reason(rank, ranking_lost, trained_auc)]
    miscalibrated = [number for number, period in enumerate(periods, 1) if period.is_miscalibrated]
    if miscalibrated:
        first = periods[miscalibrated[0] - 1]
        reasons.append(
            f"probabilities are off in {len(miscalibrated)} of {len(periods)} periods, first in period"
            f" {miscalibrated[0]}: {first.predicted:.1%} predicted, {first.observed:.1%} observed"
        )
    if shifted:
        reasons.append(f"facts that the model relies on have shifted: {', '.join(shifted)}")
    if never_sent:
        reasons.append(f"facts that the model relies on were never sent: {', '.join(never_sent)}")
    action: Action = (
        "check"
        if broken
        else "retrain"
        if ranking_lost
        else "recalibrate"
        if miscalibrated
        else "fine"
        if rank
        else "unknown"
    )
    return Verdict(action, tuple(reasons), periods, rank)


def _ranking_reason(rank: Ranking | None, lost: bool, trained_auc: float) -> str:
    if rank is None:
        return f"too few outcomes to know whether ranking holds: it takes {MIN_OUTCOMES} of each class"
    return (
        f"ranking {'is lost' if lost else 'holds'}: AUC {rank.auc:.3f} ({rank.low:.3f} to {rank.high:.3f});"
        f" training had at least {trained_auc:.3f}, and {rank.expected:.3f} is to be expected of these customers"
    )


def important_facts(model: Path) -> list[str]:
    """The facts that the model relies on, by `MIN_GAIN_SHARE`."""
    gains = Counter[str]()
    for feature, gain in xgboost.Booster(model_file=model).get_score(importance_type="total_gain").items():
        gains[fact_of(feature)] += gain
    return [name for name, gain in gains.items() if gain >= MIN_GAIN_SHARE * gains.total()]


def drift_report(artifact: Path, log: Path, decisions: Path | None, outcomes: Path | None) -> DriftReport:
    """Check both models. Lines that cannot be read are counted. Raises `ArtifactError` and OSError."""
    skipped = Counter[str]()
    manifest = read_manifest(artifact, INPUTS, FILES)
    reference = from_json((artifact / HISTOGRAMS_FILE).read_bytes())
    recent = feature_counts(log, manifest.version, reference, skipped)
    shifts = fact_shifts(reference, recent.counts, recent.unknown)
    decided = decisions_of_version(decisions, manifest.version, skipped) if decisions else []
    reported = read_outcomes(outcomes, skipped) if outcomes else []
    decided, reported = within_log(decided, reported, scored_at, skipped)
    comparable = shifts if recent.customers >= MIN_CUSTOMERS else {}
    verdicts = {}
    for model, join in LABELS.items():
        labelled = join(decided, reported)
        important = important_facts(artifact / f"{model}.ubj")
        verdicts[model] = verdict(
            calibration_by_period(*labelled),
            ranking(*labelled),
            manifest.metrics[TRAINED_AUC[model]],
            [name for name in shifted_facts(comparable) if name in important],
            {name: shifts[name] for name in newly_missing_facts(comparable) if name in important},
        )
    return DriftReport(manifest.version, recent.customers, shifts, recent.unknown, verdicts, dict(skipped))


def table(report: DriftReport) -> str:
    """The report as text: a line for each fact that can be compared, the facts never sent, and the verdicts.

    The scores also move when facts are missing: they are listed without a remark.
    """
    too_few = report.customers < MIN_CUSTOMERS
    note = f": too few to compare with training, which takes {MIN_CUSTOMERS}" if too_few else ""
    lines = [f"{report.customers:,} customers scored by version {report.version}{note}", ""]
    lines.append(f"{'fact':20} {'PSI':>6}  {'missing, in training':>20}  {'unknown':>8}")
    facts = {name: shift for name, shift in report.shifts.items() if name not in SCORES and not too_few}
    remarks = dict.fromkeys(shifted_facts(facts, WATCH_PSI), "watch")
    remarks |= dict.fromkeys(shifted_facts(facts), "shifted") | dict.fromkeys(newly_missing_facts(facts), "missing")
    for name, shift in report.shifts.items():
        if shift.missing_before < 1 and not shift.never_sent:
            lines.append(
                f"{name:20} {shift.psi:6.3f}  {shift.missing:8.1%} {shift.missing_before:11.1%}"
                f"  {report.unknown.get(name, 0):8,}  {remarks.get(name, '')}"
            )
    never_sent = [name for name, shift in report.shifts.items() if shift.never_sent]
    lines += ["", f"never sent: {', '.join(never_sent) or 'none'}"]
    for model, verdict in report.verdicts.items():
        lines += ["", f"{model}: {verdict.action}", *(f"  {reason}" for reason in verdict.reasons)]
    return "\n".join([*lines, "", *skipped_lines(report.skipped)])


def main() -> int:
    parser = ArgumentParser(prog="python -m training.scorer.drift", description=__doc__.partition("\n")[0])
    parser.add_argument("--seen", type=Path, required=True, help="the scorer's log, one JSON object per line")
    parser.add_argument("--decisions", type=Path, help="the decisions, one JSON object per line")
    parser.add_argument("--outcomes", type=Path, help="their outcomes, one JSON object per line")
    parser.add_argument("--artifact", type=Path, default=ARTIFACTS / "scorer", help="folder of the scorer's artifact")
    parser.add_argument("--json", type=Path, help="file to write the report to, as JSON")
    args = parser.parse_args()
    check_output(parser, args.json, (args.seen, args.decisions, args.outcomes))
    try:
        report = drift_report(args.artifact, args.seen, args.decisions, args.outcomes)
        if args.json:
            args.json.write_bytes(report.json())
    except (ArtifactError, HistoryError, OSError) as error:
        parser.error(str(error))
    print(table(report))
    actions = {verdict.action for verdict in report.verdicts.values()}
    return 1 if actions & {"check", "recalibrate", "retrain"} else 2 if "unknown" in actions else 0


if __name__ == "__main__":
    sys.exit(main())
