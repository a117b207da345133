import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, encoder
from services.scorer.model import INPUTS, ScorerModel
from services.scorer.monitor import (
    COUNTS_MESSAGE,
    HISTOGRAMS_FILE,
    SCORES,
    FeatureMonitor,
    reference_histograms,
)
from shared.artifacts import ARTIFACTS, read_manifest, write_manifest
from shared.messages import OFFERS, CustomerFacts
from tests.training.scorer.builders import DAY, START, decision, outcome, written
from training.scorer import drift

Command = Callable[..., tuple[int, str]]
"""From arguments to the exit code and the output."""


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
    (folder / HISTOGRAMS_FILE).write_text(json.dumps(bins))
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
    monitor = FeatureMonitor(json.loads((artifact / HISTOGRAMS_FILE).read_text()), Counter(contract=unread))
    monitor.observe(*rows, scores[:, 0], np.repeat(scores[:, 1:], len(OFFERS), axis=1))
    return written(folder / "log", {"message": COUNTS_MESSAGE, "version": model.version, **monitor.take_counts()})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], artifact: Path) -> Command:
    """Runs the command on the artifact."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["drift", *map(str, arguments), "--artifact", str(artifact)])
        return drift.main(), capsys.readouterr().out

    return run


def test_counts_alone_leave_the_verdict_unknown(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    run: Command,
) -> None:
    exit_code, output = run("--seen", log(tmp_path, artifact, customers))

    assert exit_code == 2
    assert output.startswith("2,000 customers scored by version ")
    assert "contract              0.000      0.0%        0.0%         3" in output
    assert "never sent: monthly_charges, total_charges" in output
    assert "risk: unknown\n  too few outcomes" in output


@pytest.mark.parametrize("number", [0, 1, 99])
def test_too_few_customers_are_not_compared(
    artifact: Path, customers: list[CustomerFacts], tmp_path: Path, run: Command, number: int
) -> None:
    new = [customer for customer in customers if (customer.tenure or 0) < 12][:number]
    exit_code, output = run("--seen", log(tmp_path, artifact, new) if new else written(tmp_path / "log"))

    assert exit_code == 2
    assert f"{number} customers scored by version " in output
    assert ": too few to compare with training, which takes 100" in output.splitlines()[0]
    assert "shifted" not in output


def test_customers_unlike_those_of_training_call_for_retraining(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    run: Command,
) -> None:
    new = [customer for customer in customers if (customer.tenure or 0) < 12]
    exit_code, output = run("--seen", log(tmp_path, artifact, new))

    assert exit_code == 1
    assert "risk: retrain" in output
    assert "facts that the model relies on have shifted: tenure" in output
    assert "accept: unknown" in output


def test_a_fact_that_is_no_longer_sent_calls_for_a_check_of_the_events(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    run: Command,
) -> None:
    broken = [CustomerFacts(contract=customer.contract) for customer in customers[20:]]
    exit_code, output = run("--seen", log(tmp_path, artifact, customers[:20] + broken))

    assert exit_code == 1
    reason = "tenure is missing of 99.0% of customers, in training of 0.0%: has a publisher stopped sending it?"
    assert f"risk: check\n  {reason}" in output
    assert re.search(r"^tenure .* 99.0%        0.0%         0  missing$", output, re.MULTILINE)
    assert "accept: unknown\n  too few" in output


@pytest.mark.parametrize(("unread", "action", "code"), [(0, "unknown", 2), (2000, "check", 1)])
def test_a_fact_never_sent_calls_for_nothing_and_one_never_readable_for_a_check(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    run: Command,
    unread: int,
    action: str,
    code: int,
) -> None:
    log_file = log(tmp_path, artifact, [CustomerFacts(tenure=customer.tenure) for customer in customers], unread)
    exit_code, output = run("--seen", log_file)

    assert exit_code == code
    assert f"risk: {action}" in output
    assert ("facts that the model relies on were never sent: contract" in output) == (not unread)
    assert ("never sent: monthly_charges, total_charges, contract" in output) == (not unread)


@pytest.mark.parametrize(("times", "action", "code"), [(1, "fine", 0), (2, "recalibrate", 1)])
def test_with_outcomes_the_verdict_is_about_calibration_and_ranking(
    artifact: Path,
    customers: list[CustomerFacts],
    tmp_path: Path,
    run: Command,
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
    outcomes.append(outcome("holdout 7", "churned", datetime(2062, 5, 4, tzinfo=UTC)).model_dump_json())
    log_file = log(tmp_path, artifact, customers)
    files = written(tmp_path / "d", *decisions), written(tmp_path / "o", *outcomes, "{")
    arguments = ["--seen", log_file, "--decisions", files[0], "--outcomes", files[1], "--json", tmp_path / "out.json"]
    exit_code, output = run(*arguments)

    assert exit_code == code
    report = json.loads((tmp_path / "out.json").read_text())
    assert f"left out: 1, o: not readable, first in line {len(outcomes) + 1}" in output
    assert "left out: 1, outcomes dated outside of the log, 2026-01-01 to 2026-03-02: 2062-05-04" in output
    assert [report["verdicts"][model]["word"] for model in ("risk", "accept")] == [action, "fine"]
    assert report["verdicts"]["risk"]["periods"][0].keys() == {"outcomes", "predicted", "observed", "off"}
    assert sum(period["outcomes"] for period in report["verdicts"]["risk"]["periods"]) == 3000
    assert report["shifts"]["tenure"]["psi"] == 0


def test_a_missing_file_is_named(run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("--seen", tmp_path / "nowhere.jsonl")
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(
    artifact: Path, customers: list[CustomerFacts], tmp_path: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    log_file, out = log(tmp_path, artifact, customers), tmp_path / "nowhere" / "out.json"
    with pytest.raises(SystemExit, match="2"):
        run("--seen", log_file, "--json", out)
    assert "out.json" in capsys.readouterr().err
