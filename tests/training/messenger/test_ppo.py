from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import torch

from services.messenger.prompt import build_prompt
from tests.training.messenger.tiny_model import tiny_lm
from training.messenger import base, ppo
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.lm import Batch, pad, token_logprobs, vocabulary_logprobs
from training.messenger.ppo import (
    TextPPOArgs,
    Trainer,
    approximate_kl,
    compute_gae,
    exact_kl,
    explained_variance,
    policy_loss,
    reference_logprobs,
    value_loss,
    whiten,
)
from training.messenger.reward import RewardModel

pytestmark = pytest.mark.torch

BRIEFS = sample_briefs(np.random.default_rng(0), 64)
SMALL = TextPPOArgs(num_updates=2, batch_size=16, minibatch_size=8, max_new_tokens=10)


class WordRewardModel(RewardModel):
    """Scores 1 for a text with the word."""

    def __init__(self, word: str) -> None:
        super().__init__(tiny_lm(), 0)
        self.word = word

    def score(self, prompts: Sequence[str], texts: Sequence[str], max_length: int) -> np.ndarray:
        return np.array([float(self.word in text) for text in texts], np.float32)


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(tiny_lm(), RewardModel(tiny_lm(), 0), BRIEFS, SMALL)


def with_zero_values(trainer: Trainer) -> Trainer:
    for weight in trainer.critic.head.parameters():
        torch.nn.init.zeros_(weight)
    return trainer


def test_gae_is_as_computed_by_hand_with_a_value_of_0_after_the_last_token() -> None:
    mask = torch.tensor([[False, True, True, False], [False, True, True, True]])
    rewards = torch.tensor([[0.0, 0.1, 1.0, 9.0], [0.0, 0.0, 0.0, 2.0]])
    values = torch.tensor([[0.0, 0.5, 0.3, 0.0], [0.0, 1.0, 1.5, 1.8]])

    advantages = compute_gae(rewards, values, mask, gae_lambda=0.5)

    second = 1.0 - 0.3
    assert advantages[0].tolist() == pytest.approx([0, 0.1 + 0.3 - 0.5 + 0.5 * second, second, 0])
    third = 2.0 - 1.8
    middle = 1.8 - 1.5 + 0.5 * third
    assert advantages[1].tolist() == pytest.approx([0, 1.5 - 1.0 + 0.5 * middle, middle, third])


def test_gae_with_lambda_1_is_the_return_less_the_value() -> None:
    mask = torch.ones(1, 4, dtype=torch.bool)
    rewards, values = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.rand(1, 4)

    assert compute_gae(rewards, values, mask, 1.0) == pytest.approx(torch.tensor([[10.0, 9, 7, 4]]) - values, abs=1e-5)


def test_whitening_uses_the_mask_alone_and_can_keep_the_mean() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0]])
    mask = torch.tensor([[True, True, False]])

    assert whiten(values, mask) == pytest.approx(torch.tensor([[-1.0, 1.0, 0.0]]), abs=1e-3)
    assert whiten(values, mask, shift_mean=False) == pytest.approx(torch.tensor([[1.0, 3.0, 0.0]]), abs=1e-3)


def test_the_clipped_surrogate_is_as_computed_by_hand_and_ignores_padding() -> None:
    ratio = torch.tensor([[1.5, 0.5, 1.1, 50.0]])
    advantage = torch.tensor([[1.0, -1.0, 2.0, 7.0]])
    mask = torch.tensor([[True, True, True, False]])

    assert policy_loss(ratio.log(), advantage, mask, 0.2).item() == pytest.approx(-(1.2 - 0.8 + 2.2) / 3)


def test_the_value_loss_is_as_computed_by_hand_and_ignores_padding() -> None:
    values, returns = torch.tensor([[2.0, 0.1, 5.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])

    assert value_loss(values, returns, mask).item() == pytest.approx(0.5 * (1 + 0.9**2) / 2)


def test_the_exact_kl_of_two_coins_is_as_computed_by_hand() -> None:
    batch = pad([[0], [0]], [[1, 1], [1]], pad_id=0)
    policy, reference = (torch.tensor([[coin] * 2] * 2).log() for coin in ([0.9, 0.1], [0.5, 0.5]))

    kl = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert exact_kl(policy, reference, batch) == pytest.approx(torch.tensor([[kl, kl], [kl, 0]]))


def test_the_approximate_kl_is_0_at_equal_probabilities_and_positive_elsewhere() -> None:
    log_ratio = torch.tensor([0.0, 0.5, -0.5])

    assert approximate_kl(log_ratio).tolist() == pytest.approx([0, np.exp(0.5) - 1.5, np.exp(-0.5) - 0.5])


def test_explained_variance_is_1_for_exact_values_0_for_constant_ones_and_ignores_padding() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 3.0, 99.0]]), torch.tensor([[True, True, True, False]])

    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(torch.full((1, 4), 5.0), returns, mask) == pytest.approx(0)
    assert explained_variance(returns, torch.ones(1, 4), mask) == 0


def test_update_metrics_are_as_computed_by_hand(trainer: Trainer) -> None:
    rollout, _ = trainer.collect(BRIEFS[:8])
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.0
    metrics = trainer.update(rollout)

    assert metrics.clip_fraction == 0, "the policy has not moved"
    assert metrics.approx_kl == pytest.approx(0, abs=1e-6)
    moved = trainer.update(rollout._replace(logprobs=rollout.logprobs - 0.5 * rollout.batch.response_mask))
    assert moved.clip_fraction == 1
    assert moved.approx_kl == pytest.approx(np.exp(0.5) - 1.5, abs=1e-4)


def test_the_policy_begins_as_the_reference_and_the_critic_as_the_reward_model(trainer: Trainer) -> None:
    trainer.reward_model.normalise(np.array([1.0, 4.0]))
    trainer = Trainer(tiny_lm(), trainer.reward_model, BRIEFS, SMALL)
    rollout, metrics = trainer.collect(BRIEFS[:8])
    batch = rollout.batch
    with torch.no_grad():
        columns = slice(batch.response_start + 1)  # the prompt and the first token of the response
        beginning = Batch(batch.ids[:, columns], batch.attention_mask[:, columns], batch.response_start)
        scores, values = trainer.reward_model(beginning), trainer.critic(batch)[:, 1]
    has_second_token = batch.response_mask[:, 1]

    assert metrics.kl == pytest.approx(0, abs=1e-4)
    assert values[has_second_token] == pytest.approx(scores[has_second_token], abs=1e-5)
    assert not trainer.policy.model.training, "no dropout"
    assert not trainer.critic.lm.training


def test_log_probabilities_of_a_rollout_are_those_of_the_policy_that_sampled_it(trainer: Trainer) -> None:
    rollout, _ = trainer.collect(BRIEFS[:8])
    with torch.no_grad():
        vocabulary = vocabulary_logprobs(trainer.policy.model, rollout.batch)

    assert token_logprobs(vocabulary, rollout.batch) == pytest.approx(rollout.logprobs, abs=1e-5)


def test_micro_batches_give_the_statistics_and_gradients_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(micro_batch_size: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        monkeypatch.setattr(ppo, "MICRO_BATCH_SIZE", micro_batch_size)
        torch.manual_seed(5)
        trainer = Trainer(tiny_lm(), RewardModel(tiny_lm(), 0), BRIEFS, SMALL)
        rollout, _ = trainer.collect(BRIEFS[:16])
        with torch.no_grad():
            statistics = torch.stack([*trainer.token_statistics(rollout.batch)])
        for group in trainer.optimizer.param_groups:
            group.update(lr=1e-3, eps=1e-2)  # else Adam takes full steps for gradients of 0 up to rounding
        trainer.update(rollout)
        return statistics, [weight.detach().clone() for weights, _ in trainer.parameters for weight in weights]

    (statistics, weights), (expected_statistics, expected_weights) = run(3), run(16)

    assert statistics == pytest.approx(expected_statistics, abs=1e-5)
    for weight, expected in zip(weights, expected_weights, strict=True):
        assert weight == pytest.approx(expected, abs=1e-5)


def test_the_last_token_gets_the_score_less_the_penalties_or_the_penalty_for_a_missing_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[str] = []

    class CountingRewardModel(WordRewardModel):
        def score(self, prompts: Sequence[str], texts: Sequence[str], max_length: int) -> np.ndarray:
            scored.extend(prompts)
            return np.arange(len(texts), dtype=np.float32)

    monkeypatch.setattr(ppo, "broken_rules", lambda brief, text: ("a", "b"))
    monkeypatch.setattr(ppo, "whiten", lambda values, mask, shift_mean=True: values * mask)
    monkeypatch.setattr(ppo, "has_eos", lambda tokenizer, batch: torch.tensor([True, True, True, False]))
    trainer = with_zero_values(Trainer(tiny_lm(), CountingRewardModel(""), BRIEFS, SMALL))
    rollout, metrics = trainer.collect(BRIEFS[:4])

    assert scored == [build_prompt(brief) for brief in BRIEFS[:4]]
    assert (metrics.score, metrics.violation_rate) == (1.5, 1.0)
    last = rollout.advantages[torch.arange(4), rollout.batch.last_index - rollout.batch.response_start]
    assert last.tolist() == pytest.approx([0 - 8, 1 - 8, 2 - 8, -8])


def test_every_token_pays_beta_times_its_log_ratio_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "broken_rules", lambda brief, text: ())
    monkeypatch.setattr(ppo, "whiten", lambda values, mask, shift_mean=True: values * mask)
    args = TextPPOArgs(batch_size=4, max_new_tokens=6, kl_coef=0.5, gae_lambda=0.0, missing_eos_penalty=0)
    trainer = with_zero_values(Trainer(tiny_lm(), WordRewardModel("never sampled"), BRIEFS, args))
    for name, weight in trainer.policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    rollout, _ = trainer.collect(BRIEFS[:4])
    batch = rollout.batch
    mask = batch.response_mask
    log_ratio = rollout.logprobs - token_logprobs(reference_logprobs(trainer.policy.model, batch), batch)

    assert rollout.advantages[mask] == pytest.approx(-0.5 * log_ratio[mask], abs=1e-5)


def test_texts_with_positive_advantages_become_likelier_and_the_reference_stays(trainer: Trainer) -> None:
    rollout, _ = trainer.collect(BRIEFS[:16])
    advantages = torch.zeros_like(rollout.advantages)
    advantages[:8], advantages[8:] = 1.0, -1.0
    before = reference_logprobs(trainer.policy.model, rollout.batch)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-3
    trainer.update(rollout._replace(advantages=advantages * rollout.batch.response_mask))
    with torch.no_grad():
        vocabulary = vocabulary_logprobs(trainer.policy.model, rollout.batch)
    log_ratio = token_logprobs(vocabulary, rollout.batch) - rollout.logprobs

    assert log_ratio[:8].sum() > 0 > log_ratio[8:].sum()
    assert torch.equal(before, reference_logprobs(trainer.policy.model, rollout.batch))


def test_ppo_raises_the_score_of_the_reward_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "broken_rules", lambda brief, text: ())
    monkeypatch.setattr(ppo, "has_eos", lambda tokenizer, batch: torch.ones(len(batch.ids), dtype=torch.bool))
    base_args = base.BaseArgs(
        vocab_size=512,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        steps=120,
        batch_size=16,
        learning_rate=1e-2,
    )
    lm, _ = base.train(base_args)
    args = TextPPOArgs(
        num_updates=16,
        batch_size=64,
        update_epochs=4,
        max_new_tokens=12,
        kl_target=20.0,
        kl_coef=0.001,
        learning_rate=3e-3,
    )
    _, history = Trainer(lm, WordRewardModel("Hello"), BRIEFS, args).train()

    first, last = (np.mean([metrics.score for metrics in updates]) for updates in (history[:1], history[-3:]))
    assert first < 0.3
    assert last > 0.7
    assert history[-1].kl > 1 > history[0].kl
    assert sum(metrics.length for metrics in history) * 64 == pytest.approx(history[-1].tokens)


def test_training_repeats_with_its_seed() -> None:
    def run() -> list[float]:
        torch.manual_seed(7)
        _, history = Trainer(tiny_lm(), WordRewardModel("a"), BRIEFS, SMALL).train()
        return [metrics.kl for metrics in history]

    assert run() == run()


@pytest.mark.parametrize("name", ["proportional", "factor", "raw"])
def test_each_kl_controller_can_be_chosen(name: Literal["proportional", "factor", "raw"]) -> None:
    args = TextPPOArgs(num_updates=1, batch_size=4, minibatch_size=4, max_new_tokens=4, kl_controller=name)
    trainer = Trainer(tiny_lm(), WordRewardModel("a"), BRIEFS, args)
    trainer.train()

    assert trainer.kl_controller.target == TextPPOArgs.kl_target


def test_the_critic_learns_all_its_weights_and_the_policy_only_its_adapters(trainer: Trainer) -> None:
    before = {name: weight.clone() for name, weight in trainer.policy.model.named_parameters()}
    rollout, _ = trainer.collect(BRIEFS[:8])
    no_advantages = torch.zeros_like(rollout.advantages)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-2
    losses = []
    for _ in range(20):
        losses.append(value_loss(trainer.critic(rollout.batch), rollout.returns, rollout.batch.response_mask).item())
        trainer.update(rollout._replace(advantages=no_advantages))

    assert losses[-1] < 0.5 * losses[0]
    assert all("lora" in name for name, weight in before.items() if weight.requires_grad)
    assert all(weight.requires_grad for weight in trainer.critic.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.policy.model.named_parameters())
