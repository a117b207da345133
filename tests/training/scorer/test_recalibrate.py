import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from services.scorer.model import INPUTS, ScorerModel
from shared.artifacts import ARTIFACTS, read_manifest
from shared.messages import CustomerFacts, Message
from tests.training.scorer.builders import START, decision, outcome
from training.scorer import recalibrate as command
from training.scorer.recalibrate import TooFewOutcomesError, recalibrate

CUSTOMERS = [CustomerFacts(), CustomerFacts(tenure=3, contract="Month-to-month"), CustomerFacts(age=30, job="student")]


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return copytree(ARTIFACTS / "scorer", tmp_path / "scorer")


def history(folder: Path, artifact: Path, odds: float, contacts: int = 1200) -> tuple[Path, Path]:
    """Files of decisions, and of outcomes at `odds` times the predicted ones."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.4, contacts)
    accepted = rng.random(contacts) < odds * p / (1 - p + odds * p)
    version = read_manifest(artifact, INPUTS).version
    decisions = [
        decision(f"e{n}", START + timedelta(minutes=n), contact=True, accept_prob=predicted).model_copy(
            update={"versions": {"scorer": version}}
        )
        for n, predicted in enumerate(p.tolist())
    ]
    outcomes = [outcome(f"e{n}", "accepted" if accepted else "declined") for n, accepted in enumerate(accepted)]
    files: dict[str, Sequence[Message]] = {"decisions": decisions, "outcomes": outcomes}
    for name, messages in files.items():
        (folder / name).write_text("\n".join(["not JSON", *(message.model_dump_json() for message in messages)]))
    return folder / "decisions", folder / "outcomes"


def test_acceptance_follows_the_outcomes_and_risk_stays(artifact: Path, tmp_path: Path) -> None:
    before = ScorerModel.load(artifact)
    summary = recalibrate(artifact, *history(tmp_path, artifact, odds=3))
    after = ScorerModel.load(artifact)
    assert after.version == summary["version"] != before.version
    for old, new in zip(before.score(CUSTOMERS), after.score(CUSTOMERS), strict=True):
        assert new.churn_risk == old.churn_risk
        assert list(new.accept_probs) == sorted(new.accept_probs)
        for p, q in zip(old.accept_probs, new.accept_probs, strict=True):
            assert q / (1 - q) == pytest.approx(3 * p / (1 - p), rel=0.35)
    assert summary["risk"].startswith("as it was: 0 of its latest 0 outcomes")
    assert summary["skipped, outcomes: not readable, first in line 1"] == "1 lines"


def test_the_card_says_of_which_version_its_metrics_are(artifact: Path, tmp_path: Path) -> None:
    old = read_manifest(artifact, INPUTS).version
    summary = recalibrate(artifact, *history(tmp_path, artifact, odds=3))
    card = (artifact / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# Scorer {summary['version']}")
    assert f"All metrics are of version {old}" in card
    assert summary["accept"] in card


@pytest.mark.parametrize("year", [1, 1970, 2062, 9999])
def test_outcomes_whose_time_cannot_be_change_nothing(artifact: Path, tmp_path: Path, year: int) -> None:
    decisions, outcomes = history(tmp_path, artifact, odds=3)
    [first, *_] = [json.loads(line) for line in outcomes.read_text().splitlines()[1:]]
    right = recalibrate(copytree(artifact, tmp_path / "copy"), decisions, outcomes)
    wrong = {**first, "outcome": "declined" if first["outcome"] == "accepted" else "accepted"}
    with outcomes.open("a") as file:
        file.write("\n" + json.dumps({**wrong, "occurred_at": f"{year:04}-05-04T00:00:00Z"}))
    summary = recalibrate(artifact, decisions, outcomes)
    assert (summary["accept"], summary["version"]) == (right["accept"], right["version"])
    [(reason, lines)] = summary.items() - right.items()
    assert reason.startswith("skipped, outcomes dated outside of the log")
    assert (reason[-10:], lines) == (f"{year:04}-05-04", "1 lines")


def test_too_few_outcomes_change_nothing(artifact: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in artifact.iterdir()}
    with pytest.raises(TooFewOutcomesError, match=r"accept: as it was: \d+ of its latest 300 outcomes are yes"):
        recalibrate(artifact, *history(tmp_path, artifact, odds=1, contacts=300))
    assert {file.name: file.read_bytes() for file in artifact.iterdir()} == before


def test_where_ranking_is_lost_it_asks_for_retraining(artifact: Path, tmp_path: Path) -> None:
    decisions, outcomes = history(tmp_path, artifact, odds=1)
    documents = [json.loads(line) for line in decisions.read_text().splitlines()[1:]]
    for document in documents:
        document["metadata"]["accept_prob"] = 0.45 - document["metadata"]["accept_prob"]
    decisions.write_text("\n".join(map(json.dumps, documents)))
    with pytest.raises(TooFewOutcomesError, match="accept: as it was: ranking is lost"):
        recalibrate(artifact, decisions, outcomes)


@pytest.mark.parametrize("odds", [1, 3])
def test_the_command_prints_what_it_did(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odds: int
) -> None:
    decisions, outcomes = history(tmp_path, artifact, odds)
    arguments = ["--decisions", decisions, "--outcomes", outcomes, "--artifact", artifact]
    monkeypatch.setattr(sys, "argv", ["recalibrate", *map(str, arguments)])
    command.main()
    assert "accept: log-odds × " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["recalibrate", *map(str, arguments)])  # those were of the version before
    with pytest.raises(SystemExit, match="scored by version"):
        command.main()
