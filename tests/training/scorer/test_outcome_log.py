import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, encoder
from services.scorer.model import INPUTS, ScorerModel
from services.scorer.monitor import (
    COUNTS_MESSAGE,
    REFERENCE_FILE,
    SCORES,
    FeatureMonitor,
    Histogram,
    reference_histograms,
)
from shared.artifacts import ARTIFACTS, read_manifest, write_manifest
from shared.messages import ID_NAMESPACE, OFFERS, Action, CustomerFacts, Decision, Metadata, Outcome
from training.scorer import drift
from training.scorer.outcome_log import (
    HORIZON,
    acceptance_labels,
    churn_labels,
    decisions_of_version,
    feature_counts,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BINS: dict[str, Histogram] = {"age": {"edges": [40.0], "counts": [60, 40, 10]}}


def decision(event_id: str, at: datetime = START, customer_id: str | None = None, **metadata: object) -> Decision:
    """Of a customer in the holdout, unless `contact` says otherwise."""
    contact = bool(metadata.pop("contact", False))
    usual = {"churn_risk": 0.3, "accept_prob": 0.2, "expected_value": 0, "propensity": 1, "policy": "baseline"}
    return Decision(
        id=ID_NAMESPACE,
        event_id=event_id,
        customer_id=customer_id or f"customer of {event_id}",
        decision=Action(contact=contact, estimated_retention_prob=0.5),
        metadata=Metadata.model_validate({**usual, "holdout": not contact, **metadata}),
        versions={"scorer": "v1"},
        times={"occurred_at": at, "scored_at": START},
    )


def outcome(event_id: str, kind: str, at: datetime | None = None, customer_id: str | None = None) -> Outcome:
    customer = customer_id or f"customer of {event_id}"
    fields = {"id": ID_NAMESPACE, "event_id": event_id, "customer_id": customer, "outcome": kind, "occurred_at": at}
    return Outcome.model_validate(fields)


def written(file: Path, *lines: object) -> Path:
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def counts_line(counts: Sequence[float], version: str = "v1", **more: object) -> dict[str, object]:
    return {"message": COUNTS_MESSAGE, "version": version, "customers": sum(counts), "counts": {"age": counts}, **more}


def test_counts_of_all_instances_add_up_from_standard_error_and_from_cloud_logging(tmp_path: Path) -> None:
    log = written(
        tmp_path / "log",
        {"severity": "INFO", "message": "ready", "service": "scorer"},
        counts_line([1, 2, 3], unknown={"job": 4}),
        {"insertId": "x", "jsonPayload": counts_line([10.0, 20.0, 30.0], unknown={"job": 1.0}), "severity": "INFO"},
        {"insertId": "x", "textPayload": "Started"},
    )
    skipped = Counter[str]()
    total = feature_counts(log, "v1", BINS, skipped)
    assert (total.customers, total.counts, total.unknown) == (66, {"age": (11, 22, 33)}, {"job": 5})
    assert skipped == {}


def test_bad_lines_of_the_log_are_counted_by_reason(tmp_path: Path) -> None:
    good = counts_line([1, 2, 3], unknown={})
    log = written(
        tmp_path / "log",
        "INFO:     Uvicorn running",
        "[1, 2]",
        json.dumps(good)[:-5],
        good | {"counts": {"age": [-1, 2, 3]}},
        good | {"counts": {"age": [1, 2]}},
        good | {"counts": {"size": [1, 2, 3]}},
        good | {"version": "v0"},
        "",
        good,
    )
    skipped = Counter[str]()
    assert feature_counts(log, "v1", BINS, skipped).customers == 6
    assert skipped == {
        "log: not readable, first in line 1": 4,
        "log: other bins than the artifact's": 2,
        "log: counted by version v0": 1,
    }


def test_a_decision_counts_once_in_order_of_time_and_bad_lines_are_counted(tmp_path: Path) -> None:
    late, early = decision("late", START + DAY), decision("early")
    old = early.model_copy(update={"versions": {"scorer": "v0"}, "event_id": "old"})
    timeless = early.model_copy(update={"times": {}, "event_id": "timeless"})
    lines = [decision.model_dump_json() for decision in (late, early, late, old, timeless)]
    skipped = Counter[str]()
    decisions = decisions_of_version(written(tmp_path / "d", *lines, "{}", "\ufffd"), "v1", skipped)
    assert [decision.event_id for decision in decisions] == ["early", "late"]
    assert skipped == {
        "d: scored by version v0": 1,
        "d: without times.scored_at": 1,
        "d: not readable, first in line 6": 2,
    }


def test_acceptance_is_labelled_for_contacts_that_were_answered() -> None:
    contacts = [decision(name, contact=True, accept_prob=p) for name, p in zip("abcde", np.arange(5) / 10, strict=True)]
    answers = [
        outcome("b", "declined"),
        outcome("a", "declined"),
        outcome("a", "accepted"),
        outcome("c", "opted-out"),
        outcome("d", "withheld"),
        outcome("held out", "accepted"),
    ]
    probabilities, labels = acceptance_labels([*contacts, decision("held out")], answers)
    assert (probabilities.tolist(), labels.tolist()) == ([0.0, 0.1], [1, 0])


def test_churn_is_labelled_for_the_holdout_once_the_horizon_has_passed() -> None:
    held_out = [decision("leaves", churn_risk=0.6), decision("stays", churn_risk=0.1)]
    others = [
        decision("contacted", contact=True),
        decision("not held out", holdout=False),
        decision("known by the caller", churn_risk_source="caller"),
        decision("too young", START + 2 * DAY),
    ]
    churns = [outcome("leaves", "churned", START + 5 * DAY), outcome("contacted", "churned", START + HORIZON + DAY)]
    probabilities, labels = churn_labels([*held_out, *others], churns)
    assert (probabilities.tolist(), labels.tolist()) == ([0.6, 0.1], [1, 0])


def test_a_customer_counts_once_a_horizon_and_a_later_churn_is_not_of_an_earlier_risk() -> None:
    days = [0, 10, 30, 70]
    decisions = [decision(f"day {day}", START + day * DAY, "c", churn_risk=day / 100) for day in days]
    churns = [outcome("another", "churned", START + 45 * DAY, "c"), outcome("end", "declined", START + 200 * DAY)]
    probabilities, labels = churn_labels(decisions, churns)
    assert (probabilities.tolist(), labels.tolist()) == ([0.0, 0.3, 0.7], [0, 1, 0])


def test_a_churn_without_a_time_has_that_of_its_events_decision() -> None:
    decisions = [decision("first", START, "c"), decision("second", START + 40 * DAY, "c")]
    end = outcome("end", "declined", START + 100 * DAY)
    assert churn_labels(decisions, [outcome("second", "churned", None, "c"), end]).labels.tolist() == [0, 1]


def test_where_no_churn_is_reported_there_are_no_labels() -> None:
    assert len(churn_labels([decision("e")], [outcome("e", "declined", START + 2 * HORIZON)]).labels) == 0


def test_a_model_relies_on_facts_by_the_gain_of_all_their_features() -> None:
    important = drift.important_facts(ARTIFACTS / "scorer" / "risk.ubj")
    assert {"contract", "tenure", "internet_service"} <= set(important) <= set(RISK_FACTS)


@pytest.fixture
def artifact(tmp_path: Path, customers: list[CustomerFacts]) -> Path:
    """The committed models, with bins of these customers and a trained AUC that none falls below."""
    folder = copytree(ARTIFACTS / "scorer", tmp_path / "scorer")
    manifest = read_manifest(folder, INPUTS)
    _, rows, scores = scored(customers)
    bins = (
        reference_histograms(RISK_FACTS, rows[0])
        | reference_histograms(ACCEPT_FACTS, rows[1][:: len(OFFERS)])
        | reference_histograms(SCORES, scores)
    )
    (folder / REFERENCE_FILE).write_text(json.dumps(bins))
    write_manifest(
        folder, manifest.model_copy(update={"metrics": {"risk.auc.low": 0.0, "accept.serving.auc.low": 0.0}})
    )
    return folder


@pytest.fixture
def customers() -> list[CustomerFacts]:
    rng = np.random.default_rng(0)
    contracts = np.array([*(RISK_FACTS["contract"] or ())])[rng.integers(3, size=2000)]
    return [
        CustomerFacts(tenure=int(months), contract=str(contract))
        for months, contract in zip(rng.integers(73, size=2000), contracts, strict=True)
    ]


def scored(customers: list[CustomerFacts]) -> tuple[ScorerModel, tuple[np.ndarray, np.ndarray], np.ndarray]:
    model = ScorerModel.load(ARTIFACTS / "scorer")
    results = model.score(customers)
    accept = encoder(ACCEPT_FACTS, Counter())(customers)
    rows = np.column_stack([np.repeat(accept, len(OFFERS), axis=0), np.tile(range(len(OFFERS)), len(customers))])
    scores = np.array([[score.churn_risk, score.accept_probs[0]] for score in results], np.float32)
    return model, (encoder(RISK_FACTS, Counter())(customers), rows.astype(np.float32)), scores


def log(folder: Path, artifact: Path, customers: list[CustomerFacts], unread: int = 3) -> Path:
    """The scorer's log of these customers, of whom `unread` have a contract that is no known category."""
    model, rows, scores = scored(customers)
    monitor = FeatureMonitor(json.loads((artifact / REFERENCE_FILE).read_text()), Counter(contract=unread))
    monitor.observe(*rows, scores[:, 0], np.repeat(scores[:, 1:], len(OFFERS), axis=1))
    return written(folder / "log", {"message": COUNTS_MESSAGE, "version": model.version, **monitor.take_counts()})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["drift", *map(str, arguments)])
    return drift.main()


def test_counts_alone_leave_the_verdict_unknown(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = log(tmp_path, artifact, customers)
    assert run(monkeypatch, "--seen", file, "--artifact", artifact) == 2
    output = capsys.readouterr().out
    assert output.startswith("2,000 customers scored by version ")
    assert "contract              0.000      0.0%        0.0%         3" in output
    assert "never sent: monthly_charges, total_charges" in output
    assert "risk: unknown\n  too few outcomes" in output


def test_customers_unlike_those_of_training_call_for_retraining(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    new = [customer for customer in customers if (customer.tenure or 0) < 12]
    assert run(monkeypatch, "--seen", log(tmp_path, artifact, new), "--artifact", artifact) == 1
    output = capsys.readouterr().out
    assert "risk: retrain" in output
    assert "facts that the model relies on have shifted: tenure" in output
    assert "accept: unknown" in output


def test_a_fact_that_is_no_longer_sent_calls_for_a_check_of_the_feed(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = [CustomerFacts(contract=customer.contract) for customer in customers[20:]]
    assert run(monkeypatch, "--seen", log(tmp_path, artifact, customers[:20] + broken), "--artifact", artifact) == 1
    output = capsys.readouterr().out
    assert "risk: check\n  tenure is missing of 99.0% of customers, in training of 0.0%: is the feed broken?" in output
    assert re.search(r"^tenure .* 99.0%        0.0%         0  missing$", output, re.MULTILINE)
    assert "accept: unknown\n  too few" in output


@pytest.mark.parametrize(("unread", "action", "code"), [(0, "unknown", 2), (2000, "check", 1)])
def test_a_fact_never_sent_calls_for_nothing_and_one_never_readable_for_a_check(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unread: int,
    action: str,
    code: int,
) -> None:
    seen = log(tmp_path, artifact, [CustomerFacts(tenure=customer.tenure) for customer in customers], unread)
    assert run(monkeypatch, "--seen", seen, "--artifact", artifact) == code
    output = capsys.readouterr().out
    assert f"risk: {action}" in output
    assert ("facts that the model relies on were never sent: contract" in output) == (not unread)
    assert ("never sent: monthly_charges, total_charges, contract" in output) == (not unread)


@pytest.mark.parametrize(("times", "action", "code"), [(1, "fine", 0), (2, "recalibrate", 1)])
def test_with_outcomes_the_verdict_is_about_calibration_and_ranking(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    times: int,
    action: str,
    code: int,
) -> None:
    version, rng = read_manifest(artifact, INPUTS).version, np.random.default_rng(1)
    decisions, outcomes = [], []
    for i, p in enumerate(rng.beta(1, 4, 3000).tolist()):
        for group, kind, factor in (("holdout", "churned", times), ("contact", "accepted", 1)):
            at, contact = START + i * timedelta(minutes=1), group == "contact"
            made = decision(f"{group} {i}", at, churn_risk=p, accept_prob=p, contact=contact)
            decisions.append(made.model_copy(update={"versions": {"scorer": version}}).model_dump_json())
            if rng.random() < factor * p:
                outcomes.append(outcome(made.event_id, kind, START + 3 * DAY).model_dump_json())
            elif contact:
                outcomes.append(outcome(made.event_id, "declined", START + 60 * DAY).model_dump_json())
    seen = log(tmp_path, artifact, customers)
    files = written(tmp_path / "d", *decisions), written(tmp_path / "o", *outcomes, "{")
    arguments = ["--seen", seen, "--artifact", artifact, "--decisions", files[0], "--outcomes", files[1]]
    assert run(monkeypatch, *arguments, "--json", tmp_path / "out.json") == code
    output, report = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert f"left out: 1, o: not readable, first in line {len(outcomes) + 1}" in output
    assert [report["verdicts"][model]["word"] for model in ("risk", "accept")] == [action, "fine"]
    assert sum(period["outcomes"] for period in report["verdicts"]["risk"]["periods"]) == 3000
    assert report["shifts"]["tenure"]["psi"] == 0


def test_a_missing_file_is_named(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--seen", tmp_path / "nowhere.jsonl", "--artifact", artifact)
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen, out = log(tmp_path, artifact, customers), tmp_path / "nowhere" / "out.json"
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--seen", seen, "--artifact", artifact, "--json", out)
    assert "out.json" in capsys.readouterr().err
