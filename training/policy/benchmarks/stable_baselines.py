"""Stable-Baselines3's PPO, and sb3-contrib's PPO with masked actions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from services.policy.response.model import Customers
from training.policy.benchmarks.env import BenchmarkEnv
from training.policy.benchmarks.evaluation import Act, LearningCurve
from training.policy.ppo import PPOArgs
from training.policy.simulation.env import ACTIONS, OBSERVATIONS

NO_INFO: dict[str, Any] = {}
HIDDEN_SIZE = 128


class StableBaselinesEnv(VecEnv):
    """`BenchmarkEnv` with the interface of Stable-Baselines3's vector environments."""

    def __init__(self, env: BenchmarkEnv) -> None:
        self.benchmark_env, self.render_mode = env, None
        super().__init__(env.num_envs, OBSERVATIONS, ACTIONS)

    def reset(self) -> np.ndarray:
        self.benchmark_env.reset_done(np.ones(self.num_envs, dtype=bool))
        return self.benchmark_env.observe()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step, infos = self.benchmark_env.step(self.actions), [NO_INFO] * self.num_envs
        observations = self.benchmark_env.observe()
        if step.done.any():
            for index in np.flatnonzero(step.done):
                infos[index] = {"terminal_observation": observations[index]}
            self.benchmark_env.reset_done(step.done)
            observations = self.benchmark_env.observe()
        return observations, step.rewards.astype(np.float32), step.done, infos

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Action masks, the only method that sb3-contrib calls."""
        return list(action_masks(self.benchmark_env.eligible()))

    def has_attr(self, attr_name: str) -> bool:
        return attr_name == "action_masks"

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def close(self) -> None:
        pass


def action_masks(eligible: np.ndarray) -> np.ndarray:
    """Whether each choice of the three action dimensions is allowed [n, 14]: contact only where `eligible` [n]."""
    masks = np.ones((len(eligible), int(ACTIONS.nvec.sum())), dtype=bool)
    masks[:, 1] = eligible
    return masks


class SharedLayers(BaseFeaturesExtractor):
    """Hidden layers as those of `training.policy.network.ActorCritic`, shared by policy and value."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space, HIDDEN_SIZE)
        self.layers = nn.Sequential(
            nn.Linear(9, HIDDEN_SIZE), nn.ReLU(), nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE), nn.ReLU()
        )

    def forward(self, observations: Tensor) -> Tensor:
        return self.layers((observations - 0.5) / 0.3)


class LearningCurveCallback(BaseCallback):
    def __init__(self, curve: LearningCurve, masked: bool) -> None:
        super().__init__()
        self.curve, self.masked = curve, masked

    def _on_training_start(self) -> None:
        self.curve.start()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps:
            self.curve.record(self.num_timesteps, act_function(self.model, self.masked))

    def _on_step(self) -> bool:
        return True


def act_function(model: PPO, masked: bool) -> Act:
    def act(observations: np.ndarray, eligible: np.ndarray, greedy: bool) -> np.ndarray:
        masks = {"action_masks": action_masks(eligible)} if masked else {}
        return model.predict(observations, deterministic=greedy, **masks)[0]

    return act


@dataclass(frozen=True)
class StableBaselinesLearner:
    """PPO with these settings, and the library's defaults for the rest."""

    num_envs: int
    ppo: dict[str, Any]
    """Keyword arguments of PPO."""
    policy: dict[str, Any]
    """Keyword arguments of its policy network."""
    masked: bool = False
    """Mask contacts that the gate's rules forbid."""

    def __call__(self, customers: Customers, curve: LearningCurve, steps: int, seed: int, price: float) -> None:
        env = StableBaselinesEnv(BenchmarkEnv(customers, self.num_envs, seed, price))
        algorithm = MaskablePPO if self.masked else PPO
        model = algorithm("MlpPolicy", env, seed=seed, device="cpu", policy_kwargs=self.policy, **self.ppo)
        model.learn(steps, callback=LearningCurveCallback(curve, self.masked))
        curve.record(model.num_timesteps, act_function(model, self.masked))


ARGS = PPOArgs()
PROJECT_PPO: dict[str, Any] = {
    "n_steps": ARGS.num_steps,
    "batch_size": ARGS.minibatch_size,
    "n_epochs": ARGS.update_epochs,
    "learning_rate": lambda progress_remaining: ARGS.learning_rate * progress_remaining,
    "clip_range": ARGS.clip_coef,
    "ent_coef": ARGS.ent_coef,
    "vf_coef": ARGS.vf_coef,
    "gamma": 1.0,
}
"""The settings of this project's PPO."""
PROJECT_NETWORK: dict[str, Any] = {"net_arch": [], "features_extractor_class": SharedLayers}
DEFAULTS = StableBaselinesLearner(8, {}, {"net_arch": [HIDDEN_SIZE, HIDDEN_SIZE]})
SAME_SETTINGS = StableBaselinesLearner(ARGS.num_envs, PROJECT_PPO, PROJECT_NETWORK)
MASKED = StableBaselinesLearner(ARGS.num_envs, PROJECT_PPO, PROJECT_NETWORK, masked=True)
