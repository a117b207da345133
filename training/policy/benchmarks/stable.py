"""Stable-Baselines3's PPO, and sb3-contrib's with masked actions."""

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
from training.policy.benchmarks.episodes import Episodes
from training.policy.benchmarks.judge import Curve, Decide
from training.policy.ppo import PPOArgs
from training.policy.simulation.env import ACTIONS, OBSERVATIONS

NOTHING: dict[str, Any] = {}
HIDDEN = 128


class Together(VecEnv):
    """`Episodes`, stepped at once in this process."""

    def __init__(self, episodes: Episodes) -> None:
        self.episodes, self.render_mode = episodes, None
        super().__init__(episodes.many.num_envs, OBSERVATIONS, ACTIONS)

    def reset(self) -> np.ndarray:
        self.episodes.renew(np.ones(self.num_envs, dtype=bool))
        return self.episodes.observe()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        moved, infos = self.episodes.step(self.actions), [NOTHING] * self.num_envs
        observations = self.episodes.observe()
        if moved.done.any():
            for who in np.flatnonzero(moved.done):
                infos[who] = {"terminal_observation": observations[who]}
            self.episodes.renew(moved.done)
            observations = self.episodes.observe()
        return observations, moved.rewards.astype(np.float32), moved.done, infos

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Only `action_masks`: contact is masked where the gate forbids it."""
        masks = np.ones((self.num_envs, int(ACTIONS.nvec.sum())), dtype=bool)
        masks[:, 1] = self.episodes.many.eligible()
        return list(masks)

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


class Body(BaseFeaturesExtractor):
    """The body of `training.policy.network.ActorCritic`, shared by policy and value as there."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space, HIDDEN)
        self.layers = nn.Sequential(nn.Linear(9, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        return self.layers((observations - 0.5) / 0.3)


class Follow(BaseCallback):
    def __init__(self, curve: Curve, masked: bool) -> None:
        super().__init__()
        self.curve, self.masked = curve, masked

    def _on_training_start(self) -> None:
        self.curve.start()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps:
            self.curve.follow(self.num_timesteps, deciding(self.model, self.masked))

    def _on_step(self) -> bool:
        return True


def deciding(model: PPO, masked: bool) -> Decide:
    def decide(observations: np.ndarray, may: np.ndarray, greedy: bool) -> np.ndarray:
        if not masked:
            return model.predict(observations, deterministic=greedy)[0]
        masks = np.ones((len(may), int(ACTIONS.nvec.sum())), dtype=bool)
        masks[:, 1] = may
        return model.predict(observations, deterministic=greedy, action_masks=masks)[0]

    return decide


@dataclass(frozen=True)
class Settings:
    """Of a run; what is not said is the library's default."""

    envs: int
    ppo: dict[str, Any]
    policy: dict[str, Any]
    masked: bool = False

    def __call__(self, customers: Customers, curve: Curve, steps: int, seed: int, price: float) -> None:
        env = Together(Episodes(customers, self.envs, seed, price))
        kind = MaskablePPO if self.masked else PPO
        model = kind("MlpPolicy", env, seed=seed, device="cpu", policy_kwargs=self.policy, **self.ppo)
        model.learn(steps, callback=Follow(curve, self.masked))
        curve.follow(model.num_timesteps, deciding(model, self.masked))


ARGS = PPOArgs()
DEFAULTS = Settings(8, {}, {"net_arch": [HIDDEN, HIDDEN]})
SAME: dict[str, Any] = {
    "n_steps": ARGS.num_steps,
    "batch_size": ARGS.minibatch_size,
    "n_epochs": ARGS.update_epochs,
    "learning_rate": lambda left: ARGS.learning_rate * left,
    "clip_range": ARGS.clip_coef,
    "ent_coef": ARGS.ent_coef,
    "vf_coef": ARGS.vf_coef,
    "gamma": 1.0,
}
BODY: dict[str, Any] = {"net_arch": [], "features_extractor_class": Body}
EQUAL = Settings(ARGS.num_envs, SAME, BODY)
MASKED = Settings(ARGS.num_envs, SAME, BODY, masked=True)
