"""This project's PPO on texts, with a constant β as in TRL."""

from collections.abc import Sequence

from shared.messages import Brief
from training.messenger.benchmarks.metrics import BenchmarkRewardModel, TrainedModel, timer
from training.messenger.kl import FixedKL
from training.messenger.lm import LM
from training.messenger.ppo import TextPPOArgs, Trainer


def train(sft: LM, reward_model: BenchmarkRewardModel, briefs: Sequence[Brief], args: TextPPOArgs) -> TrainedModel:
    trainer = Trainer(sft, reward_model, briefs, args)
    trainer.kl_controller = FixedKL(args.kl_target, args.kl_coef)
    with timer() as duration:
        lm, history = trainer.train()
    return TrainedModel(lm, history[-1].tokens, duration)
