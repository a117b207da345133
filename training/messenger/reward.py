"""The reward model: which of two texts people would prefer (Bradley and Terry 1952; Ouyang et al. 2022, equation 1).

The score is a linear function of what the model makes of the last real token of prompt and text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from training.messenger.base import rate
from training.messenger.data import Pair
from training.messenger.lm import LM, TOGETHER, Batch, copied, joined, merged, quicker


class RewardModel(nn.Module):
    def __init__(self, lm: LM, seed: int) -> None:
        """From a copy of `lm`."""
        super().__init__()
        self.tokenizer = lm.tokenizer
        self.lm = copied(lm.model, seed)
        torch.manual_seed(seed)
        width = getattr(lm.model.config, "word_embed_proj_dim", lm.model.config.hidden_size)
        self.head = nn.Linear(width, 1, bias=False).to(lm.model.device)
        nn.init.normal_(self.head.weight, std=1 / (width + 1) ** 0.5)  # Stiennon et al. 2020
        self.mean, self.spread = 0.0, 1.0

    @classmethod
    def of(cls, lm: LM, mean: float = 0.0) -> Self:
        """As `export.as_lm` leaves it: a score is logit 0 at the end, less `mean`. Nothing is learnt any more."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.tokenizer, model.lm, model.mean, model.spread = lm.tokenizer, lm.model, mean, 1.0
        weight = lm.model.get_output_embeddings().weight[:1]
        model.head = nn.Linear(weight.shape[1], 1, bias=False).to(weight.device)
        model.head.weight = nn.Parameter(weight.detach().clone())
        return model.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        """[n], with a mean of 0 and a spread of 1 over what it was normalised by."""
        hidden = self.lm.get_decoder()(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        last = hidden[torch.arange(len(hidden)), batch.last]
        return (self.head(last)[:, 0] - self.mean) / self.spread

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def score(self, prompts: Sequence[str], texts: Sequence[str], longest: int) -> np.ndarray:
        """[n], of many."""
        found = np.zeros(len(texts), np.float32)
        order = np.argsort(
            [len(prompt) + len(text) for prompt, text in zip(prompts, texts, strict=True)], kind="stable"
        )
        for rows in np.split(order, range(TOGETHER, len(order), TOGETHER)):
            batch = joined(self.tokenizer, [prompts[row] for row in rows], [texts[row] for row in rows], longest)
            found[rows] = self(batch.to(self.head.weight.device)).cpu().numpy()
        return found

    def normalise(self, scores: np.ndarray) -> None:
        """So that texts that scored so have a mean of 0 and a spread of 1."""
        self.mean, self.spread = (
            self.mean + self.spread * float(scores.mean()),
            self.spread * float(scores.std()),
        )

    def merge(self) -> None:
        """Nothing is learnt any more."""
        self.lm = merged(self.lm).requires_grad_(False)


@dataclass(frozen=True)
class Args:
    seed: int = 0
    epochs: int = 2
    batch: int = 32
    """Pairs."""
    together: int = 1
    """Pairs that follow each other and share their texts, each of which is then read once (Ouyang et al. 2022)."""
    longest: int = 128
    learning_rate: float = 5e-4

    def steps(self, pairs: int) -> int:
        return self.epochs * -(-pairs // self.batch)


class Point(NamedTuple):
    step: int
    loss: float
    accuracy: float


class Report(NamedTuple):
    """On pairs that were not learnt from."""

    accuracy: float
    """A tie counts as half."""
    loss: float
    """Of a coin, 0.693."""
    margin: float
    """Mean difference between chosen and rejected."""
    longer: float
    """Accuracy of choosing the longer text."""
    with_length: float
    """Correlation of scores with length."""


def preference_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """−log σ(chosen − rejected)"""
    return -nn.functional.logsigmoid(chosen - rejected).mean()


def train(
    lm: LM, pairs: Sequence[Pair], args: Args, show: Callable[[Point], object] = lambda point: None
) -> tuple[RewardModel, list[Point]]:
    model = RewardModel(lm, args.seed)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=0.0, fused=True)
    order, points = np.random.default_rng(args.seed), []
    groups = np.arange(len(pairs)).reshape(-1, args.together)
    batches = [
        part.ravel()
        for _ in range(args.epochs)
        for part in np.array_split(order.permutation(groups), args.steps(len(pairs)) // args.epochs)
    ]
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * rate(step / len(batches))
        prompts, texts, chosen, rejected = read_once([pairs[row] for row in rows])
        batch = joined(lm.tokenizer, prompts, texts, args.longest)
        with quicker():
            scores = model(batch.to(model.head.weight.device)).float()
        better, worse = scores[chosen], scores[rejected]
        loss = preference_loss(better, worse)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        points.append(Point(step, loss.item(), accuracy((better - worse).detach().cpu().numpy())))
        show(points[-1])
    model.merge()
    return model, points


def read_once(pairs: Sequence[Pair]) -> tuple[list[str], list[str], list[int], list[int]]:
    """The prompts and texts of the pairs, those that pairs share once; of each pair, where its two texts are there."""
    place: dict[tuple[str, str], int] = {}
    chosen = [place.setdefault((pair.prompt, pair.chosen), len(place)) for pair in pairs]
    rejected = [place.setdefault((pair.prompt, pair.rejected), len(place)) for pair in pairs]
    prompts, texts = zip(*place, strict=True)
    return list(prompts), list(texts), chosen, rejected


def accuracy(margins: np.ndarray) -> float:
    """Share of the margins above 0; a tie is half right."""
    return float(np.mean((margins > 0) + 0.5 * (margins == 0)))


def report(model: RewardModel, pairs: Sequence[Pair], longest: int) -> Report:
    prompts, texts, chosen, rejected = read_once(pairs)
    scores = model.score(prompts, texts, longest).astype(float)
    lengths = np.array([len(text) for text in texts])
    margins = scores[chosen] - scores[rejected]
    return Report(
        accuracy(margins),
        float(np.logaddexp(0, -margins).mean()),
        float(margins.mean()),
        accuracy(lengths[chosen] - lengths[rejected]),
        float(np.corrcoef(scores, lengths)[0, 1]),
    )
