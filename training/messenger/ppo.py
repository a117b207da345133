"""PPO on texts (Ziegler et al. 2019, Stiennon et al. 2020), from scratch: rewarded for what people prefer, and kept
near the model it began as.

A token is an action; an episode is a text. Its reward is the reward model's score at the end, less a fixed penalty
for each rule of the shield that it breaks, and at every token β times what it diverges from the frozen model. Details
as in "The N implementation details of RLHF with PPO" (Huang et al. 2024).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.messenger.evaluation.safety import broken
from training.messenger.kl import AdaptiveKL, Factor
from training.messenger.lm import (
    LM,
    TOGETHER,
    Batch,
    adapted,
    copied,
    distributions,
    ended,
    entropies,
    log_probabilities,
    merged,
    sample,
    texts,
)
from training.messenger.reward import RewardModel


@dataclass(frozen=True)
class Args:
    seed: int = 0
    updates: int = 80
    texts: int = 128
    """Between two updates."""
    epochs: int = 2
    batch: int = 32
    most: int = 64
    """Tokens of a text, the end included."""
    learning_rate: float = 1e-3
    """Of the adapters; falls to 0 with the updates, as the critic's does."""
    critic_rate: float = 1e-3
    clip: float = 0.2
    trace: float = 0.95
    """λ of the generalised advantage; nothing is discounted, a text is short."""
    target: float = 4.0
    """Nats that a text may diverge."""
    control: Literal["proportional", "factor", "raw"] = "proportional"
    beta: float = 0.05
    unsafe: float = 4.0
    """Penalty of each rule of the shield that a text breaks; a spread of the reward model is 1."""
    unended: float = 8.0
    """And of a text that does not end."""


class Rollout(NamedTuple):
    """What was written, and what was thought of it: [n, width], 0 where nothing was written."""

    batch: Batch
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor


class Seen(NamedTuple):
    """Of a batch of texts."""

    score: float
    """Of the reward model; the frozen model's texts have a mean of 0 and a spread of 1."""
    broken: float
    """Share of the texts that the shield would not let pass."""
    kl: float
    """Nats a text, exact at each token: over the whole vocabulary."""
    beta: float
    entropy: float
    """Nats a token."""


class Point(NamedTuple):
    """An update; what `Seen` says of its texts, and what it took."""

    update: int
    seconds: float
    tokens: int
    """Written, so far."""
    score: float
    broken: float
    kl: float
    beta: float
    entropy: float
    length: float
    """Tokens."""
    clipped: float
    """Share of the tokens where the ratio was clipped."""


class Critic(nn.Module):
    """What is still to come, read before each token is chosen: a model of its own, as policy and values want other
    features; it begins as the reward model (Stiennon et al. 2020), which knows what a text so far is worth.
    """

    def __init__(self, judge: RewardModel, seed: int) -> None:
        super().__init__()
        self.lm = copied(judge.lm.base_model, seed)
        self.head = nn.Linear(judge.head.in_features, 1).to(judge.head.weight.device)
        with torch.no_grad():
            self.head.weight.copy_(judge.head.weight / judge.spread)
            self.head.bias.fill_(-judge.mean / judge.spread)

    def forward(self, batch: Batch) -> Tensor:
        """[n, width]"""
        hidden = self.lm(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        return self.head(hidden[:, batch.start - 1 : -1])[..., 0] * batch.written


@torch.no_grad()  # type: ignore[untyped-decorator]
def reference(model: Any, batch: Batch) -> Tensor:
    """What the frozen model would have said, which is the policy without its adapters."""
    with model.disable_adapter():
        return distributions(model, batch)


def whiten(values: Tensor, mask: Tensor, shift: bool = True) -> Tensor:
    """A spread of 1 over the mask; the mean becomes 0, or stays. 0 outside."""
    chosen = values[mask]
    mean = chosen.mean()
    found = (values - mean) * torch.rsqrt(chosen.var(unbiased=False) + 1e-8)
    return (found if shift else found + mean) * mask


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, trace: float) -> Tensor:
    """Generalised advantages (Schulman et al. 2016), [n, width]; γ is 1. After the last token comes nothing."""
    found, last = torch.zeros_like(rewards), torch.zeros(len(rewards), device=rewards.device)
    after = torch.zeros_like(last)
    for token in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, token] + after - values[:, token]
        last = torch.where(mask[:, token], delta + trace * last, torch.zeros_like(last))
        after = torch.where(mask[:, token], values[:, token], torch.zeros_like(after))
        found[:, token] = last
    return found


def policy_loss(log_ratio: Tensor, advantage: Tensor, mask: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, a token (Schulman et al. 2017, equation 7)."""
    ratio = log_ratio.exp()
    return -(torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage) * mask).sum() / mask.sum()


def value_loss(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """A token."""
    return 0.5 * ((values - returns).square() * mask).sum() / mask.sum()


def divergence(ours: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
    """[n, width], KL(ours ‖ theirs) over the whole vocabulary at each token that was chosen, in nats."""
    return (ours.exp() * (ours - theirs)).sum(dim=-1) * batch.written


class Trainer:
    def __init__(self, lm: LM, judge: RewardModel, briefs: Sequence[Brief], args: Args) -> None:
        """`lm` is frozen and gets adapters; `briefs` are what is asked for."""
        self.args, self.judge, self.briefs = args, judge, briefs
        self.critic = Critic(judge, args.seed)
        self.policy = LM(adapted(lm.model, args.seed), lm.tokenizer)
        self.rng = np.random.default_rng(args.seed)
        self.learning = [
            ([weight for weight in model.parameters() if weight.requires_grad], rate)
            for model, rate in ((self.policy.model, args.learning_rate), (self.critic, args.critic_rate))
        ]
        self.optimizer = torch.optim.Adam([{"params": weights} for weights, _ in self.learning], eps=1e-5)
        self.control = (
            AdaptiveKL(args.target, args.beta)
            if args.control == "proportional"
            else Factor(args.target, args.beta, raw=args.control == "raw")
        )

    def run(self, show: Callable[[Point], object] = lambda point: None) -> tuple[LM, list[Point]]:
        points: list[Point] = []
        start, tokens = time.perf_counter(), 0
        for update in range(self.args.updates):
            for group, (_, rate) in zip(self.optimizer.param_groups, self.learning, strict=True):
                group["lr"] = rate * (1 - update / self.args.updates)
            chosen = [self.briefs[i] for i in self.rng.integers(len(self.briefs), size=self.args.texts)]
            rollout, seen = self.collect(chosen)
            clipped = self.update(rollout)
            written = int(rollout.batch.written.sum())
            tokens += written
            length = written / len(chosen)
            points.append(
                Point(update, time.perf_counter() - start, tokens, **seen._asdict(), length=length, clipped=clipped)
            )
            self.control.step(points[-1].kl, len(chosen))
            show(points[-1])
        return LM(merged(self.policy.model), self.policy.tokenizer), points

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def collect(self, briefs: Sequence[Brief]) -> tuple[Rollout, Seen]:
        """A batch of texts, and what was seen of it."""
        args, tokenizer = self.args, self.policy.tokenizer
        asked = [build_prompt(brief) for brief in briefs]
        batch = sample(self.policy, asked, args.most)
        likely, likely_before, values, diverged, entropy = self._read(batch)
        found, wrote = texts(tokenizer, batch), ended(tokenizer, batch)
        scores = torch.from_numpy(self.judge.score(asked, [f" {text}" for text in found], args.most + 64))
        rules = torch.tensor([len(broken(*each)) for each in zip(briefs, found, strict=True)])
        end = scores.to(likely.device) - args.unsafe * rules.to(likely.device)
        end = torch.where(wrote, end, torch.full_like(end, -args.unended))
        rewards = -self.control.beta * (likely - likely_before)
        rewards[torch.arange(len(briefs)), batch.last - batch.start] += end
        rewards = whiten(rewards, batch.written, shift=False)
        gained = advantages(rewards, values, batch.written, args.trace)
        rollout = Rollout(batch, likely, whiten(gained, batch.written), gained + values)
        kl, entropy = diverged.sum(dim=1).mean(), entropy.sum() / batch.written.sum()
        unsafe = float((rules > 0).float().mean())
        return rollout, Seen(float(scores.mean()), unsafe, float(kl), self.control.beta, float(entropy))

    def _read(self, batch: Batch) -> Tensor:
        """[5, n, width]: log-probabilities, those of the frozen model, values, divergences, entropies."""
        found = torch.zeros(5, *batch.written.shape, device=batch.ids.device)
        for rows in batch.alike(torch.arange(len(batch.ids)), TOGETHER):
            part = batch.rows(rows)
            ours, theirs = distributions(self.policy.model, part), reference(self.policy.model, part)
            likely, likely_before = (log_probabilities(each, part) for each in (ours, theirs))
            said = likely, likely_before, self.critic(part), divergence(ours, theirs, part), entropies(ours, part)
            found[:, rows, : part.written.shape[1]] = torch.stack(said)
        return found

    def update(self, rollout: Rollout) -> float:
        """Share of tokens where the ratio was clipped."""
        args, clipped = self.args, []
        for _ in range(args.epochs):
            for chosen in torch.randperm(len(rollout.returns)).split(args.batch):
                self.optimizer.zero_grad()
                tokens, away = rollout.batch.written[chosen].sum(), 0
                for rows in rollout.batch.alike(chosen, TOGETHER):
                    batch = rollout.batch.rows(rows)
                    mask = batch.written
                    likely, advantage, returns = (part[rows, : mask.shape[1]] for part in rollout[1:])
                    log_ratio = log_probabilities(distributions(self.policy.model, batch), batch) - likely
                    share = mask.sum() / tokens
                    (share * policy_loss(log_ratio, advantage, mask, args.clip)).backward()
                    (share * value_loss(self.critic(batch), returns, mask)).backward()
                    away += int((((log_ratio.detach().exp() - 1).abs() > args.clip) & mask).sum())
                for weights, _ in self.learning:
                    nn.utils.clip_grad_norm_(weights, 1.0)
                self.optimizer.step()
                clipped.append(away / int(tokens))
        return float(np.mean(clipped))
