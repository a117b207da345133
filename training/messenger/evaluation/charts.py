"""How PPO went, as charts."""

from collections.abc import Mapping
from typing import Any

from training.report.charts import BLUE, GREEN, GREY, ORANGE, new_figure, styled, svg


@styled
def reward_chart(ppo: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["score"], color=BLUE, label="reward model's score")
    axes.plot(ppo["update"], ppo["broken"], color=ORANGE, label="share that the shield would stop")
    axes.set_xlabel("update")
    axes.legend()
    return svg(figure, "Score of the reward model, which rises, and share of unsafe texts, by update of PPO")


@styled
def kl_chart(ppo: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    axes.plot(ppo["update"], ppo["kl"], color=BLUE, label="divergence, nats a text")
    axes.axhline(ppo["target"], color=GREY, linestyle="--", label="its target")
    beside = axes.twinx()
    beside.plot(ppo["update"], ppo["beta"], color=GREEN, label="β (right)")
    beside.set_yscale("log")
    axes.set_xlabel("update")
    axes.legend(handles=[*axes.get_lines(), *beside.get_lines()])
    return svg(figure, "Divergence from SFT beside its target, and the coefficient β that steers it, by update")


@styled
def loss_chart(history: Mapping[str, Any]) -> str:
    figure, axes = new_figure()
    for stage, colour in (("base", GREY), ("sft", BLUE)):
        if stage in history:
            points = history[stage]
            axes.plot([step / points["step"][-1] for step in points["step"]], points["loss"], color=colour, label=stage)
    axes.set_xlabel("share of the stage's steps")
    axes.set_ylabel("nats a token")
    axes.set_yscale("log")
    axes.legend()
    return svg(figure, "Loss of the base model and of SFT while they learn")
