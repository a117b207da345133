"""Supervised fine-tuning: what follows a prompt is learnt, by LoRA adapters (Hu et al. 2021) on any causal model.

python -m training.messenger.sft --model facebook/opt-350m --data oasst1 --out models/sft [--eight-bit]
"""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from shared.settings import Settings
from training.messenger.base import rate
from training.messenger.data import Example, demonstrations, dialogues
from training.messenger.lm import LM, adapted, distributions, encode, load, log_probabilities, merged, quicker, save


@dataclass(frozen=True)
class Args:
    seed: int = 0
    steps: int = 250
    batch: int = 32
    longest: int = 128
    """Tokens of prompt and text."""
    learning_rate: float = 1e-3
    """Ten times that of full fine-tuning, as is usual for adapters."""


class Point(NamedTuple):
    step: int
    loss: float
    """Nats a token of the text."""
    held_out: float | None = None


def train(
    lm: LM,
    examples: Sequence[Example],
    args: Args,
    held_out: Sequence[Example] = (),
    show: Callable[[Point], object] = lambda point: None,
) -> tuple[LM, list[Point]]:
    """`lm` itself, tuned; the loss on `held_out` is measured at the end."""
    tuned = LM(adapted(lm.model, args.seed), lm.tokenizer)
    learning = [weight for weight in tuned.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=0.0)
    order = torch.Generator().manual_seed(args.seed)
    points = []
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * rate(step / args.steps)
        chosen = torch.randint(len(examples), (args.batch,), generator=order).tolist()
        with quicker():
            loss = nats(tuned, [examples[row] for row in chosen], args.longest)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        points.append(Point(step, loss.item()))
        if held_out and step == args.steps - 1:
            with torch.no_grad():
                points[-1] = points[-1]._replace(held_out=nats(tuned, held_out, args.longest).item())
        show(points[-1])
    return LM(merged(tuned.model), lm.tokenizer), points


def nats(lm: LM, examples: Sequence[Example], longest: int) -> torch.Tensor:
    """A token of the texts, the end of text included; the prompts are given."""
    prompts, texts = zip(*examples, strict=True)
    batch = encode(lm.tokenizer, prompts, texts, longest).to(lm.model.device)
    return -log_probabilities(distributions(lm.model, batch), batch).sum() / batch.written.sum()


def main() -> None:
    parser = ArgumentParser(prog="python -m training.messenger.sft", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="facebook/opt-350m", help="a folder, or a name on the hub")
    parser.add_argument("--data", choices=("domain", "oasst1"), default="domain")
    parser.add_argument("--mirror", type=Path, default=Settings().data, help="folder of copies of the data sets")
    parser.add_argument("--sets", type=Path, default=Path("data"), help="folder of the data sets made ready")
    parser.add_argument("--steps", type=int, default=Args.steps)
    parser.add_argument("--longest", type=int, default=Args.longest, help="tokens of prompt and text")
    parser.add_argument("--eight-bit", action="store_true", help="hold the base in 8 bits (bitsandbytes)")
    parser.add_argument("--out", type=Path, default=Path("models/sft"))
    args = parser.parse_args()
    examples = demonstrations(20_000, 1) if args.data == "domain" else dialogues(args.mirror, args.sets)
    bar = tqdm(total=args.steps, unit=" steps")

    def show(point: Point) -> None:
        bar.update()
        bar.set_postfix_str(f"loss {point.loss:.3f}")

    held_out = examples[:64]
    lm, points = train(
        load(args.model, args.eight_bit), examples[64:], Args(steps=args.steps, longest=args.longest), held_out, show
    )
    save(lm, args.out)
    print(f"held out {points[-1].held_out:.3f} nats a token; the model is in {args.out}")


if __name__ == "__main__":
    main()
