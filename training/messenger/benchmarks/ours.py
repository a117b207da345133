"""The project's own PPO, with a β that stays."""

from collections.abc import Sequence

from shared.messages import Brief
from training.messenger.benchmarks.measure import Judge, Learnt, timed
from training.messenger.kl import AdaptiveKL
from training.messenger.lm import LM
from training.messenger.ppo import Args, Trainer


class Fixed(AdaptiveKL):
    """TRL knows no other."""

    def step(self, kl: float, texts: int) -> float:
        return self.beta


def ours(sft: LM, judge: Judge, about: Sequence[Brief], args: Args) -> Learnt:
    trainer = Trainer(sft, judge, about, args)
    trainer.control = Fixed(args.target, args.beta)
    with timed() as took:
        lm, points = trainer.run()
    return Learnt(lm, points[-1].tokens, took)
