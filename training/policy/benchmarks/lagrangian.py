"""PPO-Lagrangian of FSRL (fast-safe-rl 0.1.0, on Tianshou 0.5.1): a budget a customer's quarter, and PID on its price.

The library has no several choices in one action, so the 2 · 4 · 8 of them are one choice of 64. Costs are in tenths of
the budget: its limit of 10 and its gains are the defaults then.
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
from training.policy.benchmarks.episodes import Episodes
from training.policy.benchmarks.judge import Curve, Decide, best
from training.policy.ppo import PPOArgs
from training.policy.simulation.env import ACTIONS, OBSERVATIONS

LIMIT, HIDDEN, LONGEST = 10, (128, 128), 100
"""FSRL's default cost limit, its network, and no less than the steps of an episode."""


class Together:
    """`Episodes` as Tianshou's collector wants them; those it does not ask about do nothing for a day."""

    def __init__(self, episodes: Episodes, unit: float) -> None:
        self.episodes, self.unit, self.number = episodes, unit, episodes.many.num_envs
        self.observation_space, self.action_space = OBSERVATIONS, Discrete(int(ACTIONS.nvec.prod()))

    def __len__(self) -> int:
        return self.number

    def reset(self, who: np.ndarray | None = None) -> np.ndarray:
        who = np.arange(self.number) if who is None else who
        self.episodes.renew(np.isin(np.arange(self.number), who))
        return self.episodes.observe()[who]

    def step(self, action: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Batch]:
        actions = np.zeros((self.number, len(ACTIONS.nvec)), dtype=np.int64)
        actions[who] = apart(action)
        moved = self.episodes.step(actions)
        info = Batch(cost=moved.costs[who] / self.unit)
        return self.episodes.observe()[who], moved.rewards[who], moved.done[who], np.zeros(len(who), dtype=bool), info


def apart(action: np.ndarray) -> np.ndarray:
    """[n, 3] of [n] from 0 to 63."""
    return np.stack(np.unravel_index(action, tuple(ACTIONS.nvec)), axis=1)


def policy(space: Discrete, learning_rate: float) -> PPOLagrangian:
    """As FSRL's own agent makes it, with a discrete actor in place of its Gaussian one, and ReLU as in ours."""
    shape = OBSERVATIONS.shape
    actor = Actor(Net(shape, hidden_sizes=HIDDEN, activation=nn.ReLU), space.n, softmax_output=False)
    critics = [Critic(Net(shape, hidden_sizes=HIDDEN, activation=nn.ReLU)) for _ in range(2)]
    for layer in ActorCritic(actor, nn.ModuleList(critics)).modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
    parameters = [*actor.parameters(), *(each for critic in critics for each in critic.parameters())]
    return PPOLagrangian(
        actor,
        critics,
        torch.optim.Adam(parameters, lr=learning_rate),
        lambda logits: Categorical(logits=logits),
        cost_limit=LIMIT,
        observation_space=OBSERVATIONS,
        action_space=space,
    )


def deciding(policy: PPOLagrangian) -> Decide:
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def decide(observations: np.ndarray, may: np.ndarray, greedy: bool) -> np.ndarray:
        logits = policy.actor(observations)[0]
        return apart((logits.argmax(dim=1) if greedy else torch.multinomial(logits.softmax(dim=1), 1)[:, 0]).numpy())

    return decide


def lagrangian(customers: Customers, curve: Curve, steps: int, seed: int, price: float) -> None:
    """The budget is what the optimum spends at `price`; the policy is judged at that price."""
    torch.manual_seed(seed)
    args, budget = PPOArgs(), best(customers, price).spend
    episodes = Episodes(customers, args.num_envs, seed, 0.0)
    episodes.many.price = np.float32(price)  # shown, as to the others, and not charged
    env = Together(episodes, budget / LIMIT)
    learner = policy(env.action_space, args.learning_rate)
    collector = FastCollector(learner, env, VectorReplayBuffer(len(env) * LONGEST, len(env)))
    learner.train()
    curve.start()
    while collector.collect_step < steps:
        learner.pre_update_fn(stats_train=collector.collect(n_episode=len(env)))
        learner.update(0, collector.buffer, batch_size=args.minibatch_size, repeat=args.update_epochs)
        collector.reset_buffer(keep_statistics=True)
        curve.follow(collector.collect_step, deciding(learner))
