"""What all are given, and how all are judged: the reward model, the clock, texts to fresh prompts; and what is said."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.messenger.lm import LM, distributions, ended, sample, texts
from training.messenger.ppo import divergence
from training.messenger.reward import RewardModel
from training.statistics import interval_over_seeds

TOGETHER = 128
"""Texts."""
METRICS = ("tokens_per_second", "tokens_per_processor_second", "score", "kl", "objective", "ended")


class Judge(RewardModel):
    def linear(self) -> nn.Linear:
        """The score of what the model makes of a token, normalised."""
        found = nn.Linear(self.head.in_features, 1)
        with torch.no_grad():
            found.weight.copy_(self.head.weight / self.spread)
            found.bias.fill_(-self.mean / self.spread)
        return found.requires_grad_(False)


class Scored(nn.Module):
    """A number at each token, from what `body` makes of it: reward and value in the shape that TRL asks for."""

    base_model_prefix = "read"

    def __init__(self, body: Any, head: nn.Linear) -> None:
        super().__init__()
        self.body, self.head = body, head

    def read(self, **asked: Any) -> Any:
        return self.body(**asked)

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.head(hidden)


class Reward(Scored):
    """Of a text that has ended; another has 0, and from TRL the penalty alone, as with us."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge.lm.base_model, judge.linear())
        self._end = judge.tokenizer.eos_token_id

    def read(self, **asked: Any) -> Any:
        self._ends = asked["input_ids"] == self._end
        return super().read(**asked)

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().score(hidden) * self._ends[..., None]


@dataclass
class Took:
    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Of all threads; what else the machine does meanwhile is not counted."""


@contextmanager
def timed() -> Iterator[Took]:
    took = Took()
    start, processor = time.perf_counter(), time.process_time()
    yield took
    took.seconds, took.processor_seconds = time.perf_counter() - start, time.process_time() - processor


class Learnt(NamedTuple):
    lm: LM
    tokens: int
    """Written while learning, the ends of text included."""
    took: Took


class Wrote(NamedTuple):
    """Of texts to fresh prompts."""

    score: float
    """Of the reward model; the frozen model's texts have a mean of 0 and a spread of 1."""
    kl: float
    """Nats a text from the frozen model, exact at each token."""
    ended: float
    """Share of the texts."""


class Outcome(NamedTuple):
    """Of a run."""

    name: str
    seed: int
    tokens: int
    seconds: float
    processor_seconds: float
    score: float
    kl: float
    ended: float
    objective: float
    """What all were to raise: the score, less β times the divergence."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def tokens_per_processor_second(self) -> float:
        return self.tokens / self.processor_seconds


def outcome(name: str, seed: int, beta: float, learnt: Learnt, wrote: Wrote) -> Outcome:
    objective = wrote.score - beta * wrote.kl
    return Outcome(name, seed, learnt.tokens, **vars(learnt.took), **wrote._asdict(), objective=objective)


def normalise(judge: Judge, sft: LM, about: Sequence[Brief], most: int) -> None:
    """In the spread of what `sft` writes."""
    asked = [build_prompt(brief) for brief in about]
    found = [text for part in _parts(asked) for text in texts(sft.tokenizer, sample(sft, part, most))]
    judge.normalise(judge.score(asked, [f" {text}" for text in found], most + 64))


@torch.no_grad()  # type: ignore[untyped-decorator]
def wrote(lm: LM, sft: LM, judge: Judge, about: Sequence[Brief], most: int) -> Wrote:
    """To each brief a text, drawn with the same luck for all."""
    torch.manual_seed(0)
    found: list[tuple[float, ...]] = []
    for part in _parts([build_prompt(brief) for brief in about]):
        batch = sample(lm, part, most)
        scores = judge.score(part, [f" {text}" for text in texts(lm.tokenizer, batch)], most + 64)
        far = divergence(distributions(lm.model, batch), distributions(sft.model, batch), batch).sum(dim=1)
        found += zip(scores.tolist(), far.tolist(), ended(lm.tokenizer, batch).tolist(), strict=True)
    return Wrote(*np.mean(found, axis=0).tolist())


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """By learner; and ours over each of the others, seed by seed."""
    runs: dict[str, list[Outcome]] = {}
    for each in outcomes:
        runs.setdefault(each.name, []).append(each)
    ours = runs["ours"]
    return {
        "learners": {name: {metric: _over(metric, some) for metric in METRICS} for name, some in runs.items()},
        "ours_over": {
            name: {
                "tokens_per_second": _paired(ours, some, lambda a, b: a.tokens_per_second / b.tokens_per_second),
                "tokens_per_processor_second": _paired(
                    ours, some, lambda a, b: a.tokens_per_processor_second / b.tokens_per_processor_second
                ),
                "score": _paired(ours, some, lambda a, b: a.score - b.score),
                "objective": _paired(ours, some, lambda a, b: a.objective - b.objective),
            }
            for name, some in runs.items()
            if name != "ours"
        },
        "runs": [each._asdict() for each in outcomes],
    }


def table(report: Mapping[str, Any]) -> str:
    """A line a learner; where there are seeds to say so, 95 % intervals."""
    head = ("", "tokens a second", "a processor's second", "score", "KL", "score - β KL", "ended")
    decimals = (0, 0, 2, 2, 2, 3)
    lines = [
        [name, *(_cell(found[metric], places) for metric, places in zip(METRICS, decimals, strict=True))]
        for name, found in report["learners"].items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join(
        "  ".join(part.rjust(width) for part, width in zip(line, widths, strict=True)) for line in (head, *lines)
    )


def _cell(found: Mapping[str, float | None], decimals: int) -> str:
    mean, low, high = (None if found[end] is None else f"{found[end]:,.{decimals}f}" for end in ("mean", "low", "high"))
    return f"{mean}" if low is None else f"{mean} [{low}, {high}]"


def _over(metric: str, runs: Sequence[Outcome]) -> dict[str, float | None]:
    return interval_over_seeds([getattr(run, metric) for run in runs])


def _paired(
    ours: Sequence[Outcome], theirs: Sequence[Outcome], beside: Callable[[Outcome, Outcome], float]
) -> dict[str, float | None]:
    return interval_over_seeds([beside(*pair) for pair in zip(ours, theirs, strict=True)])


def _parts(asked: Sequence[str]) -> list[Sequence[str]]:
    return [asked[start : start + TOGETHER] for start in range(0, len(asked), TOGETHER)]
