"""Supervised fine-tuning by LoRA adapters (Hu et al. 2021): the model learns to continue prompts as demonstrations do.

Takes the base model, or any causal language model by name:
python -m training.messenger.sft --model facebook/opt-350m --data oasst1 [--eight-bit]
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from training import command_line
from training.data.sources import SourceError
from training.messenger import stages
from training.messenger.base import warmup_cosine
from training.messenger.data import Example, demonstrations, dialogues
from training.messenger.lm import (
    LM,
    add_adapters,
    bf16_autocast,
    encode,
    merge_adapters,
    save,
    token_logprobs,
    vocabulary_logprobs,
)

EVAL_DIALOGUES = 64
"""Held-out dialogues of OASST1: they form one batch, which a large model must hold in memory."""


@dataclass(frozen=True)
class SFTArgs:
    seed: int = 0
    """Seed of adapters, demonstrations and their order."""
    demonstrations: int = 20_000
    """Messages of the corpus, the held-out ones included."""
    eval_examples: int = 256
    """Held-out demonstrations."""
    steps: int = 250
    """Optimizer steps."""
    batch_size: int = 32
    """Demonstrations of an optimizer step."""
    max_length: int = 128
    """Tokens of prompt and text."""
    learning_rate: float = 1e-3
    """Peak learning rate; ten times that of full fine-tuning, as is usual for adapters."""


class SFTMetrics(NamedTuple):
    step: int
    loss: float
    """Nats per token of the texts."""
    held_out_loss: float | None = None
    """The same on held-out texts; measured after the last step only."""


def train(
    lm: LM,
    examples: Sequence[Example],
    args: SFTArgs,
    held_out: Sequence[Example] = (),
    on_step: Callable[[SFTMetrics], object] = lambda metrics: None,
) -> tuple[LM, list[SFTMetrics]]:
    """Fine-tune `lm` in place; the loss on `held_out` is measured at the end."""
    tuned = LM(add_adapters(lm.model, args.seed), lm.tokenizer)
    parameters = [weight for weight in tuned.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
    order = torch.Generator().manual_seed(args.seed)
    history = []
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * warmup_cosine(step / args.steps)
        indices = torch.randint(len(examples), (args.batch_size,), generator=order).tolist()
        with bf16_autocast():
            loss = token_loss(tuned, [examples[i] for i in indices], args.max_length)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        history.append(SFTMetrics(step, loss.item()))
        if held_out and step == args.steps - 1:
            with torch.no_grad():
                history[-1] = history[-1]._replace(held_out_loss=token_loss(tuned, held_out, args.max_length).item())
        on_step(history[-1])
    return LM(merge_adapters(tuned.model), lm.tokenizer), history


def token_loss(lm: LM, examples: Sequence[Example], max_length: int) -> torch.Tensor:
    """Cross-entropy in nats per token of the texts, their end of text included; the prompts do not count."""
    prompts, texts = zip(*examples, strict=True)
    batch = encode(lm.tokenizer, prompts, texts, max_length).to(lm.model.device)
    return -token_logprobs(vocabulary_logprobs(lm.model, batch), batch).sum() / batch.response_mask.sum()


def run(lm: LM, args: SFTArgs, models: Path, examples: Sequence[Example] | None = None) -> LM:
    """Fine-tune `lm` on the examples, or on demonstrations of the corpus, and save the model to `models`/sft."""
    examples = examples or demonstrations(args.demonstrations, args.seed + 11)
    held_out, examples = examples[: args.eval_examples], examples[args.eval_examples :]
    with (progress := stages.Progress("sft", args.steps)) as on_step:
        lm, _ = train(lm, examples, args, held_out, on_step)
    save(lm, models / "sft")
    stages.save_history(models, "sft", progress.history())
    return lm


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser("sft", "Fine-tune the base model on demonstrations, by LoRA adapters.")
    stages.add_initial_model_options(parser)
    parser.add_argument("--data", choices=("domain", "oasst1"), default="domain", help="demonstrations to learn from")
    stages.add_data_set_options(parser)
    command_line.add_options(parser, SFTArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    args = command_line.from_options(SFTArgs, options)
    try:
        examples = None
        if options.data == "oasst1":
            examples = dialogues(options.mirror, options.data_folder)
            args = replace(args, eval_examples=min(args.eval_examples, EVAL_DIALOGUES))
        lm = stages.load_initial_model(options)
    except (stages.MissingStageError, SourceError) as error:
        sys.exit(str(error))
    run(lm, args, options.models, examples)
    loss = stages.load_history(options.models, "sft")["held_out"][-1]
    print(f"held-out loss {loss:.3f} nats per token; the model is in {options.models / 'sft'}")
    print("next: python -m training.messenger.reward")


if __name__ == "__main__":
    main()
