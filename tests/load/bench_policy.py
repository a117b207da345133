"""Speed of the policy network's choice, and of the simulation it is trained in."""

from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import gymnasium
import numpy as np
from tqdm import tqdm

from services.policy.policies.network import HEADS, Network
from services.policy.policies.observation import OBSERVATION
from services.policy.policies.ppo import PPOPolicy, greedy_action
from services.policy.response.model import Customers, daily_hazard
from tests.load.measuring import Figures, seconds, seconds_in_turn
from tests.policy.builders import decision_context
from tests.policy.networks import arrays, artifact
from training.policy.simulation.vector_env import RetentionVectorEnv

NUM_OBSERVATIONS = 2_000
NUM_ENVS, NUM_STEPS = 4_096, 50
ROUNDS = 90


def choice_times() -> Figures:
    """Microseconds to choose for one observation (network, mask, greedy action), beside three bare matrix products.

    The network is untrained and of the trained one's size.
    """
    with TemporaryDirectory() as folder:
        contact_bias = np.array([0, 9], np.float32)  # so that level and delay are chosen, too
        network = Network.load(artifact(Path(folder) / "policy", contact_b=contact_bias))
    policy, weights, context = PPOPolicy(network), arrays(), decision_context()
    heads = np.hstack([weights[f"{head}_w"] for head in HEADS])
    observations = np.random.default_rng(1).random((NUM_OBSERVATIONS, len(OBSERVATION)), dtype=np.float32)

    def products(observation: np.ndarray) -> None:
        observation @ weights["w1"] @ weights["w2"] @ heads

    def choose(observation: np.ndarray) -> None:
        greedy_action(network(observation).tolist(), context.allowed, True)

    bare, ours, with_value = [], [], []
    for observation in tqdm(observations, unit=" observations", leave=False):
        bare.append(seconds(partial(products, observation)))
        ours.append(seconds(partial(choose, observation)))
        with_value.append(seconds(lambda: policy.choose(context)))
    return {
        "choose_one_p50_us": 1e6 * median(ours),
        "bare_products_one_p50_us": 1e6 * median(bare),
        "choose_with_its_worth_one_p50_us": 1e6 * median(with_value),
    }


def simulation_rates() -> Figures:
    """Decisions a second of 4,096 simulated customers on one core, beside Gymnasium's vectorised CartPole, in turn.

    A tenth of the customers is contacted each time, at any level and delay. Observations and resets are included.
    """
    rng, cart_pole = np.random.default_rng(1), gymnasium.make_vec("CartPole-v1", NUM_ENVS, "vector_entry_point")
    customers = Customers(daily_hazard(rng.beta(1, 3, 5_000)), rng.beta(1, 4, (5_000, 4)), rng.uniform(20, 120, 5_000))
    envs, pushes = RetentionVectorEnv(customers, NUM_ENVS, rng), rng.integers(0, 2, NUM_ENVS)
    contacts = cycle(rng.random((16, NUM_ENVS)) < 0.1)
    levels, delays = cycle(rng.integers(0, 4, (16, NUM_ENVS))), cycle(rng.integers(0, 8, (16, NUM_ENVS)))

    def retention_steps() -> None:
        for _ in range(NUM_STEPS):
            envs.observe()
            envs.reset_done(envs.step(next(contacts), next(levels), next(delays)).done)

    def cart_pole_steps() -> None:
        for _ in range(NUM_STEPS):
            cart_pole.step(pushes)

    cart_pole.reset(seed=1)
    times = seconds_in_turn({"retention": retention_steps, "cart_pole": cart_pole_steps}, ROUNDS)
    retention, baseline = median(times["retention"]), median(times["cart_pole"])
    return {
        "simulated_decisions_per_second": NUM_ENVS * NUM_STEPS / retention,
        "gymnasium_cartpole_steps_per_second": NUM_ENVS * NUM_STEPS / baseline,
        "simulated_over_cartpole": baseline / retention,
    }
