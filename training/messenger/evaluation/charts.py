"""Charts of the training history. `ppo` is its column-wise record of PPO, one value for each update."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from training.report.charts import BLUE, GREEN, GREY, ORANGE, new_figure, styled, svg


@styled
def reward_chart(ppo: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["score"], color=BLUE, label="reward model's score")
    axes.plot(ppo["update"], ppo["broken"], color=ORANGE, label="share that breaks a rule of the shield")
    axes.set_xlabel("update")
    axes.legend()
    return svg(
        figure, "Score of the reward model, and share of texts that break a rule of the shield, by update of PPO"
    )


def _plot_on_right_axis(axes: Axes, updates: Sequence[int], values: Sequence[float], colour: str, label: str) -> Axes:
    """Plot the values on a second vertical axis, which is returned, with one legend for both axes."""
    right = axes.twinx()
    right.plot(updates, values, color=colour, label=f"{label} (right)")
    axes.set_xlabel("update")
    axes.legend(handles=[*axes.get_lines(), *right.get_lines()])
    return right


@styled
def kl_chart(ppo: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["kl"], color=BLUE, label="KL to SFT, nats per text")
    axes.axhline(ppo["target"], color=GREY, linestyle="--", label="target")
    _plot_on_right_axis(axes, ppo["update"], ppo["beta"], GREEN, "β").set_yscale("log")
    return svg(figure, "KL divergence from SFT, its target, and the coefficient β that controls it, by update of PPO")


@styled
def update_chart(ppo: Mapping[str, Any]) -> str:
    """Diagnostics of the updates: needs `approx_kl`, which older histories lack."""
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["clipped"], color=BLUE, label="clip fraction")
    _plot_on_right_axis(axes, ppo["update"], ppo["approx_kl"], ORANGE, "approximate KL")
    return svg(figure, "Clip fraction, and approximate KL to the policy of the rollout in nats per token, by update")


@styled
def critic_chart(ppo: Mapping[str, Any]) -> str:
    """Critic and entropy: needs `explained_variance`, which older histories lack."""
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["explained_variance"], color=BLUE, label="explained variance of the critic")
    axes.plot(ppo["update"], ppo["entropy"], color=GREEN, label="entropy of the policy, nats per token")
    axes.set_xlabel("update")
    axes.legend()
    return svg(figure, "Explained variance of the critic, and entropy of the policy in nats per token, by update")


@styled
def loss_chart(history: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    for stage, colour in (("base", GREY), ("sft", BLUE)):
        if stage in history:
            columns = history[stage]
            progress = [step / columns["step"][-1] for step in columns["step"]]
            axes.plot(progress, columns["loss"], color=colour, label=stage)
    axes.set_xlabel("share of the stage's steps")
    axes.set_ylabel("nats per token")
    axes.set_yscale("log")
    axes.legend()
    return svg(figure, "Training loss of the base model and of SFT")
