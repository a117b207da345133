"""Reward model of human preferences: trained on HH-RLHF (Bai et al. 2022) and measured on its test split.

It shows what the base model can learn of preferences between open texts. No message depends on it, so it is not saved.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training import command_line
from training.data.sources import SourceError
from training.messenger import reward, stages
from training.messenger.data import load_preferences
from training.messenger.lm import LM
from training.messenger.reward import RewardArgs

STAGE = "people"
"""Its key in training.json."""


@dataclass(frozen=True)
class HumanPreferenceArgs(RewardArgs):
    epochs: int = 1
    """Passes over the training pairs."""
    max_length: int = 96
    """Tokens of prompt and text."""
    pairs: int = 2_000
    """Training pairs."""


def run(lm: LM, args: HumanPreferenceArgs, models: Path, mirror: Path | None, data: Path) -> None:
    """Train from a copy of `lm`, and save the history. Raises `SourceError` where HH-RLHF is unavailable."""
    training, held_out = (
        load_preferences("hh-rlhf", mirror, data, *splits).pairs for splits in (("train", "valid"), ("test",))
    )
    training = training[: args.pairs]
    with (progress := stages.Progress(STAGE, args.steps(len(training)))) as on_step:
        model, _ = reward.train(lm, training, args, on_step)
    report = stages.with_history_keys(reward.evaluate(model, held_out, args.max_length)._asdict())
    counts = {"pairs": len(training), "tested": len(held_out)}
    stages.save_history(models, STAGE, progress.history() | report | counts)


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser("human_preferences", "Measure a reward model of human preferences (HH-RLHF).")
    stages.add_initial_model_options(parser)
    stages.add_data_set_options(parser)
    command_line.add_options(parser, HumanPreferenceArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    try:
        lm = stages.load_initial_model(options)
        run(
            lm,
            command_line.from_options(HumanPreferenceArgs, options),
            options.models,
            options.mirror,
            options.data_folder,
        )
    except (stages.MissingStageError, SourceError) as error:
        sys.exit(str(error))
    history = stages.load_history(options.models, STAGE)
    print(f"held-out accuracy {history['accuracy']:.3f}; preferring the longer text: {history['longer']:.3f}")


if __name__ == "__main__":
    main()
