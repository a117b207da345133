"""PPO (Schulman et al. 2017) with Lagrange multipliers for the budget and for fatigue, from scratch.

Many customers live through their quarter at once (`training.policy.simulation.vector_env`). They belong to markets,
each with a budget and so a price of money of its own, which its customers see as `budget_remaining`:
one network learns what to do at any price. Nothing is learnt of luck: rewards are expectations over acceptance and
survival.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from services.policy.policies.network import HEADS, NUM_OUTPUTS
from services.policy.policies.observation import OBSERVATION
from services.policy.response.model import Customers
from training.policy.evaluation.bound import LagrangianBound
from training.policy.lagrangian import PID, GradientAscent
from training.policy.simulation.vector_env import RetentionVectorEnv


@dataclass(frozen=True)
class Args:
    seed: int = 0
    updates: int = 400
    seconds: float = 300
    """After which training ends, however many updates were made."""
    customers: int = 512
    steps: int = 16
    """Decisions of each customer between two updates."""
    epochs: int = 4
    batch: int = 2048
    learning_rate: float = 1e-3
    """Falls to 0 with the updates."""
    clip: float = 0.2
    entropy: float = 0.01
    value: float = 0.5
    trace: float = 0.95
    """λ of the generalised advantage, a day."""
    budgets: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
    """Of the markets, as shares of what the optimum spends where money is free."""
    fatigue: float = 0.02
    """Forbidden contacts a customer's quarter that are put up with: what λ₂ holds down where nothing is masked."""
    masked: bool = True
    """Contacts that the gate forbids are not even tried."""
    ascent: bool = False
    """Plain gradient ascent on the multipliers, instead of PID."""
    threads: int = 1


class Heads(NamedTuple):
    """Log-probabilities [n, choices] of three choices, and the value [n]."""

    contact: Tensor
    offer: Tensor
    delay: Tensor
    value: Tensor


class Network(nn.Module):
    """9 → 128 → 128 → four heads, on inputs of mean 0 and spread 1."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((len(OBSERVATION),), 0.5))
        self.register_buffer("spread", torch.full((len(OBSERVATION),), 0.3))
        self.first, self.second = nn.Linear(len(OBSERVATION), hidden), nn.Linear(hidden, hidden)
        self.heads = nn.Linear(hidden, NUM_OUTPUTS)
        for layer, scale in ((self.first, 2**0.5), (self.second, 2**0.5), (self.heads, 0.01)):
            nn.init.orthogonal_(layer.weight, scale)
            nn.init.zeros_(layer.bias)

    def forward(self, observations: Tensor, may: Tensor) -> Heads:
        """[n, 9], and [n] whether they may be contacted."""
        hidden = torch.relu(self.first((observations - self.mean) / self.spread))
        contact, offer, delay, value = self.heads(torch.relu(self.second(hidden))).split(tuple(HEADS.values()), dim=1)
        contact = contact.masked_fill(~may[:, None] & torch.tensor([False, True]), -1e9)
        contact, offer, delay = (torch.log_softmax(logits, dim=1) for logits in (contact, offer, delay))
        return Heads(contact, offer, delay, value[:, 0])


def log_probability(heads: Heads, actions: Tensor) -> Tensor:
    """[n] of actions [n, 3]. The offer is no part of an action without contact."""
    contact, offer, delay = (
        choice.gather(1, action[:, None])[:, 0] for choice, action in zip(heads[:3], actions.T, strict=True)
    )
    return contact + actions[:, 0] * offer + delay


def entropy(heads: Heads) -> Tensor:
    contact, offer, delay = (-(choice.exp() * choice).sum(dim=1) for choice in heads[:3])
    return contact + heads.contact[:, 1].exp() * offer + delay


def sample(heads: Heads, rng: np.random.Generator) -> np.ndarray:
    """[n, 3], by the Gumbel trick."""
    return np.stack([(choice.numpy() + rng.gumbel(size=choice.shape)).argmax(axis=1) for choice in heads[:3]], axis=1)


def advantages(
    rewards: np.ndarray, values: np.ndarray, after: np.ndarray, kept: np.ndarray, carried: np.ndarray
) -> np.ndarray:
    """Generalised advantages (Schulman et al. 2016), all [steps, n]: A = δ + carried · A', the next step's.

    δ = reward + kept · after − value.

    `after` is the value of what comes next, also where the clock cut the episode: a cut is no end. `kept` is what of it
    counts: the probability of staying. `carried` is kept · λ^days, and 0 where the next step is another customer's.
    """
    found = np.empty_like(rewards)
    last: np.ndarray = np.zeros_like(rewards[0])
    for step in range(len(rewards) - 1, -1, -1):
        last = rewards[step] + kept[step] * after[step] - values[step] + carried[step] * last
        found[step] = last
    return found


def policy_loss(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, equation 7 of Schulman et al. (2017)."""
    ratio = log_ratio.exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    return (value - target).square().mean()


class Batch(NamedTuple):
    """What was seen, done and gained: [steps, n, …]."""

    observations: np.ndarray
    may: np.ndarray
    actions: np.ndarray
    log_probabilities: np.ndarray
    advantages: np.ndarray
    targets: np.ndarray


class Point(NamedTuple):
    """The state of training."""

    seconds: float
    steps: int
    prices: np.ndarray
    """[markets], what money costs."""
    fatigue_price: float
    used: np.ndarray
    """[markets], of the budget."""
    gain: float
    """Money a customer's quarter, over doing nothing."""


class Trained(NamedTuple):
    network: Network
    points: list[Point]


class Trainer:
    """PPO on `customers`, from `network` if one is given. Budgets are shares of what the optimum spends for free."""

    def __init__(
        self, args: Args, customers: Customers, network: Network | None = None, prices: np.ndarray | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        torch.set_num_threads(args.threads)
        self.args, self.rng = args, np.random.default_rng(args.seed)
        self.network = network or Network()
        self.optimizer = torch.optim.Adam(self.network.parameters(), eps=1e-5, fused=True)
        self.many = RetentionVectorEnv(customers, args.customers, self.rng, survival_weighted=True)
        self.bill = float(customers.bill.mean())
        free = LagrangianBound(customers).unconstrained_spend / len(customers.bill)
        self.limits = free * np.array(args.budgets)  # money a customer's quarter
        self.market = np.arange(args.customers) * len(self.limits) // args.customers
        rule = GradientAscent if args.ascent else PID
        self.budget = rule(np.ones_like(self.limits) if prices is None else prices)
        self.fatigue = rule(np.zeros(1))
        self.used, self.gain = np.zeros_like(self.limits), 0.0

    def run(self, show: Callable[[Point], object] = lambda point: None) -> Trained:
        """Until all updates are made, or the time is up."""
        points: list[Point] = []
        steps, start = 0, time.perf_counter()
        while len(points) < self.args.updates and (seconds := time.perf_counter() - start) < self.args.seconds:
            for group in self.optimizer.param_groups:
                group["lr"] = self.args.learning_rate * (1 - len(points) / self.args.updates)
            self.update(self.collect())
            steps += self.args.customers * self.args.steps
            prices, fatigue_price = self.budget.price.copy(), float(self.fatigue.price[0])
            points.append(Point(seconds, steps, prices, fatigue_price, self.used / self.limits, self.gain))
            show(points[-1])
        return Trained(self.network, points)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def see(self) -> tuple[np.ndarray, np.ndarray, Heads]:
        observations = self.many.observe().T.copy()
        may = self.many.eligible() if self.args.masked else np.ones(self.many.num_envs, dtype=bool)
        return observations, may, self.network(torch.from_numpy(observations), torch.from_numpy(may))

    def collect(self) -> Batch:
        """Some steps of every customer; and the multipliers follow what they used."""
        many, args = self.many, self.args
        price, fatigue_price = self.budget.price[self.market], float(self.fatigue.price[0])
        many.price = price.astype(np.float32)
        rows, totals = [], np.zeros((3, many.num_envs))
        observations, may, heads = self.see()
        for _ in range(args.steps):
            actions = sample(heads, self.rng)
            likely = log_probability(heads, torch.from_numpy(actions)).numpy()
            value = heads.value.numpy()
            who = np.flatnonzero(actions[:, 0])
            gain, cost = np.zeros((2, many.num_envs))
            gain[who], cost[who] = many.incremental_value(who, actions[who, 1])
            active, broken = np.exp(-many.state.cumulative_hazard), (actions[:, 0] > 0) & ~many.eligible()
            step = many.step(actions[:, 0] > 0, actions[:, 1], actions[:, 2])
            totals += active * np.stack([cost, broken, gain])
            reward = (gain - price * cost - fatigue_price * broken) / self.bill
            row = [observations, may, actions, likely, value, reward, step.survival]
            observations, may, heads = self.see()
            after = heads.value.numpy().copy()
            spent = many.state.contacts >= many.rules.cap if args.masked else np.zeros_like(step.truncated)
            after[spent] = 0  # at the cap nothing can be gained any more in this quarter
            rest = spent * (many.rules.quarter - many.day)
            if (over := step.truncated | spent).any():
                many.reset_done(over)
                observations, may, heads = self.see()
            rows.append([*row, after, step.survival * args.trace**step.days * ~over, step.days + rest])
        seen, may_all, done, likely_all, values, rewards, kept, afters, carried, days = (
            np.stack(column) for column in zip(*rows, strict=True)
        )
        self._price(totals, days.sum(axis=0) / many.rules.quarter)
        found = advantages(rewards, values, afters, kept, carried)
        return Batch(seen, may_all, done, likely_all, found, found + values)

    def _price(self, totals: np.ndarray, quarters: np.ndarray) -> None:
        """Let the multipliers follow; `totals` [3, n] and `quarters` [n] went by."""
        markets = len(self.limits)
        self.used = np.bincount(self.market, totals[0], markets) / np.bincount(self.market, quarters, markets)
        self.gain = totals[2].sum() / quarters.sum()
        self.budget.step(self.used, self.limits)
        self.fatigue.step(totals[1].sum() / quarters.sum(), np.array([self.args.fatigue]))

    def update(self, batch: Batch) -> None:
        seen, may, actions, likely, advantage, target = (
            torch.from_numpy(np.ascontiguousarray(part, None if part.dtype != float else np.float32)).flatten(0, 1)
            for part in batch
        )
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        scale = target.var() + 1e-8
        for _ in range(self.args.epochs):
            for rows in torch.randperm(len(seen)).split(self.args.batch):
                heads = self.network(seen[rows], may[rows])
                log_ratio = log_probability(heads, actions[rows]) - likely[rows]
                loss = (
                    policy_loss(log_ratio, advantage[rows], self.args.clip)
                    + self.args.value * value_loss(heads.value, target[rows]) / scale
                    - self.args.entropy * entropy(heads).mean()
                )
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
                self.optimizer.step()
