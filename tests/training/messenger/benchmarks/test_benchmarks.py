"""Parts of the comparison with TRL; TRL itself is not installed here, but in an environment of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.messenger.prompt import build_prompt
from tests.training.messenger.tiny_model import tiny_lm
from training.messenger.benchmarks import text_ppo
from training.messenger.benchmarks.metrics import (
    BenchmarkRewardModel,
    BenchmarkRun,
    Duration,
    TextMetrics,
    TrainedModel,
    TRLRewardModel,
    benchmark_run,
    evaluate,
    normalise,
    settings,
    summary,
    table,
)
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.lm import encode, load, save
from training.messenger.ppo import TextPPOArgs
from training.messenger.reward import RewardModel
from training.statistics import interval_over_seeds

pytestmark = pytest.mark.torch

BRIEFS = sample_briefs(np.random.default_rng(0), 12)
PROMPTS = [build_prompt(brief) for brief in BRIEFS]
TEXTS = [f" Hello [NAME], thank you{'!' * n}" for n in range(len(BRIEFS))]
SMALL = TextPPOArgs(num_updates=2, batch_size=8, minibatch_size=4, max_new_tokens=6, rule_penalty=0.0, kl_coef=0.3)


@pytest.fixture(scope="module")
def trained() -> RewardModel:
    model = RewardModel(tiny_lm(), 3)
    model.normalise(model.score(PROMPTS, TEXTS, 99))
    model.freeze()
    return model


@pytest.fixture
def reward_model(trained: RewardModel, tmp_path: Path) -> BenchmarkRewardModel:
    save(trained.as_lm(), tmp_path)
    return BenchmarkRewardModel.from_lm(load(tmp_path))


def test_a_reward_model_read_from_a_language_model_loses_only_its_mean(
    trained: RewardModel, reward_model: BenchmarkRewardModel
) -> None:
    before, loaded = trained.score(PROMPTS, TEXTS, 99), reward_model.score(PROMPTS, TEXTS, 99)
    assert loaded - loaded.mean() == pytest.approx(before - before.mean(), abs=1e-4)

    reward_model.normalise(loaded)
    assert reward_model.score(PROMPTS, TEXTS, 99) == pytest.approx(before, abs=1e-4)


def test_the_reward_model_for_trl_scores_ended_texts_the_same_and_others_0(
    reward_model: BenchmarkRewardModel,
) -> None:
    reward_model.normalise(reward_model.score(PROMPTS, TEXTS, 99))
    batch = encode(reward_model.tokenizer, PROMPTS, TEXTS, 99)
    batch.ids[0, batch.last_index[0]] = batch.ids[0, batch.last_index[0] - 1]
    model = TRLRewardModel(reward_model)
    output = getattr(model, model.base_model_prefix)(
        input_ids=batch.ids.masked_fill(batch.attention_mask == 0, 0),
        attention_mask=batch.attention_mask,
        position_ids=batch.attention_mask.cumsum(1) - batch.attention_mask,  # as TRL counts them
        output_hidden_states=True,
    )
    scores = model.score(output.hidden_states[-1])[torch.arange(len(TEXTS)), batch.last_index, 0]

    assert scores[1:].numpy() == pytest.approx(reward_model.score(PROMPTS, TEXTS, 99)[1:], abs=1e-4)
    assert scores[0] == 0
    assert not any(weight.requires_grad for weight in reward_model.parameters())


def test_texts_of_the_sft_model_have_a_mean_score_of_0_and_no_divergence(
    reward_model: BenchmarkRewardModel,
) -> None:
    sft = tiny_lm()
    normalise(reward_model, sft, sample_briefs(np.random.default_rng(1), 200), SMALL.max_new_tokens)
    eval_briefs = sample_briefs(np.random.default_rng(2), 200)
    metrics = evaluate(sft, sft, reward_model, eval_briefs, SMALL.max_new_tokens)

    assert metrics.score == pytest.approx(0, abs=0.3)
    assert metrics.kl == pytest.approx(0, abs=1e-4)
    assert 0 <= metrics.ended <= 1
    assert metrics == evaluate(tiny_lm(), sft, reward_model, eval_briefs, SMALL.max_new_tokens), "the same seed"


def test_the_own_ppo_learns_and_reports_tokens_and_duration(reward_model: BenchmarkRewardModel) -> None:
    sft = tiny_lm()
    trained = text_ppo.train(tiny_lm(), reward_model, BRIEFS, SMALL)

    assert 0 < trained.tokens <= SMALL.num_updates * SMALL.batch_size * SMALL.max_new_tokens
    assert trained.duration.seconds > 0
    assert trained.duration.processor_seconds > 0
    assert evaluate(trained.lm, sft, reward_model, BRIEFS, SMALL.max_new_tokens).kl > 0


def run(name: str, seed: int, tokens: int, score: float) -> BenchmarkRun:
    trained = TrainedModel(tiny_lm(), tokens, Duration(10.0, 5.0))
    return benchmark_run(name, seed, 0.1, trained, TextMetrics(score, 2.0, 1.0))


def test_the_summary_pairs_the_runs_by_seed() -> None:
    runs = [run("ours", 0, 300, 2.0), run("trl", 0, 100, 1.0), run("ours", 1, 300, 3.0), run("trl", 1, 150, 2.5)]
    report = summary(runs)

    assert report["learners"]["ours"]["tokens_per_second"] == {"mean": 30, "low": 30, "high": 30}
    assert report["learners"]["trl"]["tokens_per_processor_second"]["mean"] == 25
    assert report["learners"]["ours"]["objective"]["mean"] == pytest.approx(2.5 - 0.1 * 2)
    assert report["ours_over"].keys() == {"trl"}
    assert report["ours_over"]["trl"]["tokens_per_second"]["mean"] == 2.5
    assert report["ours_over"]["trl"]["score"] == interval_over_seeds([1.0, 0.5])
    assert len(report["runs"]) == 4


def test_the_table_has_a_line_per_learner_and_intervals_over_several_seeds() -> None:
    one_seed = table(summary([run("ours", 0, 30_000, 2.0), run("trl", 0, 100, 1.0)])).splitlines()
    two_seeds = table(summary([run("ours", seed, 300, 2.0 + seed) for seed in range(2)])).splitlines()

    assert [line.split()[:2] for line in one_seed[1:]] == [["ours", "3,000"], ["trl", "10"]]
    assert len({len(line) for line in one_seed}) == 1
    assert "30 [30, 30]" in two_seeds[1]
    assert "2.50 [-3.85, 8.85]" in two_seeds[1]


def test_the_report_keeps_the_keys_of_the_settings() -> None:
    keys = "updates texts epochs batch most learning_rate critic_rate clip trace beta unsafe unended"

    assert " ".join(settings(SMALL)) == keys
    assert settings(SMALL)["beta"] == 0.3
