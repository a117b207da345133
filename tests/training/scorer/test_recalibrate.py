import json
import sys
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from services.scorer.model import INPUTS, ScorerModel
from shared.artifacts import ARTIFACTS, read_manifest
from shared.messages import CustomerFacts
from tests.training.scorer.test_outcome_log import START, decision, outcome
from training.scorer import recalibrate as command
from training.scorer.recalibrate import TooFewError, recalibrate

CUSTOMERS = [CustomerFacts(), CustomerFacts(tenure=3, contract="Month-to-month"), CustomerFacts(age=30, job="student")]


@pytest.fixture
def artifact(tmp_path: Path):
    return copytree(ARTIFACTS / "scorer", tmp_path / "scorer")


def window(folder, artifact, odds: float, contacts: int = 1200):
    """Files of decisions, and of outcomes that came with `odds` times those that were predicted."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.4, contacts)
    yes = rng.random(contacts) < odds * p / (1 - p + odds * p)
    version = read_manifest(artifact, INPUTS).version
    said = [
        decision(f"e{n}", START + timedelta(minutes=n), contact=True, accept_prob=each).model_copy(
            update={"versions": {"scorer": version}}
        )
        for n, each in enumerate(p)
    ]
    became = [outcome(f"e{n}", "accepted" if each else "declined") for n, each in enumerate(yes)]
    for name, messages in (("decisions", said), ("outcomes", became)):
        (folder / name).write_text("\n".join(["not JSON", *(message.model_dump_json() for message in messages)]))
    return folder / "decisions", folder / "outcomes"


def test_acceptance_follows_the_outcomes_and_risk_stays(artifact, tmp_path: Path) -> None:
    before = ScorerModel.load(artifact)
    told = recalibrate(artifact, *window(tmp_path, artifact, odds=3))
    after = ScorerModel.load(artifact)
    assert after.version == told["version"] != before.version
    for old, new in zip(before.score(CUSTOMERS), after.score(CUSTOMERS), strict=True):
        assert new.churn_risk == old.churn_risk
        assert list(new.accept_probs) == sorted(new.accept_probs)
        for p, q in zip(old.accept_probs, new.accept_probs, strict=True):
            assert q / (1 - q) == pytest.approx(3 * p / (1 - p), rel=0.35)
    assert told["risk"].startswith("as it was, for 0 of its latest 0 outcomes")
    assert told["skipped, outcomes: not readable"] == "1 lines"


def test_the_card_says_of_which_version_its_numbers_are(artifact, tmp_path: Path) -> None:
    old = read_manifest(artifact, INPUTS).version
    told = recalibrate(artifact, *window(tmp_path, artifact, odds=3))
    card = (artifact / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# Scorer {told['version']}")
    assert f"All metrics are of version {old}" in card
    assert told["accept"] in card


def test_too_few_outcomes_change_nothing(artifact, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in artifact.iterdir()}
    with pytest.raises(TooFewError, match=r"accept: as it was, for \d+ of its latest 300 outcomes are yes"):
        recalibrate(artifact, *window(tmp_path, artifact, odds=1, contacts=300))
    assert {file.name: file.read_bytes() for file in artifact.iterdir()} == before


def test_where_ranking_is_lost_it_says_retrain(artifact, tmp_path: Path) -> None:
    decisions, outcomes = window(tmp_path, artifact, odds=1)
    said = [json.loads(line) for line in decisions.read_text().splitlines()[1:]]
    for one in said:
        one["metadata"]["accept_prob"] = 0.45 - one["metadata"]["accept_prob"]
    decisions.write_text("\n".join(map(json.dumps, said)))
    with pytest.raises(TooFewError, match="accept: as it was, for ranking is lost"):
        recalibrate(artifact, decisions, outcomes)


@pytest.mark.parametrize("odds", [1, 3])
def test_the_command_says_what_it_did(
    artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odds: int
) -> None:
    decisions, outcomes = window(tmp_path, artifact, odds)
    arguments = ["--decisions", decisions, "--outcomes", outcomes, "--artifact", artifact]
    monkeypatch.setattr(sys, "argv", ["recalibrate", *map(str, arguments)])
    command.main()
    assert "accept: log-odds × " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["recalibrate", *map(str, arguments)])  # those were of the version before
    with pytest.raises(SystemExit, match="scored by version"):
        command.main()
