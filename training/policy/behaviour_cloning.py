"""Pretrain the network on the dynamic program's decisions: the warm start of PPO.

python -m training.policy.behaviour_cloning [--seed 0] [--out models/policy/pretrained.npz]

States are weighted by the cost of a wrong action there. Unweighted imitation would teach little: in nearly every state
the best action is to wait.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers
from shared.artifacts import ArtifactError
from training.data.sources import SourceError
from training.policy.customers import add_data_options, load_population
from training.policy.network import PRETRAINED, ActorCritic, Heads, save_network
from training.policy.ppo import value_loss
from training.policy.simulation.dynamics import NEVER_CONTACTED

PRICES = np.expm1(np.linspace(0, np.log(12), 40))
"""Shadow prices of the budget for which states are generated: 0 to 11."""
DAY_STRIDE = 6
"""States are taken from every sixth day of the campaign."""
CUSTOMERS_PER_DAY = 800
"""Number of customers drawn for each price; each has a state on each of those days."""
MAX_DAYS_SINCE_CONTACT = 60
"""Upper bound of the days since the last contact in the states."""
NUM_STEPS, BATCH_SIZE, LEARNING_RATE = 2_000, 2048, 2e-3
OFFER_TEMPERATURE = 0.2
"""Temperature of the softmax target over levels, as a share of the standard deviation of their advantages."""
DELAY_WEIGHT = 0.01
"""Weight of the loss of delays other than 0."""


class Dataset(NamedTuple):
    """States and the dynamic program's values there, in bills of the average customer, less price · spend."""

    observations: np.ndarray
    """Observations [n, 9]."""
    advantages: np.ndarray
    """Advantage of a contact over waiting, by level [n, levels]; 0 in a cooldown, which allows no contact."""
    values: np.ndarray
    """Value of the best action [n]; in a cooldown the value at its end, times the survival until then."""


def pretrain(
    customers: Customers, seed: int, network: ActorCritic | None = None, num_steps: int | None = None
) -> ActorCritic:
    """Fit actor and critic to the dynamic program on `customers`; inputs are normalised by the states' moments."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network, num_steps = network or ActorCritic(), NUM_STEPS if num_steps is None else num_steps
    observations, advantages, values = (torch.from_numpy(array) for array in dataset(customers, rng))
    network.mean.copy_(observations.mean(dim=0))
    network.std.copy_(observations.std(dim=0))
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(num_steps):
        rows = torch.from_numpy(rng.integers(len(observations), size=BATCH_SIZE))
        heads = network(observations[rows], torch.ones(BATCH_SIZE, dtype=torch.bool))
        loss = policy_loss(heads, advantages[rows]) + value_loss(heads.value, values[rows]) / values.var()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / num_steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def dataset(customers: Customers, rng: np.random.Generator, customers_per_day: int = CUSTOMERS_PER_DAY) -> Dataset:
    """Random states of a campaign, solved at all `PRICES`."""
    observations, advantages, values = [], [], []
    rows = np.arange(customers_per_day)
    for price in PRICES:
        drawn = customers[rng.integers(len(customers.bill), size=customers_per_day)]
        program = DynamicProgram(drawn)
        rules, response_model = program.rules, program.response_model
        for day in program.solve(float(price)):
            if day.day % DAY_STRIDE:
                continue
            contacts = rng.integers(rules.contact_cap, size=customers_per_day)
            last_contact = rng.integers(1, MAX_DAYS_SINCE_CONTACT, size=customers_per_day)
            days_since_contact = np.where(contacts, last_contact, NEVER_CONTACTED)
            cooldown_left = np.maximum(rules.cooldown_days - days_since_contact, 0)  # until the day of this solution
            out = np.empty((len(OBSERVATION), customers_per_day), np.float32)
            state = days_since_contact, np.zeros(customers_per_day), contacts
            observations.append(observe(out, drawn.hazard, drawn.accept.T, price, *state, response_model, rules).T)
            over_waiting = day.contact[:, rows, contacts] - day.wait[rows, contacts]
            advantages.append(over_waiting.T * (cooldown_left == 0)[:, None])
            values.append(day.best[rows, contacts] * np.exp(-drawn.hazard * cooldown_left))
    bill = np.float32(customers.bill.mean())
    in_bills = (np.concatenate(arrays).astype(np.float32) / bill for arrays in (advantages, values))
    return Dataset(np.concatenate(observations), *in_bills)


def policy_loss(heads: Heads, advantages: Tensor) -> Tensor:
    """Cross-entropy of the best contact and level, each weighted by its advantage; `advantages` [n, levels]."""
    best = advantages.max(dim=1).values
    contact = best.abs() * torch.where(best > 0, heads.contact[:, 1], heads.contact[:, 0])
    spread = OFFER_TEMPERATURE * advantages.std(dim=1, keepdim=True)
    target = torch.softmax(advantages / (spread + 1e-6), dim=1)
    offer = (best - advantages.mean(dim=1)) * (target * heads.offer).sum(dim=1)
    return -(contact + offer).mean() / best.abs().mean() - DELAY_WEIGHT * heads.delay[:, 0].mean()


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.behaviour_cloning", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and the states")
    parser.add_argument("--num-steps", type=int, default=NUM_STEPS, help="optimizer steps")
    parser.add_argument("--out", type=Path, default=PRETRAINED, help="file to write the network to")
    add_data_options(parser)
    args = parser.parse_args()
    try:
        customers = load_population(args.mirror, args.data, args.artifacts).training
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))
    save_network(pretrain(customers, args.seed, num_steps=args.num_steps), args.out)
    print(f"The network is in {args.out}; go on from it: python -m training.policy.ppo --pretrained {args.out}")


if __name__ == "__main__":
    main()
