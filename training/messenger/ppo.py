"""PPO on texts, from scratch (Ziegler et al. 2019; Stiennon et al. 2020; Ouyang et al. 2022).

A token is an action, a text an episode. The reward of a token is −β · (log π(token) − log π_ref(token)); the last token
also gets the reward model's score of the text, less a fixed penalty for each rule of the shield that the text breaks.
The policy is the SFT model with LoRA adapters; without them it is the reference model. Implementation details follow
"The N implementation details of RLHF with PPO" (Huang et al. 2024).
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training import command_line
from training.messenger import stages
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.evaluation.safety import broken_rules
from training.messenger.kl import AdaptiveKL, FactorKL
from training.messenger.lm import (
    LM,
    MICRO_BATCH_SIZE,
    Batch,
    add_adapters,
    decode,
    has_eos,
    merge_adapters,
    sample,
    save,
    token_entropies,
    token_logprobs,
    trainable_copy,
    vocabulary_logprobs,
)
from training.messenger.reward import RewardModel

MAX_PROMPT_TOKENS = 64


@dataclass(frozen=True)
class TextPPOArgs:
    seed: int = 0
    """Seed of prompts, adapters and sampling."""
    num_updates: int = 80
    """Number of rollouts; after each, policy and critic are updated."""
    prompts: int = 4_096
    """Number of different prompts that rollouts sample from."""
    batch_size: int = 128
    """Texts of a rollout."""
    minibatch_size: int = 32
    """Texts of an optimizer step."""
    update_epochs: int = 2
    """Passes over a rollout in an update."""
    max_new_tokens: int = 64
    """Tokens of a text, its end-of-text token included."""
    learning_rate: float = 1e-3
    """Initial learning rate of the policy's adapters; falls linearly to 0, as the critic's does."""
    critic_learning_rate: float = 1e-3
    """Initial learning rate of the critic; 1e-5 suits a pretrained model of which all weights are trained."""
    clip_coef: float = 0.2
    """ε of the clipped surrogate: the probability ratio counts up to 1 ± ε."""
    max_grad_norm: float = 1.0
    """Gradients of the policy and of the critic are each clipped to this norm."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation; there is no discount, γ = 1, as a text is short."""
    kl_coef: float = 0.05
    """Initial β: the penalty for a nat of divergence from the reference model."""
    kl_target: float = 4.0
    """Divergence that the KL controller steers to, nats per text."""
    kl_controller: Literal["proportional", "factor", "raw"] = "proportional"
    """Rule that changes β: proportional to the error (Ziegler et al. 2019); or by a factor of 1.5, smoothed or raw."""
    rule_penalty: float = 4.0
    """Penalty for each rule of the shield that a text breaks; scores of the reward model have standard deviation 1."""
    missing_eos_penalty: float = 8.0
    """Penalty of a text without an end-of-text token, in place of its score."""


class KLController(Protocol):
    target: float
    beta: float

    def step(self, kl: float, texts: int) -> float: ...


class TokenStatistics(NamedTuple):
    """Statistics of the responses' tokens, [n, width] each; 0 at padding."""

    logprobs: Tensor
    """Log-probabilities under the policy."""
    ref_logprobs: Tensor
    """Log-probabilities under the reference model."""
    values: Tensor
    """The critic's estimate before the token is chosen."""
    kl: Tensor
    """KL(policy ‖ reference) over the whole vocabulary, in nats."""
    entropy: Tensor
    """Entropy of the policy, in nats."""


class RolloutBuffer(NamedTuple):
    """Sampled texts, and arrays [n, width] about their tokens, 0 at padding."""

    batch: Batch
    logprobs: Tensor
    """Log-probabilities of the tokens under the policy that sampled them."""
    values: Tensor
    """The critic's estimate before the token is chosen."""
    advantages: Tensor
    """Whitened."""
    returns: Tensor
    """Targets of the critic."""


class RolloutMetrics(NamedTuple):
    score: float
    """Mean score of the reward model; texts of the reference model have mean 0 and standard deviation 1."""
    violation_rate: float
    """Share of the texts that break a rule of the shield."""
    kl: float
    """Divergence from the reference model in nats per text, exact at each token: over the whole vocabulary."""
    beta: float
    """Coefficient of that divergence."""
    entropy: float
    """Nats per token."""


class UpdateMetrics(NamedTuple):
    """Means over the minibatches of an update."""

    clip_fraction: float
    """Share of the tokens whose probability ratio was clipped."""
    approx_kl: float
    """Divergence of the updated policy from the rollout's, nats per token: the estimator k3 (Schulman 2020)."""


class PPOMetrics(NamedTuple):
    """Metrics of one update: see `RolloutMetrics` and `UpdateMetrics`."""

    update: int
    seconds: float
    """Seconds since the start of training."""
    tokens: int
    """Tokens sampled since the start of training."""
    score: float
    violation_rate: float
    kl: float
    beta: float
    entropy: float
    length: float
    """Mean tokens per text."""
    clip_fraction: float
    approx_kl: float
    explained_variance: float
    """1 − Var(returns − values) / Var(returns), of the critic before the update."""


class Critic(nn.Module):
    """A value model of its own, initialised from the reward model (Stiennon et al. 2020)."""

    def __init__(self, reward_model: RewardModel, seed: int) -> None:
        super().__init__()
        self.lm = trainable_copy(reward_model.lm.base_model, seed)
        self.head = nn.Linear(reward_model.head.in_features, 1).to(reward_model.head.weight.device)
        with torch.no_grad():
            self.head.weight.copy_(reward_model.head.weight / reward_model.std)
            self.head.bias.fill_(-reward_model.mean / reward_model.std)

    def forward(self, batch: Batch) -> Tensor:
        """[n, width], the expected return before each token of the response; 0 at padding."""
        hidden = self.lm(input_ids=batch.ids, attention_mask=batch.attention_mask).last_hidden_state
        return self.head(hidden[:, batch.response_start - 1 : -1])[..., 0] * batch.response_mask


@torch.no_grad()  # type: ignore[untyped-decorator]
def reference_logprobs(model: Any, batch: Batch) -> Tensor:
    """[n, width, vocabulary], log-probabilities of the reference model: the policy without its adapters."""
    with model.disable_adapter():
        return vocabulary_logprobs(model, batch)


def whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """Scale to variance 1 over the mask; the mean becomes 0, or stays. 0 outside the mask."""
    selected = values[mask]
    mean = selected.mean()
    whitened = (values - mean) * torch.rsqrt(selected.var(unbiased=False) + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def compute_gae(rewards: Tensor, values: Tensor, mask: Tensor, gae_lambda: float) -> Tensor:
    """[n, width], generalised advantage estimates (Schulman et al. 2016, equation 16) with γ = 1.

    The value after the last token of the mask is 0: the text has ended.
    """
    advantages = torch.zeros_like(rewards)
    last_advantage, next_values = (torch.zeros(len(rewards), device=rewards.device) for _ in range(2))
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + next_values - values[:, t]
        last_advantage = torch.where(mask[:, t], delta + gae_lambda * last_advantage, torch.zeros_like(last_advantage))
        next_values = torch.where(mask[:, t], values[:, t], torch.zeros_like(next_values))
        advantages[:, t] = last_advantage
    return advantages


def policy_loss(log_ratio: Tensor, advantages: Tensor, mask: Tensor, clip_coef: float) -> Tensor:
    """The clipped surrogate objective, negated, mean over tokens (Schulman et al. 2017, equation 7)."""
    ratio = log_ratio.exp()
    surrogate = torch.min(ratio * advantages, ratio.clamp(1 - clip_coef, 1 + clip_coef) * advantages)
    return -(surrogate * mask).sum() / mask.sum()


def value_loss(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """Half the squared error, mean over tokens (Schulman et al. 2017, equation 9)."""
    return 0.5 * ((values - returns).square() * mask).sum() / mask.sum()


def exact_kl(policy: Tensor, reference: Tensor, batch: Batch) -> Tensor:
    """[n, width], KL(policy ‖ reference) over the whole vocabulary at each token, in nats, from log-probabilities."""
    return (policy.exp() * (policy - reference)).sum(dim=-1) * batch.response_mask


def approximate_kl(log_ratio: Tensor) -> Tensor:
    """k3 = (ratio − 1) − log ratio of each token, ratio being new policy / old policy (Schulman 2020)."""
    return log_ratio.exp() - 1 - log_ratio


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 − Var(returns − values) / Var(returns) over the mask; 0 where returns do not vary."""
    returns, errors = returns[mask], (returns - values)[mask]
    variance = returns.var(unbiased=False)
    return float(1 - errors.var(unbiased=False) / variance) if variance > 0 else 0.0


class Trainer:
    def __init__(self, lm: LM, reward_model: RewardModel, briefs: Sequence[Brief], args: TextPPOArgs) -> None:
        """`lm` is frozen and gets adapters; rollouts sample their prompts from `briefs`."""
        self.args, self.reward_model, self.briefs = args, reward_model, briefs
        self.critic = Critic(reward_model, args.seed)
        self.policy = LM(add_adapters(lm.model, args.seed), lm.tokenizer)
        self.rng = np.random.default_rng(args.seed)
        self.parameters = [
            ([weight for weight in model.parameters() if weight.requires_grad], learning_rate)
            for model, learning_rate in (
                (self.policy.model, args.learning_rate),
                (self.critic, args.critic_learning_rate),
            )
        ]
        self.optimizer = torch.optim.Adam([{"params": weights} for weights, _ in self.parameters], eps=1e-5)
        self.kl_controller: KLController = (
            AdaptiveKL(args.kl_target, args.kl_coef)
            if args.kl_controller == "proportional"
            else FactorKL(args.kl_target, args.kl_coef, unsmoothed=args.kl_controller == "raw")
        )

    def train(self, on_update: Callable[[PPOMetrics], object] = lambda metrics: None) -> tuple[LM, list[PPOMetrics]]:
        """The policy with its adapters merged, and the metrics of each update."""
        args, history = self.args, list[PPOMetrics]()
        start, tokens = time.perf_counter(), 0
        for update in range(args.num_updates):
            for group, (_, learning_rate) in zip(self.optimizer.param_groups, self.parameters, strict=True):
                group["lr"] = learning_rate * (1 - update / args.num_updates)
            briefs = [self.briefs[i] for i in self.rng.integers(len(self.briefs), size=args.batch_size)]
            rollout, rollout_metrics = self.collect(briefs)
            update_metrics = self.update(rollout)
            mask = rollout.batch.response_mask
            tokens += int(mask.sum())
            history.append(
                PPOMetrics(
                    update=update,
                    seconds=time.perf_counter() - start,
                    tokens=tokens,
                    **rollout_metrics._asdict(),
                    length=int(mask.sum()) / len(briefs),
                    **update_metrics._asdict(),
                    explained_variance=explained_variance(rollout.values, rollout.returns, mask),
                )
            )
            self.kl_controller.step(rollout_metrics.kl, len(briefs))
            on_update(history[-1])
        return LM(merge_adapters(self.policy.model), self.policy.tokenizer), history

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def collect(self, briefs: Sequence[Brief]) -> tuple[RolloutBuffer, RolloutMetrics]:
        """Sample a text for each brief, reward its tokens, and estimate their advantages."""
        args, tokenizer, beta = self.args, self.policy.tokenizer, self.kl_controller.beta
        prompts = [build_prompt(brief) for brief in briefs]
        batch = sample(self.policy, prompts, args.max_new_tokens)
        mask, statistics = batch.response_mask, self.token_statistics(batch)
        texts = decode(tokenizer, batch)
        max_length = args.max_new_tokens + MAX_PROMPT_TOKENS
        scores = torch.from_numpy(self.reward_model.score(prompts, [f" {text}" for text in texts], max_length))
        violations = torch.tensor([len(broken_rules(brief, text)) for brief, text in zip(briefs, texts, strict=True)])

        # Ziegler et al. 2019, equation 2: the score at the last token, less β · log(π / π_ref) at every token.
        text_rewards = scores.to(mask.device) - args.rule_penalty * violations.to(mask.device)
        missing_eos = torch.full_like(text_rewards, -args.missing_eos_penalty)
        text_rewards = torch.where(has_eos(tokenizer, batch), text_rewards, missing_eos)
        rewards = -beta * (statistics.logprobs - statistics.ref_logprobs)
        rewards[torch.arange(len(briefs)), batch.last_index - batch.response_start] += text_rewards

        rewards = whiten(rewards, mask, shift_mean=False)
        advantages = compute_gae(rewards, statistics.values, mask, args.gae_lambda)
        returns = advantages + statistics.values
        rollout = RolloutBuffer(batch, statistics.logprobs, statistics.values, whiten(advantages, mask), returns)
        return rollout, RolloutMetrics(
            score=float(scores.mean()),
            violation_rate=float((violations > 0).float().mean()),
            kl=float(statistics.kl.sum(dim=1).mean()),
            beta=beta,
            entropy=float(statistics.entropy.sum() / mask.sum()),
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def token_statistics(self, batch: Batch) -> TokenStatistics:
        """Statistics of the tokens by policy, reference model and critic, in micro-batches of similar length."""
        statistics = TokenStatistics(*torch.zeros(5, *batch.response_mask.shape, device=batch.ids.device))
        for rows in batch.length_buckets(torch.arange(len(batch.ids)), MICRO_BATCH_SIZE):
            micro_batch = batch.select(rows)
            policy = vocabulary_logprobs(self.policy.model, micro_batch)
            reference = reference_logprobs(self.policy.model, micro_batch)
            columns = TokenStatistics(
                logprobs=token_logprobs(policy, micro_batch),
                ref_logprobs=token_logprobs(reference, micro_batch),
                values=self.critic(micro_batch),
                kl=exact_kl(policy, reference, micro_batch),
                entropy=token_entropies(policy, micro_batch),
            )
            for target, column in zip(statistics, columns, strict=True):
                target[rows, : column.shape[1]] = column
        return statistics

    def update(self, rollout: RolloutBuffer) -> UpdateMetrics:
        """Optimise policy and critic on the rollout, in minibatches whose gradients add up over micro-batches."""
        args, metrics = self.args, list[UpdateMetrics]()
        for _ in range(args.update_epochs):
            for minibatch in torch.randperm(len(rollout.returns)).split(args.minibatch_size):
                self.optimizer.zero_grad()
                tokens = rollout.batch.response_mask[minibatch].sum()
                clipped_tokens, kl_sum = 0, 0.0
                for rows in rollout.batch.length_buckets(minibatch, MICRO_BATCH_SIZE):
                    batch = rollout.batch.select(rows)
                    mask = batch.response_mask
                    old_logprobs, advantages, returns = (
                        column[rows, : mask.shape[1]]
                        for column in (rollout.logprobs, rollout.advantages, rollout.returns)
                    )
                    log_ratio = token_logprobs(vocabulary_logprobs(self.policy.model, batch), batch) - old_logprobs
                    share = mask.sum() / tokens
                    (share * policy_loss(log_ratio, advantages, mask, args.clip_coef)).backward()
                    (share * value_loss(self.critic(batch), returns, mask)).backward()
                    log_ratio = log_ratio.detach()
                    clipped_tokens += int((((log_ratio.exp() - 1).abs() > args.clip_coef) & mask).sum())
                    kl_sum += float((approximate_kl(log_ratio) * mask).sum())
                for weights, _ in self.parameters:
                    nn.utils.clip_grad_norm_(weights, args.max_grad_norm)
                self.optimizer.step()
                metrics.append(UpdateMetrics(clipped_tokens / int(tokens), kl_sum / int(tokens)))
        return UpdateMetrics(*(float(np.mean(column)) for column in zip(*metrics, strict=True)))


def training_briefs(args: TextPPOArgs) -> list[Brief]:
    """The briefs whose prompts rollouts sample from."""
    return sample_briefs(np.random.default_rng(args.seed + 31), args.prompts)


def run(lm: LM, reward_model: RewardModel, args: TextPPOArgs, models: Path) -> LM:
    """Train from the SFT model `lm`, and save the policy, its adapters merged, in `models`/merged."""
    with (progress := stages.Progress("ppo", args.num_updates)) as on_update:
        lm, history = Trainer(lm, reward_model, training_briefs(args), args).train(on_update)
    save(lm, models / "merged")
    last_half = history[len(history) // 2 :]
    summary = {
        "target": args.kl_target,
        "control": args.kl_controller,
        "kl_of_last_half": float(np.mean([metrics.kl for metrics in last_half])),
        "tokens_per_second": history[-1].tokens / history[-1].seconds,
    }
    stages.save_history(models, "ppo", progress.history() | summary)
    return lm


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser("ppo", "Train the SFT model by PPO against the reward model.")
    parser.add_argument("--eight-bit", action="store_true", help="load the models in 8 bits (bitsandbytes)")
    command_line.add_options(parser, TextPPOArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    try:
        lm = stages.load_model(options.models, "sft", options.eight_bit)
        reward_model = RewardModel.load(options.models, options.eight_bit)
    except stages.MissingStageError as error:
        sys.exit(str(error))
    run(lm, reward_model, command_line.from_options(TextPPOArgs, options), options.models)
    history = stages.load_history(options.models, "ppo")
    print(f"score {history['score'][-1]:.2f} at a divergence of {history['kl'][-1]:.2f} nats per text")
    print(f"the policy is in {options.models / 'merged'}; next: python -m training.messenger.export")


if __name__ == "__main__":
    main()
