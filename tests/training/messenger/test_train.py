"""All stages on a model that is too small to be good: in one run, resumed, and one by one as scripts."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.messenger.artifact import Artifact
from services.messenger.local import LocalWriter
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer
from shared.artifacts import Manifest
from training.messenger import base, export, human_preferences, ppo, reward, sft, train
from training.messenger.base import BaseArgs
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.ctranslate import generate
from training.messenger.data import Pair, Preferences
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import assess
from training.messenger.export import ExportArgs
from training.messenger.human_preferences import HumanPreferenceArgs
from training.messenger.lm import decode, is_eight_bit, load, sample
from training.messenger.ppo import TextPPOArgs
from training.messenger.reward import RewardStageArgs
from training.messenger.sft import SFTArgs
from training.messenger.train import TrainArgs

pytestmark = pytest.mark.torch

BRIEFS = sample_briefs(np.random.default_rng(9), 12)
HUMAN_PREFERENCES = Preferences([Pair("Human: hi\n\nAssistant:", " hello", " no")] * 20)

HISTORY_KEYS = {
    "base": "took step loss",
    "people": "took step loss accuracy margin longer with_length pairs tested",
    "sft": "took step loss held_out",
    "reward": "took step loss accuracy margin longer with_length ceiling pairs mean",
    "ppo": "took update seconds tokens score broken kl beta entropy length clipped approx_kl explained_variance"
    " target control kl_of_last_half tokens_per_second",
}
"""Of training.json, by stage."""


@pytest.fixture(autouse=True, scope="module")
def small_human_preferences() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(human_preferences, "load_preferences", lambda *_: HUMAN_PREFERENCES)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainArgs, Manifest]:
    folder = tmp_path_factory.mktemp("messenger")
    args = TrainArgs(
        models=folder / "models",
        artifacts=folder / "artifacts",
        threads=1,
        base=BaseArgs(
            vocab_size=512,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            steps=40,
            batch_size=8,
            learning_rate=1e-2,
        ),
        human_preferences=HumanPreferenceArgs(),
        sft=SFTArgs(steps=10, batch_size=8, demonstrations=400),
        reward=RewardStageArgs(
            epochs=20,
            learning_rate=5e-3,  # spreads the scores wider than the error of 8 bits
            batch_size=32,
            group_size=1,
            prompts=32,
            completions=2,
            eval_prompts=32,
            max_new_tokens=24,
        ),
        ppo=TextPPOArgs(num_updates=2, batch_size=8, minibatch_size=8, max_new_tokens=24),
        export=ExportArgs(eval_prompts=32, max_new_tokens=24, customers=40),
    )
    return args, train.train(args)


def options(args: object) -> list[str]:
    """The command-line options for these arguments."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in vars(args).items()]


def without_times(history: Any) -> Any:
    """A history without what differs from run to run."""
    if not isinstance(history, dict):
        return history
    times = ("took", "seconds", "tokens_per_second")
    return {key: without_times(value) for key, value in history.items() if key not in times}


def test_the_service_loads_the_artifact(trained: tuple[TrainArgs, Manifest]) -> None:
    args, manifest = trained
    artifact = Artifact.load(args.artifacts / "messenger")

    assert artifact.version == manifest.version
    assert artifact.reward is not None
    assert len(LocalWriter(artifact, 2).sample([build_prompt(brief) for brief in BRIEFS])) == len(BRIEFS)


def test_the_models_of_the_stages_are_those_that_serve(trained: tuple[TrainArgs, Manifest]) -> None:
    args, _ = trained
    torch.set_num_threads(1)
    policy, reward_model = load(args.models / "merged"), load(args.models / "reward")
    artifact = Artifact.load(args.artifacts / "messenger")
    prompts = [build_prompt(brief) for brief in BRIEFS]
    drafts = LocalWriter(artifact, 1).sample(prompts)
    scores = RewardScorer(artifact.reward)(prompts, ["Hi [NAME]!"] * len(prompts)) if artifact.reward else []
    with torch.no_grad():
        expected = [
            float(
                reward_model.model(**reward_model.tokenizer(f"{text} Hi [NAME]!</s>", return_tensors="pt")).logits[
                    0, -1, 0
                ]
            )
            for text in prompts
        ]

    assert len(drafts) == len(prompts)
    assert np.corrcoef(scores, expected)[0, 1] > 0.9, "8 bits are close enough"
    assert sample(policy, prompts, 4).response_mask.any()


def test_history_and_model_card_hold_the_metrics(trained: tuple[TrainArgs, Manifest]) -> None:
    args, manifest = trained
    folder = args.artifacts / "messenger"
    history = json.loads((folder / "training.json").read_text())

    assert {stage: " ".join(columns) for stage, columns in history.items()} == HISTORY_KEYS
    assert len(history["ppo"]["kl"]) == 2
    assert manifest.metrics["rm_accuracy"] == pytest.approx(history["reward"]["accuracy"], abs=1e-4)
    assert f"{manifest.metrics['win_rate']:.3f}" in (folder / "MODEL_CARD.md").read_text()
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 10_000_000


def test_the_report_covers_the_models_that_serve(trained: tuple[TrainArgs, Manifest], tmp_path: Path) -> None:
    args, manifest = trained
    report.write(assess(args.artifacts, customers=40), tmp_path)
    results = json.loads((tmp_path / "messenger.json").read_text())

    keys = {"win_rate", "kl_mean", "kl_target", "grounded", "rm_accuracy", "rm_ceiling", "distinct_ratio"}
    assert keys | {"violations_before_shield", "unsafe_sent"} <= results.keys()
    assert {"mean", "low", "high"} <= results["win_rate"].keys()
    assert results["unsafe_sent"] == 0
    assert sum(results["sent"].values()) - results["sent"]["unsafe"] == 40
    page = (tmp_path / "messenger.html").read_text()
    assert manifest.version in page
    assert "<script>alert" not in page


def test_the_report_shows_the_diagnostics_of_ppo_or_says_that_a_run_did_not_record_them(
    trained: tuple[TrainArgs, Manifest],
) -> None:
    history = json.loads((trained[0].artifacts / "messenger" / "training.json").read_text())
    recorded = report.training_section(history)
    diagnostics = ("approx_kl", "explained_variance")
    history["ppo"] = {key: column for key, column in history["ppo"].items() if key not in diagnostics}
    unrecorded = report.training_section(history)

    assert (recorded.count("<figure>"), unrecorded.count("<figure>")) == (5, 3)
    assert "Explained variance" in recorded
    assert "recorded neither the approximate KL" in unrecorded
    assert "recorded neither the approximate KL" not in recorded


def test_the_stages_run_one_by_one_as_scripts_equal_the_whole_run(
    trained: tuple[TrainArgs, Manifest], tmp_path: Path
) -> None:
    args, manifest = trained
    models = [f"--models={tmp_path / 'models'}", "--threads=1"]
    base.main([*models, *options(args.base)])
    human_preferences.main([*models, *options(args.human_preferences)])
    sft.main([*models, *options(args.sft)])
    reward.main([*models, *options(args.reward)])
    ppo.main([*models, *options(args.ppo)])
    export.main([*models, f"--artifacts={tmp_path / 'artifacts'}", *options(args.export)])

    whole = args.models.parent
    files = {file.relative_to(whole) for file in whole.rglob("*.*")}
    assert {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")} == files
    assert json.loads((tmp_path / "artifacts/messenger/manifest.json").read_text())["version"] == manifest.version
    # A tokenizer that was loaded says so in its configuration; the manifest holds times.
    for file in (file for file in files if file.name not in ("tokenizer_config.json", "manifest.json")):
        if file.suffix == ".json":
            one_by_one, expected = (without_times(json.loads((root / file).read_text())) for root in (tmp_path, whole))
            assert one_by_one == expected, file
        else:
            assert (tmp_path / file).read_bytes() == (whole / file).read_bytes(), file


@pytest.mark.parametrize(
    ("stage", "missing", "script"),
    [
        (sft, "base/config.json", "base"),
        (human_preferences, "base/config.json", "base"),
        (reward, "sft/config.json", "sft"),
        (ppo, "sft/config.json", "sft"),
        (export, "base.json", "base"),
    ],
)
def test_a_stage_names_the_missing_file_and_the_script_that_makes_it(
    stage: Any, missing: str, script: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        stage.main([f"--models={tmp_path}"])

    assert exit_info.value.code == f"{tmp_path / missing} is missing; python -m training.messenger.{script} makes it"


@pytest.mark.parametrize("stage", [base, human_preferences, sft, reward, ppo, export, train])
def test_help_explains_every_option(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        stage.main(["--help"])

    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m {stage.__name__} ")
    listed = " ".join(text.partition("options:")[2].split())
    assert "--models" in listed
    assert "--threads" in listed
    assert not re.findall(r"--[a-z-]+ [A-Z_]+ (?:--|\(default)", listed), "an option without explanation"


def test_a_resumed_run_takes_the_finished_stages_and_repeats_the_rest(
    trained: tuple[TrainArgs, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args, manifest = trained
    for stage in (base, sft, reward):
        monkeypatch.setattr(stage, "train", None)
    resumed = train.train(replace(args, resume=True, artifacts=tmp_path))
    before, after = (
        json.loads((folder / "messenger" / "training.json").read_text()) for folder in (args.artifacts, tmp_path)
    )

    stages = ("base", "people", "sft", "reward")
    assert {stage: before[stage] for stage in stages} == {stage: after[stage] for stage in stages}
    assert without_times(after["ppo"]) == without_times(before["ppo"])
    assert resumed.version == manifest.version


@pytest.mark.filterwarnings("ignore:Merge lora module to 8-bit:UserWarning")
def test_a_pretrained_model_is_held_in_8_bits_and_saved_in_floats(
    trained: tuple[TrainArgs, Manifest], tmp_path: Path
) -> None:
    args, _ = trained
    args = replace(
        args,
        model=str(args.models / "base"),
        eight_bit=True,
        models=tmp_path,
        artifacts=tmp_path,
        reward=replace(args.reward, eval_prompts=12),
        export=replace(args.export, eval_prompts=12),
    )
    train.train(args)

    assert Artifact.load(tmp_path / "messenger").reward is not None
    assert not is_eight_bit(load(tmp_path / "merged").model)
    assert "base" not in json.loads((tmp_path / "messenger" / "training.json").read_text())


def test_generation_gives_every_brief_its_completions_and_repeats_with_its_seed(
    trained: tuple[TrainArgs, Manifest],
) -> None:
    lm = load(trained[0].models / "sft")
    texts = generate(lm, BRIEFS, 8, completions=3, seed=5)

    assert [len(completions) for completions in texts] == [len(BRIEFS)] * 3
    assert texts[0] != texts[1]
    assert texts == generate(lm, BRIEFS, 8, completions=3, seed=5)
    assert texts != generate(lm, BRIEFS, 8, completions=3, seed=6)


def test_ctranslate2_samples_from_the_distribution_of_transformers(trained: tuple[TrainArgs, Manifest]) -> None:
    lm = load(trained[0].models / "sft")
    torch.manual_seed(0)
    expected = Counter(decode(lm.tokenizer, sample(lm, [build_prompt(BRIEFS[0])] * 2_000, 1)))
    counts = Counter(text for [text] in generate(lm, BRIEFS[:1], 1, completions=2_000))

    assert len(expected) > 5
    assert all(counts[text] == pytest.approx(expected[text], abs=100) for text in counts | expected)
