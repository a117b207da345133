"""PPO-Lagrangian of FSRL (fast-safe-rl 0.1.0, on Tianshou 0.5.1): a budget per customer, its multiplier set by PID.

FSRL has no multi-discrete actions, so contact, level and delay are one action of 2 · 4 · 8 = 64. The unit of cost
is a tenth of the budget, so that FSRL's default cost limit of 10 and its default PID gains apply.
"""

import numpy as np
import torch
from fsrl.data import FastCollector
from fsrl.policy import PPOLagrangian
from gymnasium.spaces import Discrete
from tianshou.data import Batch, VectorReplayBuffer
from tianshou.utils.net.common import ActorCritic, Net
from tianshou.utils.net.discrete import Actor, Critic
from torch import nn
from torch.distributions import Categorical

from services.policy.response.model import Customers
from training.policy.benchmarks.env import BenchmarkEnv
from training.policy.benchmarks.evaluation import Act, LearningCurve, optimum
from training.policy.ppo import PPOArgs
from training.policy.simulation.env import ACTIONS, OBSERVATIONS

COST_LIMIT = 10
"""Limit of the costs of an episode; FSRL's default."""
HIDDEN_SIZES = (128, 128)
"""Widths of the hidden layers; FSRL's default."""
MAX_EPISODE_STEPS = 100
"""Upper bound on the steps of an episode, which has at most one a day of the campaign."""


class CollectorEnv:
    """`BenchmarkEnv` with the interface of Tianshou's vector environments.

    The collector steps some of the customers; the others pass a day without contact.
    """

    def __init__(self, env: BenchmarkEnv, cost_unit: float) -> None:
        self.benchmark_env, self.cost_unit, self.num_envs = env, cost_unit, env.num_envs
        self.observation_space, self.action_space = OBSERVATIONS, Discrete(int(ACTIONS.nvec.prod()))

    def __len__(self) -> int:
        return self.num_envs

    def reset(self, indices: np.ndarray | None = None) -> np.ndarray:
        indices = np.arange(self.num_envs) if indices is None else indices
        self.benchmark_env.reset_done(np.isin(np.arange(self.num_envs), indices))
        return self.benchmark_env.observe()[indices]

    def step(
        self, action: np.ndarray, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Batch]:
        actions = np.zeros((self.num_envs, len(ACTIONS.nvec)), dtype=np.int64)
        actions[indices] = decode(action)
        step = self.benchmark_env.step(actions)
        truncated, info = np.zeros(len(indices), dtype=bool), Batch(cost=step.costs[indices] / self.cost_unit)
        return self.benchmark_env.observe()[indices], step.rewards[indices], step.done[indices], truncated, info


def decode(action: np.ndarray) -> np.ndarray:
    """Contact, level and delay [n, 3] of actions [n] from 0 to 63."""
    return np.stack(np.unravel_index(action, tuple(ACTIONS.nvec)), axis=1)


def make_policy(space: Discrete, learning_rate: float) -> PPOLagrangian:
    """The policy of FSRL's agent, with a discrete actor in place of the Gaussian one, and ReLU as in this project."""
    shape = OBSERVATIONS.shape
    actor = Actor(Net(shape, hidden_sizes=HIDDEN_SIZES, activation=nn.ReLU), space.n, softmax_output=False)
    critics = [Critic(Net(shape, hidden_sizes=HIDDEN_SIZES, activation=nn.ReLU)) for _ in range(2)]
    for layer in ActorCritic(actor, nn.ModuleList(critics)).modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
    parameters = [*actor.parameters(), *(parameter for critic in critics for parameter in critic.parameters())]
    return PPOLagrangian(
        actor,
        critics,
        torch.optim.Adam(parameters, lr=learning_rate),
        lambda logits: Categorical(logits=logits),
        cost_limit=COST_LIMIT,
        observation_space=OBSERVATIONS,
        action_space=space,
    )


def act_function(policy: PPOLagrangian) -> Act:
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def act(observations: np.ndarray, eligible: np.ndarray, greedy: bool) -> np.ndarray:
        logits = policy.actor(observations)[0]
        return decode((logits.argmax(dim=1) if greedy else torch.multinomial(logits.softmax(dim=1), 1)[:, 0]).numpy())

    return act


def train_fsrl(customers: Customers, curve: LearningCurve, steps: int, seed: int, price: float) -> None:
    """Train within the budget that the optimal policy spends at `price`; the policy is evaluated at that price."""
    torch.manual_seed(seed)
    args, budget = PPOArgs(), optimum(customers, price).spend
    benchmark_env = BenchmarkEnv(customers, args.num_envs, seed, 0.0)
    benchmark_env.env.price = np.float32(price)  # observed, as by the other learners, but not charged
    env = CollectorEnv(benchmark_env, budget / COST_LIMIT)
    policy = make_policy(env.action_space, args.learning_rate)
    collector = FastCollector(policy, env, VectorReplayBuffer(len(env) * MAX_EPISODE_STEPS, len(env)))
    policy.train()
    curve.start()
    while collector.collect_step < steps:
        policy.pre_update_fn(stats_train=collector.collect(n_episode=len(env)))
        policy.update(0, collector.buffer, batch_size=args.minibatch_size, repeat=args.update_epochs)
        collector.reset_buffer(keep_statistics=True)
        curve.record(collector.collect_step, act_function(policy))
