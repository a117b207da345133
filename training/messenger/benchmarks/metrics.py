"""Shared by all learners of the comparison: reward model, timer, evaluation of their texts, and summary."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import sub, truediv
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.messenger.lm import LM, decode, has_eos, sample, vocabulary_logprobs
from training.messenger.ppo import MAX_PROMPT_TOKENS, TextPPOArgs, exact_kl
from training.messenger.reward import RewardModel
from training.statistics import interval_over_seeds

BATCH_SIZE = 128
"""Texts sampled together."""
METRICS = ("tokens_per_second", "tokens_per_processor_second", "score", "kl", "objective", "ended")


class BenchmarkRewardModel(RewardModel):
    def linear(self) -> nn.Linear:
        """The normalised score as a linear layer on a token's hidden state."""
        linear = nn.Linear(self.head.in_features, 1)
        with torch.no_grad():
            linear.weight.copy_(self.head.weight / self.std)
            linear.bias.fill_(-self.mean / self.std)
        return linear.requires_grad_(False)


class TokenScorer(nn.Module):
    """Scores each token, with the interface that TRL's PPO expects of reward and value models."""

    base_model_prefix = "backbone"

    def __init__(self, lm: Any, head: nn.Linear) -> None:
        super().__init__()
        self.lm, self.head = lm, head

    def backbone(self, **inputs: Any) -> Any:
        return self.lm(**inputs)

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.head(hidden)


class TRLRewardModel(TokenScorer):
    """Scores end-of-text tokens only: a text without one gets TRL's penalty in place of a score, as in this project."""

    def __init__(self, reward_model: BenchmarkRewardModel) -> None:
        super().__init__(reward_model.lm.base_model, reward_model.linear())
        self._eos_token_id = reward_model.tokenizer.eos_token_id

    def backbone(self, **inputs: Any) -> Any:
        self._is_eos = inputs["input_ids"] == self._eos_token_id
        return super().backbone(**inputs)

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().score(hidden) * self._is_eos[..., None]


@dataclass
class Duration:
    """Set when the context of `timer` ends."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Processor time of all threads of this process."""


@contextmanager
def timer() -> Iterator[Duration]:
    """Measure the duration of the context."""
    duration = Duration()
    start, processor = time.perf_counter(), time.process_time()
    yield duration
    duration.seconds, duration.processor_seconds = time.perf_counter() - start, time.process_time() - processor


class TrainedModel(NamedTuple):
    lm: LM
    tokens: int
    """Number of tokens sampled in training, end-of-text tokens included."""
    duration: Duration


class TextMetrics(NamedTuple):
    """Means over texts to held-out prompts; the field names are keys of the report."""

    score: float
    """Mean score of the reward model; texts of the SFT model have mean 0 and standard deviation 1."""
    kl: float
    """Divergence from the SFT model in nats per text, exact at each token."""
    ended: float
    """Share of the texts with an end-of-text token."""


class BenchmarkRun(NamedTuple):
    """One run of a learner; the field names are keys of the report."""

    name: str
    seed: int
    tokens: int
    seconds: float
    processor_seconds: float
    score: float
    kl: float
    ended: float
    objective: float
    """The objective of all learners: score − β · KL."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def tokens_per_processor_second(self) -> float:
        return self.tokens / self.processor_seconds


def benchmark_run(name: str, seed: int, kl_coef: float, trained: TrainedModel, metrics: TextMetrics) -> BenchmarkRun:
    objective = metrics.score - kl_coef * metrics.kl
    return BenchmarkRun(name, seed, trained.tokens, **vars(trained.duration), **metrics._asdict(), objective=objective)


def normalise(reward_model: BenchmarkRewardModel, sft: LM, briefs: Sequence[Brief], max_new_tokens: int) -> None:
    """Normalise the reward model on texts of the SFT model."""
    prompts = [build_prompt(brief) for brief in briefs]
    texts = [text for batch in _batches(prompts) for text in decode(sft.tokenizer, sample(sft, batch, max_new_tokens))]
    scores = reward_model.score(prompts, [f" {text}" for text in texts], max_new_tokens + MAX_PROMPT_TOKENS)
    reward_model.normalise(scores)


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(
    lm: LM, sft: LM, reward_model: BenchmarkRewardModel, briefs: Sequence[Brief], max_new_tokens: int
) -> TextMetrics:
    """Metrics of a text to each brief, sampled with the same seed for all learners."""
    torch.manual_seed(0)
    rows: list[tuple[float, ...]] = []
    for prompts in _batches([build_prompt(brief) for brief in briefs]):
        batch = sample(lm, prompts, max_new_tokens)
        texts = [f" {text}" for text in decode(lm.tokenizer, batch)]
        scores = reward_model.score(prompts, texts, max_new_tokens + MAX_PROMPT_TOKENS)
        policy, reference = vocabulary_logprobs(lm.model, batch), vocabulary_logprobs(sft.model, batch)
        kl = exact_kl(policy, reference, batch).sum(dim=1)
        rows += zip(scores.tolist(), kl.tolist(), has_eos(lm.tokenizer, batch).tolist(), strict=True)
    return TextMetrics(*np.mean(rows, axis=0).tolist())


def settings(args: TextPPOArgs) -> dict[str, Any]:
    """The settings that all learners share, by their keys in the report."""
    return {
        "updates": args.num_updates,
        "texts": args.batch_size,
        "epochs": args.update_epochs,
        "batch": args.minibatch_size,
        "most": args.max_new_tokens,
        "learning_rate": args.learning_rate,
        "critic_rate": args.critic_learning_rate,
        "clip": args.clip_coef,
        "trace": args.gae_lambda,
        "beta": args.kl_coef,
        "unsafe": args.rule_penalty,
        "unended": args.missing_eos_penalty,
    }


def summary(runs: Sequence[BenchmarkRun]) -> dict[str, Any]:
    """Means and intervals by learner, and of this project's PPO relative to each other learner, paired by seed."""
    by_learner: dict[str, list[BenchmarkRun]] = {}
    for run in runs:
        by_learner.setdefault(run.name, []).append(run)
    ours = by_learner["ours"]
    return {
        "learners": {
            name: {metric: interval_over_seeds([getattr(run, metric) for run in learner_runs]) for metric in METRICS}
            for name, learner_runs in by_learner.items()
        },
        "ours_over": {
            name: _relative(ours, learner_runs) for name, learner_runs in by_learner.items() if name != "ours"
        },
        "runs": [run._asdict() for run in runs],
    }


def _relative(ours: Sequence[BenchmarkRun], others: Sequence[BenchmarkRun]) -> dict[str, Any]:
    """Ratios of speeds, and differences of score and objective."""

    def paired(compare: Callable[[float, float], float], metric: str) -> dict[str, float | None]:
        pairs = zip(ours, others, strict=True)
        return interval_over_seeds([compare(getattr(a, metric), getattr(b, metric)) for a, b in pairs])

    return {
        **{metric: paired(truediv, metric) for metric in ("tokens_per_second", "tokens_per_processor_second")},
        **{metric: paired(sub, metric) for metric in ("score", "objective")},
    }


def table(report: Mapping[str, Any]) -> str:
    """A line for each learner, with 95 % intervals if there are several seeds."""
    header = ("", "tokens/second", "tokens/processor second", "score", "KL", "score - β KL", "ended")
    decimals = (0, 0, 2, 2, 2, 3)
    rows = [
        [name, *(_cell(metrics[metric], places) for metric, places in zip(METRICS, decimals, strict=True))]
        for name, metrics in report["learners"].items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
    )


def _cell(estimate: Mapping[str, float | None], decimals: int) -> str:
    mean, low, high = (
        None if estimate[name] is None else f"{estimate[name]:,.{decimals}f}" for name in ("mean", "low", "high")
    )
    return f"{mean}" if low is None else f"{mean} [{low}, {high}]"


def _batches(prompts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (prompts[start : start + BATCH_SIZE] for start in range(0, len(prompts), BATCH_SIZE))
