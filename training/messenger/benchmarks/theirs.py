"""TRL's PPO: as equal to ours as it lets us, and with a value model and optimizer as in its own examples."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, set_seed
from trl.experimental.ppo import PPOConfig, PPOTrainer

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.messenger.benchmarks.measure import Judge, Learnt, Reward, Scored, timed
from training.messenger.lm import LM, adapted, merged
from training.messenger.ppo import Args, Critic


class Clipped(torch.optim.Adam):
    """Ours: no gradient of a model is longer than 1. TRL's PPO has no setting for it."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        return super().step(closure)


def equal(sft: LM, judge: Judge, about: Sequence[Brief], args: Args) -> Learnt:
    """As ours, where TRL lets us."""
    critic = Critic(judge, args.seed)
    policy = adapted(sft.model, args.seed)
    learning = [
        {"params": [weight for weight in model.parameters() if weight.requires_grad], "lr": rate}
        for model, rate in ((policy, args.learning_rate), (critic, args.critic_rate))
    ]
    value = Scored(critic.lm, critic.head)
    plain = {"vf_coef": 1.0, "cliprange_value": 1e9}
    return _learnt(LM(policy, sft.tokenizer), value, judge, about, args, Clipped(learning, eps=1e-5), plain)


def as_in_examples(sft: LM, judge: Judge, about: Sequence[Brief], args: Args) -> Learnt:
    """Its own optimizer, and a value model of its own: begun as the reward model, all of its weights learn."""
    value = Scored(deepcopy(judge.lm.base_model), judge.linear()).requires_grad_(True)
    return _learnt(LM(adapted(sft.model, args.seed), sft.tokenizer), value, judge, about, args)


def _learnt(
    lm: LM,
    value: Scored,
    judge: Judge,
    about: Sequence[Brief],
    args: Args,
    optimizer: torch.optim.Optimizer | None = None,
    other: Mapping[str, Any] | None = None,
) -> Learnt:
    set_seed(args.seed)
    lm.tokenizer.padding_side = "left"
    written = _counted(lm)
    with TemporaryDirectory() as folder:
        trainer = PPOTrainer(
            args=_config(args, folder, other or {}),
            processing_class=lm.tokenizer,
            model=lm.model,
            ref_model=None,  # the policy without its adapters
            reward_model=Reward(judge),
            value_model=value,
            train_dataset=Dataset.from_dict(
                {"input_ids": [lm.tokenizer(build_prompt(brief))["input_ids"] for brief in about]}
            ),
            optimizers=(optimizer, None),
        )
        trainer.remove_callback(PrinterCallback)
        with timed() as took:
            trainer.train()
    return Learnt(LM(merged(lm.model).eval(), lm.tokenizer), sum(written), took)


def _config(args: Args, folder: str, other: Mapping[str, Any]) -> PPOConfig:
    return PPOConfig(
        output_dir=folder,
        seed=args.seed,
        total_episodes=args.updates * args.texts,
        per_device_train_batch_size=args.texts,  # texts between two updates, no accumulation: a step each minibatch
        num_mini_batches=args.texts // args.batch,
        local_rollout_forward_batch_size=args.texts,
        num_ppo_epochs=args.epochs,
        response_length=args.most,
        stop_token="eos",
        missing_eos_penalty=args.unended,
        temperature=1.0,
        learning_rate=args.learning_rate,
        lr_scheduler_type="linear",
        whiten_rewards=True,
        kl_coef=args.beta,
        cliprange=args.clip,
        gamma=1.0,
        lam=args.trace,
        bf16=False,
        gradient_checkpointing=False,
        num_sample_generations=0,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **other,
    )


def _counted(lm: LM) -> list[int]:
    """Tokens that the policy writes, a number each time that it does; TRL does not count them."""
    written: list[int] = []
    generate = lm.model.generate

    def counting(**asked: Any) -> Any:
        found = generate(**asked)
        said = found.sequences[:, asked["input_ids"].shape[1] :] == lm.tokenizer.eos_token_id
        written.append(int((said.cumsum(dim=1) - said.long() == 0).sum()))
        return found

    lm.model.generate = counting
    return written
