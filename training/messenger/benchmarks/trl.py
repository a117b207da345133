"""TRL's PPO as two learners: with this project's settings, and with the value model and optimizer of TRL's examples."""

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
from training.messenger.benchmarks.metrics import (
    BenchmarkRewardModel,
    TokenScorer,
    TrainedModel,
    TRLRewardModel,
    timer,
)
from training.messenger.lm import LM, add_adapters, merge_adapters
from training.messenger.ppo import Critic, TextPPOArgs


class ClippedAdam(torch.optim.Adam):
    """Adam that clips the gradient norm of each model, as this project does; TRL's PPO has no setting for it."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], TextPPOArgs.max_grad_norm)
        return super().step(closure)


def train_with_equal_settings(
    sft: LM, reward_model: BenchmarkRewardModel, briefs: Sequence[Brief], args: TextPPOArgs
) -> TrainedModel:
    """With this project's critic, optimizer and loss terms."""
    critic = Critic(reward_model, args.seed)
    policy = add_adapters(sft.model, args.seed)
    parameter_groups = [
        {"params": [weight for weight in model.parameters() if weight.requires_grad], "lr": learning_rate}
        for model, learning_rate in ((policy, args.learning_rate), (critic, args.critic_learning_rate))
    ]
    value_model = TokenScorer(critic.lm, critic.head)
    optimizer = ClippedAdam(parameter_groups, eps=1e-5)
    options = {"vf_coef": 1.0, "cliprange_value": 1e9}
    return _train(LM(policy, sft.tokenizer), value_model, reward_model, briefs, args, optimizer, options)


def train_as_in_examples(
    sft: LM, reward_model: BenchmarkRewardModel, briefs: Sequence[Brief], args: TextPPOArgs
) -> TrainedModel:
    """With TRL's own optimizer, and a value model that starts as the reward model and has only trainable weights."""
    value_model = TokenScorer(deepcopy(reward_model.lm.base_model), reward_model.linear()).requires_grad_(True)
    return _train(LM(add_adapters(sft.model, args.seed), sft.tokenizer), value_model, reward_model, briefs, args)


def _train(
    lm: LM,
    value_model: TokenScorer,
    reward_model: BenchmarkRewardModel,
    briefs: Sequence[Brief],
    args: TextPPOArgs,
    optimizer: torch.optim.Optimizer | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainedModel:
    set_seed(args.seed)
    lm.tokenizer.padding_side = "left"
    token_counts = _count_tokens(lm)
    with TemporaryDirectory() as folder:
        trainer = PPOTrainer(
            args=_config(args, folder, options or {}),
            processing_class=lm.tokenizer,
            model=lm.model,
            ref_model=None,  # the policy without its adapters
            reward_model=TRLRewardModel(reward_model),
            value_model=value_model,
            train_dataset=Dataset.from_dict(
                {"input_ids": [lm.tokenizer(build_prompt(brief))["input_ids"] for brief in briefs]}
            ),
            optimizers=(optimizer, None),
        )
        trainer.remove_callback(PrinterCallback)
        with timer() as duration:
            trainer.train()
    return TrainedModel(LM(merge_adapters(lm.model).eval(), lm.tokenizer), sum(token_counts), duration)


def _config(args: TextPPOArgs, folder: str, options: Mapping[str, Any]) -> PPOConfig:
    return PPOConfig(
        output_dir=folder,
        seed=args.seed,
        total_episodes=args.num_updates * args.batch_size,
        per_device_train_batch_size=args.batch_size,  # a rollout, without accumulation: a step per minibatch
        num_mini_batches=args.batch_size // args.minibatch_size,
        local_rollout_forward_batch_size=args.batch_size,
        num_ppo_epochs=args.update_epochs,
        response_length=args.max_new_tokens,
        stop_token="eos",
        missing_eos_penalty=args.missing_eos_penalty,
        temperature=1.0,
        learning_rate=args.learning_rate,
        lr_scheduler_type="linear",
        whiten_rewards=True,
        kl_coef=args.kl_coef,
        cliprange=args.clip_coef,
        gamma=1.0,
        lam=args.gae_lambda,
        bf16=False,
        gradient_checkpointing=False,
        num_sample_generations=0,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **options,
    )


def _count_tokens(lm: LM) -> list[int]:
    """A list to which each call of `generate` appends the number of sampled tokens; TRL does not count them."""
    token_counts: list[int] = []
    generate = lm.model.generate

    def counting_generate(**inputs: Any) -> Any:
        output = generate(**inputs)
        is_eos = output.sequences[:, inputs["input_ids"].shape[1] :] == lm.tokenizer.eos_token_id
        token_counts.append(int((is_eos.cumsum(dim=1) - is_eos.long() == 0).sum()))
        return output

    lm.model.generate = counting_generate
    return token_counts
