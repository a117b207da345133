"""The whole of `make train-messenger` on a model that is too small to be good; what serves is what was trained."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.messenger.artifact import Artifact
from services.messenger.local import LocalWriter
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer
from shared.artifacts import Manifest
from training.messenger import base, ppo, reward, sft, train
from training.messenger.corpus.corpus import briefs
from training.messenger.data import Pair, Preferences
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import evaluated
from training.messenger.lm import LM, in_eight_bits, load, sample, texts
from training.messenger.train import Args, written

BRIEFS = briefs(np.random.default_rng(9), 12)
PEOPLE = Preferences([Pair("Human: hi\n\nAssistant:", " hello", " no")] * 20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Args, Manifest]:
    folder = tmp_path_factory.mktemp("messenger")
    args = Args(
        models=folder / "models",
        artifacts=folder / "artifacts",
        threads=1,
        demonstrations=400,
        asked=32,
        answers=2,
        held_out=32,
        sent=40,
        base=base.Args(vocabulary=512, hidden=32, layers=1, heads=2, steps=40, batch=8, learning_rate=1e-2),
        sft=sft.Args(steps=10, batch=8),
        reward=reward.Args(epochs=20, learning_rate=5e-3),  # its scores spread wider than what 8 bits lose
        people=reward.Args(epochs=1),
        ppo=ppo.Args(updates=2, texts=8, batch=8, most=24),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "preferences", lambda *_: PEOPLE)
        return args, train.train(args)


def test_the_service_takes_what_was_trained(made: tuple[Args, Manifest]) -> None:
    args, manifest = made
    artifact = Artifact.load(args.artifacts / "messenger")

    assert artifact.version == manifest.version
    assert artifact.reward is not None
    assert len(LocalWriter(artifact, 2).sample([build_prompt(brief) for brief in BRIEFS])) == len(BRIEFS)


def test_the_weights_that_are_left_are_those_that_serve(made: tuple[Args, Manifest]) -> None:
    args, _ = made
    torch.set_num_threads(1)
    merged, rewards = load(args.models / "merged"), load(args.models / "reward")
    artifact = Artifact.load(args.artifacts / "messenger")
    asked = [build_prompt(brief) for brief in BRIEFS]
    likely = LocalWriter(artifact, 1).sample(asked)
    scores = RewardScorer(artifact.reward)(asked, ["Hi [NAME]!"] * len(asked)) if artifact.reward else []
    with torch.no_grad():
        said = [
            rewards.model(**rewards.tokenizer(f"{a} Hi [NAME]!</s>", return_tensors="pt")).logits[0, -1, 0]
            for a in asked
        ]

    assert len(likely) == len(asked)
    assert np.corrcoef(scores, [float(each) for each in said])[0, 1] > 0.9, "8 bits are near enough"
    assert sample(merged, asked, 4).written.any()


def test_the_history_and_the_card_tell_what_was_measured(made: tuple[Args, Manifest]) -> None:
    args, manifest = made
    folder = args.artifacts / "messenger"
    history = json.loads((folder / "training.json").read_text())

    assert set(history) == {"base", "people", "sft", "reward", "ppo"}
    assert len(history["ppo"]["kl"]) == 2
    assert manifest.metrics["rm_accuracy"] == pytest.approx(history["reward"]["accuracy"], abs=1e-4)
    assert f"{manifest.metrics['win_rate']:.3f}" in (folder / "MODEL_CARD.md").read_text()
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 10_000_000


def test_the_report_is_of_what_serves(made: tuple[Args, Manifest], tmp_path: Path) -> None:
    args, manifest = made
    found = evaluated(args.artifacts, sent=40)
    report.write(found, tmp_path)
    machine = json.loads((tmp_path / "messenger.json").read_text())

    asked_for = {"win_rate", "kl_mean", "kl_target", "grounded", "rm_accuracy", "rm_ceiling", "distinct_ratio"}
    assert asked_for | {"violations_before_shield", "unsafe_sent"} <= machine.keys()
    assert {"mean", "low", "high"} <= machine["win_rate"].keys()
    assert machine["unsafe_sent"] == 0
    assert sum(machine["sent"].values()) - machine["sent"]["unsafe"] == 40
    page = (tmp_path / "messenger.html").read_text()
    assert manifest.version in page
    assert "<script>alert" not in page


def test_a_run_that_resumes_takes_what_was_finished_and_learns_the_same(
    made: tuple[Args, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args, _ = made
    for stage in (base, sft, reward):
        monkeypatch.setattr(stage, "train", None)
    again = train.train(replace(args, resume=True, artifacts=tmp_path))
    before, after = (
        json.loads((folder / "messenger" / "training.json").read_text()) for folder in (args.artifacts, tmp_path)
    )

    assert {stage: before[stage] for stage in ("base", "people", "sft", "reward")} == {
        stage: after[stage] for stage in ("base", "people", "sft", "reward")
    }
    assert after["ppo"]["score"] == pytest.approx(before["ppo"]["score"], abs=0.05)
    assert again.metrics["rm_accuracy"] > 0


@pytest.mark.filterwarnings("ignore:Merge lora module to 8-bit:UserWarning")
def test_a_model_by_name_is_held_in_8_bits_and_what_is_left_of_it_is_not(
    made: tuple[Args, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args, _ = made
    monkeypatch.setattr(train, "preferences", lambda *_: PEOPLE)
    train.train(
        replace(args, model=str(args.models / "base"), eight_bit=True, models=tmp_path, artifacts=tmp_path, held_out=12)
    )

    assert Artifact.load(tmp_path / "messenger").reward is not None
    assert not in_eight_bits(load(tmp_path / "merged").model)


def test_texts_are_drawn_for_each_brief_as_often_as_asked_and_with_the_same_seed_again(
    made: tuple[Args, Manifest],
) -> None:
    lm: LM = load(made[0].models / "sft")
    found = written(lm, BRIEFS, 8, answers=3, seed=5)

    assert [len(texts) for texts in found] == [len(BRIEFS)] * 3
    assert found[0] != found[1]
    assert found == written(lm, BRIEFS, 8, answers=3, seed=5)
    assert found != written(lm, BRIEFS, 8, answers=3, seed=6)


def test_texts_are_drawn_as_often_as_transformers_would(made: tuple[Args, Manifest]) -> None:
    lm: LM = load(made[0].models / "sft")
    torch.manual_seed(0)
    theirs = Counter(texts(lm.tokenizer, sample(lm, [build_prompt(BRIEFS[0])] * 2_000, 1)))
    ours = Counter(text for [text] in written(lm, BRIEFS[:1], 1, answers=2_000))

    assert len(theirs) > 5
    assert all(ours[text] == pytest.approx(theirs[text], abs=100) for text in ours | theirs)
