"""What the comparison rests on; TRL itself is not here, and lives in an environment of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.messenger.prompt import build_prompt
from tests.training.messenger.tiny_model import tiny
from training.messenger.benchmarks.measure import (
    Judge,
    Learnt,
    Outcome,
    Reward,
    Took,
    Wrote,
    normalise,
    outcome,
    summary,
    table,
    wrote,
)
from training.messenger.benchmarks.ours import Fixed, ours
from training.messenger.corpus.corpus import briefs
from training.messenger.export import as_lm
from training.messenger.lm import encode, load, save
from training.messenger.ppo import Args
from training.messenger.reward import RewardModel
from training.statistics import interval_over_seeds

BRIEFS = briefs(np.random.default_rng(0), 12)
ASKED = [build_prompt(brief) for brief in BRIEFS]
TEXTS = [f" Hello [NAME], thank you{'!' * n}" for n in range(len(BRIEFS))]
SMALL = Args(updates=2, texts=8, batch=4, most=6, unsafe=0.0, beta=0.3)


@pytest.fixture(scope="module")
def trained() -> RewardModel:
    model = RewardModel(tiny(), 3)
    model.normalise(model.score(ASKED, TEXTS, 99))
    model.merge()
    return model


@pytest.fixture
def judge(trained: RewardModel, tmp_path: Path) -> Judge:
    save(as_lm(trained), tmp_path)
    return Judge.of(load(tmp_path))


def test_a_reward_model_reads_as_it_was_saved_but_for_its_mean(trained: RewardModel, judge: Judge) -> None:
    before, read = trained.score(ASKED, TEXTS, 99), judge.score(ASKED, TEXTS, 99)
    assert read - read.mean() == pytest.approx(before - before.mean(), abs=1e-4)

    judge.normalise(read)
    assert judge.score(ASKED, TEXTS, 99) == pytest.approx(before, abs=1e-4)


def test_the_shape_that_trl_asks_for_says_the_same_of_what_has_ended_and_0_of_what_has_not(judge: Judge) -> None:
    judge.normalise(judge.score(ASKED, TEXTS, 99))
    batch = encode(judge.tokenizer, ASKED, TEXTS, 99)
    batch.ids[0, batch.last[0]] = batch.ids[0, batch.last[0] - 1]
    model = Reward(judge)
    said = getattr(model, model.base_model_prefix)(
        input_ids=batch.ids.masked_fill(batch.mask == 0, 0),
        attention_mask=batch.mask,
        position_ids=batch.mask.cumsum(1) - batch.mask,  # as TRL counts them
        output_hidden_states=True,
    )
    found = model.score(said.hidden_states[-1])[torch.arange(len(TEXTS)), batch.last, 0]

    assert found[1:].numpy() == pytest.approx(judge.score(ASKED, TEXTS, 99)[1:], abs=1e-4)
    assert found[0] == 0
    assert not any(weight.requires_grad for weight in judge.parameters())


def test_what_the_frozen_model_writes_has_a_mean_of_0_a_spread_of_1_and_no_divergence(judge: Judge) -> None:
    sft = tiny()
    normalise(judge, sft, briefs(np.random.default_rng(1), 200), SMALL.most)
    found = wrote(sft, sft, judge, briefs(np.random.default_rng(2), 200), SMALL.most)

    assert found.score == pytest.approx(0, abs=0.3)
    assert found.kl == pytest.approx(0, abs=1e-4)
    assert 0 <= found.ended <= 1
    assert found == wrote(tiny(), sft, judge, briefs(np.random.default_rng(2), 200), SMALL.most), "the same luck"


def test_beta_stays() -> None:
    control = Fixed(target=6.0, beta=0.3)

    assert [control.step(kl, 999) for kl in (0.0, 6.0, 99.0)] == [0.3] * 3


def test_ours_learns_and_says_what_it_wrote_and_took(judge: Judge) -> None:
    sft = tiny()
    learnt = ours(tiny(), judge, BRIEFS, SMALL)

    assert 0 < learnt.tokens <= SMALL.updates * SMALL.texts * SMALL.most
    assert learnt.took.seconds > 0
    assert learnt.took.processor_seconds > 0
    assert wrote(learnt.lm, sft, judge, BRIEFS, SMALL.most).kl > 0


def run(name: str, seed: int, tokens: int, score: float) -> Outcome:
    return outcome(name, seed, 0.1, Learnt(tiny(), tokens, Took(10.0, 5.0)), Wrote(score, 2.0, 1.0))


def test_the_summary_by_hand_pairs_seeds() -> None:
    runs = [run("ours", 0, 300, 2.0), run("trl", 0, 100, 1.0), run("ours", 1, 300, 3.0), run("trl", 1, 150, 2.5)]
    found = summary(runs)

    assert found["learners"]["ours"]["tokens_per_second"] == {"mean": 30, "low": 30, "high": 30}
    assert found["learners"]["trl"]["tokens_per_processor_second"]["mean"] == 25
    assert found["learners"]["ours"]["objective"]["mean"] == pytest.approx(2.5 - 0.1 * 2)
    assert found["ours_over"].keys() == {"trl"}
    assert found["ours_over"]["trl"]["tokens_per_second"]["mean"] == 2.5
    assert found["ours_over"]["trl"]["score"] == interval_over_seeds([1.0, 0.5])
    assert len(found["runs"]) == 4


def test_the_table_has_a_line_a_learner_and_intervals_where_there_are_seeds() -> None:
    one = table(summary([run("ours", 0, 30_000, 2.0), run("trl", 0, 100, 1.0)])).splitlines()
    two = table(summary([run("ours", seed, 300, 2.0 + seed) for seed in range(2)])).splitlines()

    assert [line.split()[:2] for line in one[1:]] == [["ours", "3,000"], ["trl", "10"]]
    assert len({len(line) for line in one}) == 1
    assert "30 [30, 30]" in two[1]
    assert "2.50 [-3.85, 8.85]" in two[1]
