import numpy as np
import pytest
import torch

from services.messenger.prompt import build_prompt
from tests.training.messenger.tiny_model import tiny
from training.messenger import base, ppo
from training.messenger.corpus.corpus import briefs
from training.messenger.lm import Batch, distributions, log_probabilities, padded
from training.messenger.ppo import (
    Args,
    Trainer,
    advantages,
    divergence,
    policy_loss,
    reference,
    value_loss,
    whiten,
)
from training.messenger.reward import RewardModel

BRIEFS = briefs(np.random.default_rng(0), 64)
SMALL = Args(updates=2, texts=16, batch=8, most=10)


class Judge(RewardModel):
    """Likes a word."""

    def __init__(self, word: str) -> None:
        super().__init__(tiny(), 0)
        self.word = word

    def score(self, prompts: list[str], texts: list[str], longest: int) -> np.ndarray:
        return np.array([float(self.word in text) for text in texts], np.float32)


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(tiny(), RewardModel(tiny(), 0), BRIEFS, SMALL)


def expecting_nothing(trainer: Trainer) -> Trainer:
    for weight in trainer.critic.head.parameters():
        torch.nn.init.zeros_(weight)
    return trainer


def test_advantages_by_hand_after_the_last_token_comes_nothing() -> None:
    mask = torch.tensor([[False, True, True, False], [False, True, True, True]])
    rewards = torch.tensor([[0.0, 0.1, 1.0, 9.0], [0.0, 0.0, 0.0, 2.0]])
    values = torch.tensor([[0.0, 0.5, 0.3, 0.0], [0.0, 1.0, 1.5, 1.8]])

    found = advantages(rewards, values, mask, trace=0.5)

    second = 1.0 - 0.3
    assert found[0].tolist() == pytest.approx([0, 0.1 + 0.3 - 0.5 + 0.5 * second, second, 0])
    third = 2.0 - 1.8
    middle = 1.8 - 1.5 + 0.5 * third
    assert found[1].tolist() == pytest.approx([0, 1.5 - 1.0 + 0.5 * middle, middle, third])


def test_with_lambda_1_the_advantage_is_what_was_still_to_come_less_what_was_expected() -> None:
    mask = torch.ones(1, 4, dtype=torch.bool)
    rewards, values = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.rand(1, 4)

    assert advantages(rewards, values, mask, 1.0) == pytest.approx(torch.tensor([[10.0, 9, 7, 4]]) - values, abs=1e-5)


def test_whitening_reads_the_mask_alone_and_keeps_the_mean_if_asked() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0]])
    mask = torch.tensor([[True, True, False]])

    assert whiten(values, mask) == pytest.approx(torch.tensor([[-1.0, 1.0, 0.0]]), abs=1e-3)
    assert whiten(values, mask, shift=False) == pytest.approx(torch.tensor([[1.0, 3.0, 0.0]]), abs=1e-3)


def test_the_clipped_surrogate_by_hand_is_blind_to_padding() -> None:
    ratio = torch.tensor([[1.5, 0.5, 1.1, 50.0]])
    advantage = torch.tensor([[1.0, -1.0, 2.0, 7.0]])
    mask = torch.tensor([[True, True, True, False]])

    assert policy_loss(ratio.log(), advantage, mask, 0.2).item() == pytest.approx(-(1.2 - 0.8 + 2.2) / 3)


def test_the_value_loss_by_hand_is_blind_to_padding() -> None:
    values, returns = torch.tensor([[2.0, 0.1, 5.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])

    assert value_loss(values, returns, mask).item() == pytest.approx(0.5 * (1 + 0.9**2) / 2)


def test_divergence_of_coins_by_hand() -> None:
    batch = padded([[0], [0]], [[1, 1], [1]], pad=0)
    ours, theirs = (torch.tensor([[coin] * 2] * 2).log() for coin in ([0.9, 0.1], [0.5, 0.5]))

    one = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert divergence(ours, theirs, batch) == pytest.approx(torch.tensor([[one, one], [one, 0]]))


def test_a_policy_begins_as_its_reference_and_expects_what_the_reward_model_makes_of_the_text_so_far(
    trainer: Trainer,
) -> None:
    trainer.judge.normalise(np.array([1.0, 4.0]))
    trainer = Trainer(tiny(), trainer.judge, BRIEFS, SMALL)
    (batch, *_), (_, _, kl, _, _) = trainer.collect(BRIEFS[:8])
    with torch.no_grad():
        so_far = trainer.judge(Batch(batch.ids[:, : batch.start + 1], batch.mask[:, : batch.start + 1], batch.start))
        expected = trainer.critic(batch)[:, 1]

    assert kl == pytest.approx(0, abs=1e-4)
    assert expected[batch.written[:, 1]] == pytest.approx(so_far[batch.written[:, 1]], abs=1e-5)
    assert not trainer.policy.model.training, "no dropout"
    assert not trainer.critic.lm.training


def test_log_probabilities_of_a_rollout_are_those_of_its_writer(trainer: Trainer) -> None:
    batch, likely, *_ = trainer.collect(BRIEFS[:8])[0]
    with torch.no_grad():
        assert log_probabilities(distributions(trainer.policy.model, batch), batch) == pytest.approx(likely, abs=1e-5)


def test_texts_are_read_and_learnt_from_in_parts_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(together: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        monkeypatch.setattr(ppo, "TOGETHER", together)
        torch.manual_seed(5)
        trainer = Trainer(tiny(), RewardModel(tiny(), 0), BRIEFS, SMALL)
        rollout, _ = trainer.collect(BRIEFS[:16])
        with torch.no_grad():
            read = trainer._read(rollout.batch)
        for group in trainer.optimizer.param_groups:
            group.update(lr=1e-3, eps=1e-2)  # else Adam makes a step of a gradient that is 0 but for rounding
        trainer.update(rollout)
        return read, [weight.detach().clone() for weights, _ in trainer.learning for weight in weights]

    (read, weights), (read_at_once, weights_at_once) = once(3), once(16)

    assert read == pytest.approx(read_at_once, abs=1e-5)
    for weight, weight_at_once in zip(weights, weights_at_once, strict=True):
        assert weight == pytest.approx(weight_at_once, abs=1e-5)


def test_what_is_written_to_a_brief_is_judged_and_paid_at_its_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Counting(Judge):
        def score(self, prompts: list[str], texts: list[str], longest: int) -> np.ndarray:
            seen.extend(prompts)
            return np.arange(len(texts), dtype=np.float32)

    monkeypatch.setattr(ppo, "broken", lambda brief, text: ("a", "b"))
    monkeypatch.setattr(ppo, "whiten", lambda values, mask, shift=True: values * mask)
    monkeypatch.setattr(ppo, "ended", lambda tokenizer, batch: torch.tensor([True, True, True, False]))
    trainer = expecting_nothing(Trainer(tiny(), Counting(""), BRIEFS, SMALL))
    rollout, (score, unsafe, *_) = trainer.collect(BRIEFS[:4])

    assert seen == [build_prompt(brief) for brief in BRIEFS[:4]]
    assert (score, unsafe) == (1.5, 1.0)
    last = rollout.advantages[torch.arange(4), rollout.batch.last - rollout.batch.start]
    assert last.tolist() == pytest.approx([0 - 8, 1 - 8, 2 - 8, -8])


def test_divergence_is_paid_for_at_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "broken", lambda brief, text: ())
    monkeypatch.setattr(ppo, "whiten", lambda values, mask, shift=True: values * mask)
    args = Args(texts=4, most=6, beta=0.5, trace=0.0, unended=0)
    trainer = expecting_nothing(Trainer(tiny(), Judge("nobody says this"), BRIEFS, args))
    for name, weight in trainer.policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    rollout, _ = trainer.collect(BRIEFS[:4])
    batch = rollout.batch
    ratio = rollout.log_probabilities - log_probabilities(reference(trainer.policy.model, batch), batch)

    assert rollout.advantages[batch.written] == pytest.approx(-0.5 * ratio[batch.written], abs=1e-5)


def test_a_batch_that_is_liked_becomes_likelier_and_the_reference_stays(trainer: Trainer) -> None:
    rollout, _ = trainer.collect(BRIEFS[:16])
    liked = torch.zeros_like(rollout.advantages)
    liked[:8], liked[8:] = 1.0, -1.0
    theirs = reference(trainer.policy.model, rollout.batch)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-3
    trainer.update(rollout._replace(advantages=liked * rollout.batch.written))
    with torch.no_grad():
        moved = (
            log_probabilities(distributions(trainer.policy.model, rollout.batch), rollout.batch)
            - rollout.log_probabilities
        )

    assert moved[:8].sum() > 0 > moved[8:].sum()
    assert torch.equal(theirs, reference(trainer.policy.model, rollout.batch))


def test_ppo_finds_what_the_judge_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "broken", lambda brief, text: ())
    monkeypatch.setattr(ppo, "ended", lambda tokenizer, batch: torch.ones(len(batch.ids), dtype=torch.bool))
    words = {"vocabulary": 512, "hidden": 48, "layers": 2, "heads": 2}
    lm, _ = base.train(base.Args(**words, steps=120, batch=16, learning_rate=1e-2))
    args = Args(updates=16, texts=64, epochs=4, most=12, target=20.0, beta=0.001, learning_rate=3e-3)
    _, points = Trainer(lm, Judge("Hello"), BRIEFS, args).run()

    first, last = (np.mean([point.score for point in some]) for some in (points[:1], points[-3:]))
    assert first < 0.3
    assert last > 0.7
    assert points[-1].kl > 1 > points[0].kl
    assert sum(point.length for point in points) * 64 == pytest.approx(points[-1].tokens)


def test_the_same_seed_writes_the_same() -> None:
    def once() -> list[float]:
        torch.manual_seed(7)
        return [point.kl for point in Trainer(tiny(), Judge("a"), BRIEFS, SMALL).run()[1]]

    assert once() == once()


@pytest.mark.parametrize("control", ["proportional", "factor", "raw"])
def test_each_rule_for_beta_can_be_chosen(control: str) -> None:
    trainer = Trainer(tiny(), Judge("a"), BRIEFS, Args(updates=1, texts=4, batch=4, most=4, control=control))
    trainer.run()

    assert trainer.control.target == Args.target


def test_a_policy_learns_by_adapters_and_the_critic_whole_without_touching_it(trainer: Trainer) -> None:
    before = {name: weight.clone() for name, weight in trainer.policy.model.named_parameters()}
    rollout, _ = trainer.collect(BRIEFS[:8])
    nothing = torch.zeros_like(rollout.advantages)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-2
    losses = []
    for _ in range(20):
        losses.append(value_loss(trainer.critic(rollout.batch), rollout.returns, rollout.batch.written).item())
        trainer.update(rollout._replace(advantages=nothing))

    assert losses[-1] < 0.5 * losses[0]
    assert all("lora" in name for name, weight in before.items() if weight.requires_grad)
    assert all(weight.requires_grad for weight in trainer.critic.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.policy.model.named_parameters())
