"""A warm start: a network that does what the dynamic program would, before PPO goes on from there.

Not its actions are copied but what they are worth: each state weighs by what a mistake there costs, so the network
spends its capacity where it matters. Actions alone are poor teachers: in nearly every state the best is to wait.
"""

import numpy as np
import torch
from torch import Tensor

from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers
from training.policy.ppo import Heads, Network, value_loss
from training.policy.simulation.dynamics import NEVER_CONTACTED

PRICES = np.expm1(np.linspace(0, np.log(12), 40))
DAYS = 6
"""Every so many days of the quarter are learnt from."""
BATCH, STEPS, RATE = 2048, 2_000, 2e-3
SHARP = 0.2
"""Levels whose worth differs by less than this share of their spread count as nearly as good."""


def cloned(customers: Customers, seed: int, network: Network | None = None) -> Network:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = network or Network()
    states, worth, best = (torch.from_numpy(part) for part in lessons(customers, rng))
    network.mean.copy_(states.mean(dim=0))
    network.spread.copy_(states.std(dim=0))
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(STEPS):
        rows = torch.from_numpy(rng.integers(len(states), size=BATCH))
        heads = network(states[rows], torch.ones(BATCH, dtype=torch.bool))
        loss = regret(heads, worth[rows]) + value_loss(heads.value, best[rows]) / best.var()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def lessons(customers: Customers, rng: np.random.Generator, each: int = 800) -> tuple[np.ndarray, ...]:
    """States [n, 9]; what a contact at each level is worth there more than to wait [n, levels], and the best [n].

    In mean bills, after the price of money. In a cooldown there is nothing to choose, and the best is that of its end,
    for those who are still there then.
    """
    states, worth, best = [], [], []
    for price in PRICES:
        some = customers[rng.integers(len(customers.bill), size=each)]
        problem = DynamicProgram(some)
        for stage in problem.solve(float(price)):
            if stage.day % DAYS == 0:
                contacts = rng.integers(problem.rules.cap, size=each)
                days_since_contact = np.where(contacts, rng.integers(1, 60, size=each), NEVER_CONTACTED)
                to_wait = np.maximum(problem.rules.cooldown - days_since_contact, 0)  # until the day of this stage
                out = np.empty((len(OBSERVATION), each), np.float32)
                facts = some.hazard, some.accept.T, price, days_since_contact, np.zeros(each), contacts
                states.append(observe(out, *facts, problem.response_model, problem.rules).T)
                rows = np.arange(each), contacts
                worth.append((stage.contact[:, *rows] - stage.wait[rows]).T * (to_wait == 0)[:, None])
                best.append(stage.best[rows] * np.exp(-some.hazard * to_wait))
    bill = np.float32(customers.bill.mean())
    return np.concatenate(states), *(np.concatenate(part).astype(np.float32) / bill for part in (worth, best))


def regret(heads: Heads, worth: Tensor) -> Tensor:
    """Cross-entropy of the best contact and the best levels, weighed by what is at stake in each."""
    best = worth.max(dim=1).values
    contact = best.abs() * torch.where(best > 0, heads.contact[:, 1], heads.contact[:, 0])
    good = torch.softmax(worth / (SHARP * worth.std(dim=1, keepdim=True) + 1e-6), dim=1)
    offer = (best - worth.mean(dim=1)) * (good * heads.offer).sum(dim=1)
    return -(contact + offer).mean() / best.abs().mean() - 0.01 * heads.delay[:, 0].mean()
