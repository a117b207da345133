"""Reward model: scores how much a text is preferred (Bradley and Terry 1952; Ouyang et al. 2022, equation 1).

The score is a linear function of the last hidden state at the last token of prompt and text. It learns from pairs of
texts that the SFT model writes to the same prompt, labelled by the rubric.
"""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training import command_line
from training.messenger import stages
from training.messenger.base import warmup_cosine
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.ctranslate import generate
from training.messenger.data import Pair, rubric_preferences
from training.messenger.lm import (
    LM,
    MICRO_BATCH_SIZE,
    Batch,
    bf16_autocast,
    encode_joined,
    merge_adapters,
    save,
    trainable_copy,
)

HEAD_FILE = "reward_head.safetensors"
"""The head and the normalisation, in full precision, beside the folder of the model."""


class RewardModel(nn.Module):
    def __init__(self, lm: LM, seed: int) -> None:
        """Start from a copy of `lm`, with a random head."""
        super().__init__()
        self.tokenizer = lm.tokenizer
        self.lm = trainable_copy(lm.model, seed)
        torch.manual_seed(seed)
        width = getattr(lm.model.config, "word_embed_proj_dim", lm.model.config.hidden_size)
        self.head = nn.Linear(width, 1, bias=False).to(lm.model.device)
        nn.init.normal_(self.head.weight, std=1 / (width + 1) ** 0.5)  # Stiennon et al. 2020
        self.mean, self.std = 0.0, 1.0

    @classmethod
    def frozen(cls, lm: LM, weight: Tensor, mean: float = 0.0, std: float = 1.0) -> Self:
        """A reward model with these weights, none of them trainable."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.tokenizer, model.lm, model.mean, model.std = lm.tokenizer, lm.model, mean, std
        model.head = nn.Linear(weight.shape[1], 1, bias=False).to(lm.model.device)
        model.head.weight = nn.Parameter(weight.detach().clone().to(lm.model.device))
        return model.requires_grad_(False)

    @classmethod
    def from_lm(cls, lm: LM) -> Self:
        """The inverse of `as_lm`, but for the mean of the scores, which it loses."""
        return cls.frozen(lm, lm.model.get_output_embeddings().weight[:1])

    def as_lm(self) -> LM:
        """As a language model, which CTranslate2 can serve: logit 0 of the next token is the score plus mean / std."""
        model = deepcopy(self.lm)
        model.config.tie_word_embeddings = False
        head = nn.Linear(self.head.in_features, model.config.vocab_size, bias=False)
        with torch.no_grad():
            head.weight.zero_()
            head.weight[0] = self.head.weight[0] / self.std
        model.set_output_embeddings(head)
        return LM(model, self.tokenizer)

    def forward(self, batch: Batch) -> Tensor:
        """[n] scores, normalised."""
        hidden = self.lm.get_decoder()(input_ids=batch.ids, attention_mask=batch.attention_mask).last_hidden_state
        last = hidden[torch.arange(len(hidden)), batch.last_index]
        return (self.head(last)[:, 0] - self.mean) / self.std

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def score(self, prompts: Sequence[str], texts: Sequence[str], max_length: int) -> np.ndarray:
        """[n] scores of any number of texts, in micro-batches of similar length."""
        scores = np.zeros(len(texts), np.float32)
        order = np.argsort(
            [len(prompt) + len(text) for prompt, text in zip(prompts, texts, strict=True)], kind="stable"
        )
        for rows in np.split(order, range(MICRO_BATCH_SIZE, len(order), MICRO_BATCH_SIZE)):
            batch = encode_joined(
                self.tokenizer, [prompts[row] for row in rows], [texts[row] for row in rows], max_length
            )
            scores[rows] = self(batch.to(self.head.weight.device)).cpu().numpy()
        return scores

    def normalise(self, scores: np.ndarray) -> None:
        """Shift and scale future scores so that these `scores` would have mean 0 and standard deviation 1."""
        self.mean, self.std = (
            self.mean + self.std * float(scores.mean()),
            self.std * float(scores.std()),
        )

    def freeze(self) -> None:
        """Merge the adapters, and make no weight trainable."""
        self.lm = merge_adapters(self.lm).requires_grad_(False)

    def save(self, models: Path) -> None:
        """Save `as_lm` to `models`/reward, and the head in full precision beside that folder."""
        save(self.as_lm(), models / "reward")
        normalisation = torch.tensor([self.mean, self.std], dtype=torch.float64)
        weight = self.head.weight.detach().cpu().contiguous()
        save_file({"weight": weight, "normalisation": normalisation}, models / HEAD_FILE)

    @classmethod
    def load(cls, models: Path, eight_bit: bool = False) -> Self:
        """The reward model that `save` wrote. Raises `MissingStageError`."""
        head = load_file(stages.require(models / HEAD_FILE, "reward"))
        lm = stages.load_model(models, "reward", eight_bit)
        return cls.frozen(lm, head["weight"], *head["normalisation"].tolist())


@dataclass(frozen=True)
class RewardArgs:
    seed: int = 0
    """Seed of the head, the data and their order."""
    epochs: int = 2
    """Passes over the training pairs."""
    batch_size: int = 32
    """Pairs of an optimizer step."""
    group_size: int = 1
    """Adjacent pairs that share their texts and stay in one batch, which reads each text once (Ouyang et al. 2022)."""
    max_length: int = 128
    """Tokens of prompt and text."""
    learning_rate: float = 5e-4
    """Peak learning rate; 1e-5 suits a pretrained model of which all weights are trained."""

    def steps(self, pairs: int) -> int:
        """Optimizer steps for this number of training pairs."""
        return self.epochs * -(-pairs // self.batch_size)


@dataclass(frozen=True)
class RewardStageArgs(RewardArgs):
    batch_size: int = 4 * 28
    """Pairs of an optimizer step: those of four prompts."""
    group_size: int = 28
    """Pairs of a prompt, k (k − 1) / 2 of its k completions: its texts are read once (Ouyang et al. 2022)."""
    prompts: int = 14_000
    """Training prompts."""
    completions: int = 8
    """Texts that the SFT model writes to each prompt, k."""
    eval_prompts: int = 1_000
    """Held-out prompts."""
    max_new_tokens: int = 64
    """Tokens of a text, its end-of-text token included."""


class RewardMetrics(NamedTuple):
    """Metrics of an optimizer step, on its pairs."""

    step: int
    loss: float
    """Nats per pair."""
    accuracy: float
    """Share of the pairs whose preferred text scores higher; a tie counts half."""


class RewardReport(NamedTuple):
    """Quality on held-out pairs."""

    accuracy: float
    """Share of the pairs whose preferred text scores higher; a tie counts half."""
    loss: float
    """Nats per pair; 0.693 for equal scores."""
    margin: float
    """Mean difference between the scores of chosen and rejected."""
    longer_accuracy: float
    """Accuracy of preferring the longer text."""
    length_correlation: float
    """Correlation of scores with lengths."""


def preference_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """−log σ(chosen − rejected), the mean over pairs (Ouyang et al. 2022, equation 1)."""
    return -nn.functional.logsigmoid(chosen - rejected).mean()


def train(
    lm: LM, pairs: Sequence[Pair], args: RewardArgs, on_step: Callable[[RewardMetrics], object] = lambda metrics: None
) -> tuple[RewardModel, list[RewardMetrics]]:
    """Train a reward model that starts as a copy of `lm`."""
    model = RewardModel(lm, args.seed)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0, fused=True)
    rng, history = np.random.default_rng(args.seed), []
    groups = np.arange(len(pairs)).reshape(-1, args.group_size)
    batches = [
        batch.ravel()
        for _ in range(args.epochs)
        for batch in np.array_split(rng.permutation(groups), args.steps(len(pairs)) // args.epochs)
    ]
    for step, indices in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * warmup_cosine(step / len(batches))
        prompts, texts, chosen, rejected = unique_texts([pairs[i] for i in indices])
        batch = encode_joined(lm.tokenizer, prompts, texts, args.max_length)
        with bf16_autocast():
            scores = model(batch.to(model.head.weight.device)).float()
        loss = preference_loss(scores[chosen], scores[rejected])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        margins = (scores[chosen] - scores[rejected]).detach().cpu().numpy()
        history.append(RewardMetrics(step, loss.item(), accuracy(margins)))
        on_step(history[-1])
    model.freeze()
    return model, history


def unique_texts(pairs: Sequence[Pair]) -> tuple[list[str], list[str], list[int], list[int]]:
    """Prompts and texts of the pairs without repetition, and the indices of each pair's chosen and rejected text."""
    index: dict[tuple[str, str], int] = {}
    chosen = [index.setdefault((pair.prompt, pair.chosen), len(index)) for pair in pairs]
    rejected = [index.setdefault((pair.prompt, pair.rejected), len(index)) for pair in pairs]
    prompts, texts = zip(*index, strict=True)
    return list(prompts), list(texts), chosen, rejected


def accuracy(margins: np.ndarray) -> float:
    """Share of the margins above 0; a tie counts half."""
    return float(np.mean((margins > 0) + 0.5 * (margins == 0)))


def evaluate(model: RewardModel, pairs: Sequence[Pair], max_length: int) -> RewardReport:
    prompts, texts, chosen, rejected = unique_texts(pairs)
    scores = model.score(prompts, texts, max_length).astype(float)
    lengths = np.array([len(text) for text in texts])
    margins = scores[chosen] - scores[rejected]
    return RewardReport(
        accuracy(margins),
        float(np.logaddexp(0, -margins).mean()),
        float(margins.mean()),
        accuracy(lengths[chosen] - lengths[rejected]),
        float(np.corrcoef(scores, lengths)[0, 1]),
    )


def run(lm: LM, args: RewardStageArgs, models: Path) -> RewardModel:
    """Train on pairs that the SFT model `lm` writes, normalise on its texts, and save the model to `models`/reward."""
    seed = args.seed + 21
    briefs = sample_briefs(np.random.default_rng(seed), args.prompts + args.eval_prompts)
    training, held_out = (
        rubric_preferences(subset, generate(lm, subset, args.max_new_tokens, args.completions, seed), seed)
        for subset in (briefs[: args.prompts], briefs[args.prompts :])
    )
    with (progress := stages.Progress("reward", args.steps(len(training.pairs)))) as on_step:
        model, _ = train(lm, training.pairs, args, on_step)
    report = evaluate(model, held_out.pairs, args.max_length)
    prompts, texts, *_ = unique_texts(held_out.pairs)
    model.normalise(model.score(prompts, texts, args.max_length))
    model.save(models)
    summary = {"ceiling": held_out.accuracy_ceiling, "pairs": len(training.pairs), "mean": model.mean / model.std}
    stages.save_history(models, "reward", progress.history() | stages.with_history_keys(report._asdict()) | summary)
    return model


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser(
        "reward", "Train the reward model on the rubric's preferences between texts of the SFT model."
    )
    parser.add_argument("--eight-bit", action="store_true", help="load the SFT model in 8 bits (bitsandbytes)")
    command_line.add_options(parser, RewardStageArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    try:
        lm = stages.load_model(options.models, "sft", options.eight_bit)
    except stages.MissingStageError as error:
        sys.exit(str(error))
    run(lm, command_line.from_options(RewardStageArgs, options), options.models)
    history = stages.load_history(options.models, "reward")
    print(f"held-out accuracy {history['accuracy']:.3f}, of {history['ceiling']:.3f} possible")
    print(f"the reward model is in {options.models / 'reward'}; next: python -m training.messenger.ppo")


if __name__ == "__main__":
    main()
