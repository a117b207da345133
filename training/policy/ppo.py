"""PPO (Schulman et al. 2017) with Lagrange multipliers for the budget and for fatigue: PPO-Lagrangian.

python -m training.policy.ppo [--pretrained] [--seed 0] [--num-updates 400]

The customers belong to markets. Each market has a budget, and so a shadow price of money, which its customers observe
as `budget_remaining`: one network learns what to do at any price. Rewards are expectations over acceptance and churn,
so the advantages carry little noise.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from services.policy.policies.observation import OBSERVATION
from services.policy.response.model import Customers
from shared.artifacts import ArtifactError
from training.command_line import add_options, option_name
from training.data.sources import SourceError
from training.policy.bound import LagrangianBound
from training.policy.lagrangian import PID, GradientAscent
from training.policy.network import (
    PRETRAINED,
    TRAINED,
    ActorCritic,
    Heads,
    entropy,
    load_network,
    log_probability,
    sample,
    save_network,
)
from training.policy.simulation.vector_env import RetentionVectorEnv

VALIDATION_CUSTOMERS = 1_500
"""Number of training customers that prices are solved for, and that the best run is selected on."""


@dataclass(frozen=True)
class PPOArgs:
    seed: int = 0
    """Seed of the network's weights, the customers and the minibatches."""
    num_updates: int = 400
    """Number of rollouts, each followed by an update of the network."""
    max_seconds: float = 300.0
    """Seconds after which training ends, even if updates are left."""
    num_envs: int = 512
    """Customers simulated in parallel."""
    num_steps: int = 16
    """Decisions about each customer in a rollout."""
    update_epochs: int = 4
    """Passes over a rollout in an update."""
    minibatch_size: int = 2048
    """Decisions in a minibatch."""
    learning_rate: float = 1e-3
    """Initial learning rate of Adam, decayed linearly to 0."""
    clip_coef: float = 0.2
    """ε of the clipped surrogate objective."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss, which is divided by the variance of the returns."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation, per day."""
    budgets: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
    """Budget of each market, as a share of what the optimal policy spends without a budget."""
    fatigue_limit: float = 0.02
    """Limit of forbidden contacts per customer and campaign, whose multiplier is λ₂; it has no effect with a mask."""
    action_mask: bool = True
    """Mask forbidden contacts: they have probability 0."""
    gradient_ascent: bool = False
    """Update the multipliers by plain gradient ascent instead of PID."""
    num_threads: int = 1
    """Processor threads."""


FINE_TUNING = PPOArgs(
    num_updates=40, num_envs=2048, minibatch_size=8192, learning_rate=1e-5, ent_coef=0.0, clip_coef=0.1
)
"""Arguments for a pretrained network, with small steps: the dynamic program knows that the campaign ends, while PPO
bootstraps there, and with longer training the network loses that knowledge (training/LOG.md)."""


@dataclass
class RolloutBuffer:
    """Transitions of a rollout: arrays [num_steps, num_envs, …]."""

    observations: np.ndarray
    contact_mask: np.ndarray
    """Whether a contact was possible."""
    actions: np.ndarray
    """Contact, offer and delay [num_steps, num_envs, 3]."""
    logprobs: np.ndarray
    """Log-probabilities of the actions under the policy that took them."""
    values: np.ndarray
    """Estimates of the critic."""
    rewards: np.ndarray
    """Rewards after the prices, in bills of the average customer."""
    survival: np.ndarray
    """Probability of staying until the next decision; takes the role of the discount factor γ."""
    next_values: np.ndarray
    """Value of the next state of the same customer, also where the end of the campaign truncates the episode."""
    gae_decay: np.ndarray
    """survival · λ^days, and 0 where the next transition is another customer's."""

    @classmethod
    def empty(cls, num_steps: int, num_envs: int) -> Self:
        shape = num_steps, num_envs

        def single() -> np.ndarray:
            return np.empty(shape, np.float32)

        return cls(
            observations=np.empty((*shape, len(OBSERVATION)), np.float32),
            contact_mask=np.empty(shape, bool),
            actions=np.empty((*shape, 3), np.int64),
            logprobs=single(),
            values=single(),
            rewards=np.empty(shape),
            survival=single(),
            next_values=single(),
            gae_decay=single(),
        )


def compute_gae(
    rewards: np.ndarray, values: np.ndarray, next_values: np.ndarray, survival: np.ndarray, gae_decay: np.ndarray
) -> np.ndarray:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16); all [num_steps, num_envs].

    A_t = δ_t + gae_decay_t · A_{t+1}, where δ_t = rewards_t + survival_t · next_values_t − values_t.
    """
    advantages = np.empty_like(rewards)
    next_advantage: np.ndarray = np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        next_advantage = rewards[t] + survival[t] * next_values[t] - values[t] + gae_decay[t] * next_advantage
        advantages[t] = next_advantage
    return advantages


def clipped_surrogate_loss(log_ratio: Tensor, advantages: Tensor, clip_coef: float) -> Tensor:
    """Negative of E[min(r A, clip(r, 1 − ε, 1 + ε) A)], r the likelihood ratio: Schulman et al. (2017), equation 7."""
    ratio = log_ratio.exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - clip_coef, 1 + clip_coef) * advantages).mean()


def value_loss(values: Tensor, returns: Tensor) -> Tensor:
    """Mean squared error, as in equation 9 of Schulman et al. (2017)."""
    return (values - returns).square().mean()


class Batch(NamedTuple):
    """All decisions of a rollout, from which minibatches are drawn: tensors [num_steps · num_envs, …]."""

    observations: Tensor
    contact_mask: Tensor
    actions: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    @classmethod
    def of(cls, rollout: RolloutBuffer) -> Self:
        buffer = rollout
        advantages = compute_gae(buffer.rewards, buffer.values, buffer.next_values, buffer.survival, buffer.gae_decay)
        columns = buffer.observations, buffer.contact_mask, buffer.actions, buffer.logprobs, buffer.values
        estimates = (estimate.astype(np.float32) for estimate in (advantages, advantages + buffer.values))
        return cls(*(torch.from_numpy(column).flatten(0, 1) for column in (*columns, *estimates)))


class Usage(NamedTuple):
    """Totals of a rollout by customer, in expectation over churn; arrays [num_envs]."""

    spend: np.ndarray
    """Money spent on accepted discounts."""
    violations: np.ndarray
    """Number of contacts that the gate forbids."""
    incremental_value: np.ndarray
    """Money gained over contacting nobody."""
    campaigns: np.ndarray
    """Number of campaigns that passed, as a fraction."""


class Diagnostics(NamedTuple):
    """Diagnostics of an update: means over its minibatches."""

    approx_kl: float
    """KL divergence of the new policy from the old one, estimated by E[(r − 1) − log r] (Schulman 2020)."""
    clip_fraction: float
    """Share of samples whose likelihood ratio is outside 1 ± clip_coef."""
    explained_variance: float
    """Share of the variance of the returns that the values explain, before the update; 1 is perfect."""
    entropy: float
    """Entropy of the policy, in nats."""


class UpdateMetrics(NamedTuple):
    """State of training after an update."""

    seconds: float
    """Seconds since training began."""
    steps: int
    """Decisions so far, of all customers."""
    prices: np.ndarray
    """Multiplier of each market's budget: its shadow price [markets]."""
    fatigue_price: float
    """Multiplier of the fatigue limit."""
    utilisation: np.ndarray
    """Spend as a share of each market's budget [markets]."""
    incremental_value: float
    """Money gained over contacting nobody, per customer and campaign."""
    diagnostics: Diagnostics


class TrainedPolicy(NamedTuple):
    network: ActorCritic
    history: list[UpdateMetrics]


class Trainer:
    """PPO on `customers`, from `network` and `prices` [markets] if given."""

    def __init__(
        self, args: PPOArgs, customers: Customers, network: ActorCritic | None = None, prices: np.ndarray | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        torch.set_num_threads(args.num_threads)
        self.args, self.rng = args, np.random.default_rng(args.seed)
        self.network = network or ActorCritic()
        self.optimizer = torch.optim.Adam(self.network.parameters(), eps=1e-5, fused=True)
        self.env = RetentionVectorEnv(customers, args.num_envs, self.rng, survival_weighted=True)
        self.mean_bill = float(customers.bill.mean())
        unconstrained_spend = LagrangianBound(customers).unconstrained_spend / len(customers.bill)
        self.budgets = unconstrained_spend * np.array(args.budgets)
        """Budget of each market [markets]: money per customer and campaign."""
        self.market = np.arange(args.num_envs) * len(self.budgets) // args.num_envs
        """Index of the market of each customer [num_envs]."""
        rule = GradientAscent if args.gradient_ascent else PID
        self.budget_multipliers = rule(np.ones_like(self.budgets) if prices is None else prices)
        self.fatigue_multiplier = rule(np.zeros(1))

    def train(self, on_update: Callable[[UpdateMetrics], object] = lambda metrics: None) -> TrainedPolicy:
        """Collect rollouts and update the network, `num_updates` times or for `max_seconds`."""
        args, history = self.args, list[UpdateMetrics]()
        start = time.perf_counter()
        for update in range(args.num_updates):
            if (seconds := time.perf_counter() - start) >= args.max_seconds:
                break
            self.optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - update / args.num_updates)
            rollout, usage = self.collect_rollout()
            utilisation = self.update_multipliers(usage)
            diagnostics = self.update_network(Batch.of(rollout))
            history.append(
                UpdateMetrics(
                    seconds,
                    (update + 1) * args.num_envs * args.num_steps,
                    self.budget_multipliers.price.copy(),
                    float(self.fatigue_multiplier.price[0]),
                    utilisation,
                    float(usage.incremental_value.sum() / usage.campaigns.sum()),
                    diagnostics,
                )
            )
            on_update(history[-1])
        return TrainedPolicy(self.network, history)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def evaluate_states(self) -> tuple[np.ndarray, np.ndarray, Heads]:
        """Observations [num_envs, 9], contact mask [num_envs], and the network's heads for them."""
        observations = self.env.observe().T.copy()
        contact_mask = self.env.eligible() if self.args.action_mask else np.ones(self.env.num_envs, dtype=bool)
        return observations, contact_mask, self.network(torch.from_numpy(observations), torch.from_numpy(contact_mask))

    def collect_rollout(self) -> tuple[RolloutBuffer, Usage]:
        """Take `num_steps` decisions of the policy about every customer, at the current prices."""
        args, env = self.args, self.env
        rollout, totals = RolloutBuffer.empty(args.num_steps, args.num_envs), np.zeros((3, args.num_envs))
        price, fatigue_price = self.budget_multipliers.price[self.market], float(self.fatigue_multiplier.price[0])
        env.price = price.astype(np.float32)
        days = np.zeros(args.num_envs, np.float32)
        observations, contact_mask, heads = self.evaluate_states()
        for t in range(args.num_steps):
            actions = sample(heads, self.rng)
            rollout.observations[t], rollout.contact_mask[t], rollout.actions[t] = observations, contact_mask, actions
            rollout.logprobs[t] = log_probability(heads, torch.from_numpy(actions)).numpy()
            rollout.values[t] = heads.value.numpy()

            contact, level, delay = actions[:, 0] > 0, actions[:, 1], actions[:, 2]
            value, spend = self._expected_effects(contact, level)
            violation, survived = contact & ~env.eligible(), np.exp(-env.state.cumulative_hazard)
            totals += survived * np.stack([spend, violation, value])
            rollout.rewards[t] = (value - price * spend - fatigue_price * violation) / self.mean_bill

            transition = env.step(contact, level, delay)
            observations, contact_mask, heads = self.evaluate_states()
            at_cap = (
                env.state.contacts >= env.rules.contact_cap if args.action_mask else np.zeros(args.num_envs, dtype=bool)
            )
            done = transition.truncated | at_cap
            rollout.survival[t] = transition.survival
            rollout.next_values[t] = np.where(at_cap, 0, heads.value.numpy())  # at the cap nothing more can be gained
            rollout.gae_decay[t] = transition.survival * args.gae_lambda**transition.days * ~done
            days += transition.days + at_cap * (env.rules.campaign_days - env.day)
            if done.any():
                env.reset_done(done)
                observations, contact_mask, heads = self.evaluate_states()
        spend, violations, value = totals
        return rollout, Usage(spend, violations, value, days / env.rules.campaign_days)

    def _expected_effects(self, contact: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected incremental value and expected spend of each action: money [num_envs] each."""
        value, spend = np.zeros((2, self.env.num_envs))
        rows = np.flatnonzero(contact)
        value[rows], spend[rows] = self.env.incremental_value(rows, level[rows])
        return value, spend

    def update_multipliers(self, usage: Usage) -> np.ndarray:
        """Adjust the prices to the spend and the violations; return the utilisation of each budget [markets]."""
        markets = len(self.budgets)
        spend, campaigns = (np.bincount(self.market, x, markets) for x in (usage.spend, usage.campaigns))
        self.budget_multipliers.step(spend / campaigns, self.budgets)
        violations = usage.violations.sum() / usage.campaigns.sum()
        self.fatigue_multiplier.step(violations, np.array([self.args.fatigue_limit]))
        return spend / campaigns / self.budgets

    def update_network(self, batch: Batch) -> Diagnostics:
        """Maximise equation 9 of Schulman et al. (2017) by minibatch gradient ascent."""
        args, records = self.args, []
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        returns_variance = batch.returns.var() + 1e-8
        for _ in range(args.update_epochs):
            for rows in torch.randperm(len(batch.observations)).split(args.minibatch_size):
                heads = self.network(batch.observations[rows], batch.contact_mask[rows])
                log_ratio = log_probability(heads, batch.actions[rows]) - batch.logprobs[rows]
                policy_entropy = entropy(heads).mean()
                loss = (
                    clipped_surrogate_loss(log_ratio, advantages[rows], args.clip_coef)
                    + args.vf_coef * value_loss(heads.value, batch.returns[rows]) / returns_variance
                    - args.ent_coef * policy_entropy
                )
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), args.max_grad_norm)
                self.optimizer.step()
                records.append((*_ratio_diagnostics(log_ratio.detach(), args.clip_coef), policy_entropy.item()))
        approx_kl, clip_fraction, mean_entropy = np.mean(records, axis=0).tolist()
        return Diagnostics(approx_kl, clip_fraction, explained_variance(batch.values, batch.returns), mean_entropy)


def _ratio_diagnostics(log_ratio: Tensor, clip_coef: float) -> tuple[float, float]:
    """Approximate KL and clip fraction."""
    ratio = log_ratio.exp()
    clipped = (ratio - 1).abs() > clip_coef
    return (ratio - 1 - log_ratio).mean().item(), clipped.float().mean().item()


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 − Var(returns − values) / Var(returns); 0 where the returns are all the same."""
    variance = returns.var().item()
    return 1 - (returns - values).var().item() / variance if variance else 0.0


def optimal_prices(customers: Customers, budgets: Sequence[float]) -> np.ndarray:
    """Shadow prices at which the optimal policy spends these shares of what it spends without a budget."""
    bound = LagrangianBound(customers[:VALIDATION_CUSTOMERS])
    return np.array([bound.at_budget(share * bound.unconstrained_spend).price for share in budgets])


def progress_bar(title: str, args: PPOArgs, position: int = 0) -> tqdm:
    return tqdm(total=args.num_updates, desc=title, unit=" updates", position=position, leave=False)


def show_progress(bar: tqdm, metrics: UpdateMetrics) -> None:
    prices = f"{metrics.prices[0]:.1f} to {metrics.prices[-1]:.1f}"
    bar.set_postfix_str(f"incremental value {metrics.incremental_value:.2f}, prices {prices}")
    bar.update()


def options_parser() -> ArgumentParser:
    from training.policy.customers import add_data_options  # not above: the benchmarks' environment has no scorer

    fine_tuning_defaults = ", ".join(
        f"{option_name(field.name)} {getattr(FINE_TUNING, field.name)}"
        for field in fields(PPOArgs)
        if getattr(FINE_TUNING, field.name) != field.default
    )
    parser = ArgumentParser(prog="python -m training.policy.ppo", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pretrained",
        nargs="?",
        type=Path,
        const=PRETRAINED,
        metavar="FILE",
        help="network to start from, which python -m training.policy.behaviour_cloning makes "
        f"({PRETRAINED} if no file is given); the defaults are then {fine_tuning_defaults}",
    )
    parser.add_argument("--out", type=Path, default=TRAINED, help=f"file to write the network to (default: {TRAINED})")
    add_options(parser, PPOArgs, with_defaults=False)
    add_data_options(parser)
    return parser


def main() -> None:
    from training.policy.customers import load_population

    options = vars(options_parser().parse_args())
    folders = [options.pop(name) for name in ("mirror", "data", "artifacts")]
    pretrained, out = options.pop("pretrained"), options.pop("out")
    args = replace(FINE_TUNING if pretrained else PPOArgs(), **options)
    try:
        network = load_network(pretrained) if pretrained else None
        customers = load_population(*folders).training
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))
    prices = optimal_prices(customers, args.budgets) if pretrained else None
    with progress_bar("PPO", args) as bar:
        trained = Trainer(args, customers, network, prices).train(partial(show_progress, bar))
    save_network(trained.network, out)
    metrics = trained.history[-1]
    print(
        f"{metrics.steps:,} decisions in {metrics.seconds:.0f} s; incremental value {metrics.incremental_value:.2f} a "
        f"customer.\nThe network is in {out}; simulate it through the service: "
        f"python -m training.policy.simulation.service --network {out}"
    )


if __name__ == "__main__":
    main()
