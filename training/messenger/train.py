"""Train the message writer: run all stages in order (make train-messenger).

The stages: a base model (or a pretrained one by name), a reward model of human preferences, SFT on demonstrations, a
reward model of the rubric's preferences, PPO against it, and the export of the artifact. Each stage also runs alone as
a script. `--models` keeps the weights of every stage, for vLLM and transformers.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from shared.artifacts import ARTIFACTS, Manifest
from shared.settings import Settings
from training.data.sources import SourceError
from training.messenger import base, export, human_preferences, ppo, reward, sft, stages
from training.messenger.base import BaseArgs
from training.messenger.export import ExportArgs
from training.messenger.human_preferences import HumanPreferenceArgs
from training.messenger.lm import LM, load
from training.messenger.ppo import TextPPOArgs
from training.messenger.reward import RewardModel, RewardStageArgs
from training.messenger.sft import SFTArgs

PRETRAINED_LEARNING_RATE = 1e-5
"""Learning rate of reward model and critic if all weights of a pretrained model are trained (Ouyang et al.: 9e-6)."""


@dataclass(frozen=True)
class TrainArgs:
    model: str | None = None
    """A pretrained model, by folder or name on the hub; without one, a base model is trained."""
    eight_bit: bool = False
    """Load the pretrained model in 8 bits."""
    resume: bool = False
    """Do not repeat the stages before PPO whose models and histories are in `models`."""
    mirror: Path | None = field(default_factory=lambda: Settings.from_environment().data)
    """Folder of local copies of the data sets."""
    data: Path = Path("data")
    """Folder of the prepared data sets."""
    models: Path = stages.MODELS
    """Folder of the models and histories of the stages."""
    artifacts: Path = ARTIFACTS
    """Folder of the artifacts."""
    threads: int = 2
    """Processor threads."""
    base: BaseArgs = field(default_factory=BaseArgs)
    human_preferences: HumanPreferenceArgs = field(default_factory=HumanPreferenceArgs)
    sft: SFTArgs = field(default_factory=SFTArgs)
    reward: RewardStageArgs = field(default_factory=RewardStageArgs)
    ppo: TextPPOArgs = field(default_factory=TextPPOArgs)
    export: ExportArgs = field(default_factory=ExportArgs)

    def finished(self, stage: str) -> bool:
        """Whether the stage is taken from an earlier run."""
        return self.resume and (self.models / f"{stage}.json").exists()


def train(args: TrainArgs) -> Manifest:
    """Run all stages. Raises `SourceError` without HH-RLHF, and `MissingStageError` if a resumed run lacks a model."""
    torch.set_num_threads(args.threads)
    lm = _base(args)
    if not args.finished("people"):
        human_preferences.run(lm, args.human_preferences, args.models, args.mirror, args.data)
    lm = (
        stages.load_model(args.models, "sft", args.eight_bit)
        if args.finished("sft")
        else sft.run(lm, args.sft, args.models)
    )
    reward_model = (
        RewardModel.load(args.models, args.eight_bit)
        if args.finished("reward")
        else reward.run(lm, args.reward, args.models)
    )
    ppo.run(lm, reward_model, args.ppo, args.models)
    return export.run(args.export, args.models, args.artifacts, pretrained=args.model is not None)


def _base(args: TrainArgs) -> LM:
    if args.model:
        return load(args.model, args.eight_bit)
    return stages.load_model(args.models, "base") if args.finished("base") else base.run(args.base, args.models)


def main(argv: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m training.messenger.train", description="Train the message writer.")
    parser.add_argument(
        "--model", help="a pretrained model, by folder or name on the hub (default: train a base model)"
    )
    parser.add_argument("--eight-bit", action="store_true", help="load the pretrained model in 8 bits (bitsandbytes)")
    parser.add_argument(
        "--resume", action="store_true", help="do not repeat the stages before PPO that an earlier run has finished"
    )
    parser.add_argument(
        "--mirror", type=Path, default=Settings.from_environment().data, help="folder of local copies of the data sets"
    )
    parser.add_argument("--data", type=Path, default=TrainArgs.data, help="folder of the prepared data sets")
    parser.add_argument(
        "--models", type=Path, default=TrainArgs.models, help="folder of the models and histories of the stages"
    )
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS, help="folder of the artifacts")
    parser.add_argument("--threads", type=int, default=TrainArgs.threads, help="processor threads")
    args = TrainArgs(**vars(parser.parse_args(argv)))
    if args.model and not args.eight_bit:
        args = replace(
            args,
            human_preferences=replace(args.human_preferences, learning_rate=PRETRAINED_LEARNING_RATE),
            reward=replace(args.reward, learning_rate=PRETRAINED_LEARNING_RATE),
            ppo=replace(args.ppo, critic_learning_rate=PRETRAINED_LEARNING_RATE),
        )
    try:
        manifest = train(args)
    except (SourceError, stages.MissingStageError) as error:
        sys.exit(str(error))
    export.print_summary(manifest, args.artifacts)


if __name__ == "__main__":
    main()
