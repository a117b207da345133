"""The report on the message writer: messenger.html, a page for people, and messenger.json for programs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from services.messenger.prompt import render
from training.messenger.evaluation.assess import Evaluation
from training.messenger.evaluation.charts import critic_chart, kl_chart, loss_chart, reward_chart, update_chart
from training.messenger.evaluation.heldout_rubric import segment
from training.messenger.evaluation.win_rate import WinRate
from training.report.page import bullet_list, document, figures, heading, paragraph, table
from training.statistics import Estimate

WRITER_TITLES = {"sft": "SFT", "ppo": "PPO, one candidate", "served": "as served", "template": "template"}
NUM_EXAMPLES = 20
LIMITS = (
    "Preferences follow a rubric that is stated in training/messenger/evaluation/rubric.py, with noise; another rubric,"
    " which no model was trained on, decides the win rates. Neither is a person. Until preferences of people are"
    " available, this shows that the pipeline works, not that customers like the messages or that fewer of them leave.",
    "The corpus is a synthetic grammar: the model knows its narrow language and no other.",
    "SFT's texts were sampled when it was trained; PPO's were sampled for this report, from the served artifact.",
)


class Aim(NamedTuple):
    name: str
    value: float
    low: float
    high: float
    """The aim is reached if the value is from low to high."""

    @property
    def verdict(self) -> str:
        return "reached" if self.low <= self.value <= self.high else "missed"


def aims(evaluation: Evaluation) -> Iterator[Aim]:
    """The aims; their names are keys of messenger.json."""
    ppo, reward, unbounded = evaluation.history["ppo"], evaluation.history["reward"], float("inf")
    win_rate, statistics = evaluation.win_rates["ppo against sft"]["all"], evaluation.statistics["ppo"]
    sent = evaluation.sent.total() - evaluation.sent["unsafe"]
    yield Aim("PPO beats SFT, by the held-out judge", win_rate.wins.mean, 0.65, 1)
    yield Aim("the same at equal length", win_rate.length_controlled.mean, 0.65, 1)
    yield Aim("reward model's accuracy below its ceiling by", reward["ceiling"] - reward["accuracy"], -unbounded, 0.02)
    yield Aim("mean KL over the last half, of its target", ppo["kl_of_last_half"] / ppo["target"], 0.8, 1.2)
    yield Aim("distinct texts, of SFT's", distinct_ratio(evaluation), 0.9, unbounded)
    yield Aim("grounded, before the shield", statistics.grounded, 1, 1)
    yield Aim("breaks a rule, before the shield", statistics.violation_rate, 0, 0.01)
    yield Aim(f"unsafe after the shield, of {sent:,}", evaluation.sent["unsafe"], 0, 0)


def distinct_ratio(evaluation: Evaluation) -> float:
    """PPO's share of distinct texts relative to SFT's."""
    return evaluation.statistics["ppo"].distinct / evaluation.statistics["sft"].distinct


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    history, win_rates = evaluation.history, evaluation.win_rates
    return {
        "version": evaluation.version,
        "win_rate": _win_rate_json(win_rates["ppo against sft"]["all"]),
        "win_rate_served": _win_rate_json(win_rates["served against sft"]["all"]),
        "win_rate_by_segment": {
            name: _win_rate_json(win_rate) for name, win_rate in win_rates["ppo against sft"].items()
        },
        "kl_mean": history["ppo"]["kl_of_last_half"],
        "kl_target": history["ppo"]["target"],
        "grounded": evaluation.statistics["ppo"].grounded,
        "rm_accuracy": history["reward"]["accuracy"],
        "rm_ceiling": history["reward"]["ceiling"],
        "rm_people": {key: history["people"][key] for key in ("accuracy", "longer", "loss", "tested")},
        "distinct_ratio": distinct_ratio(evaluation),
        "violations_before_shield": evaluation.statistics["ppo"].violation_rate,
        "unsafe_sent": evaluation.sent["unsafe"],
        "sent": dict(evaluation.sent),
        "aims": {aim.name: {"reached": aim.value, "verdict": aim.verdict} for aim in aims(evaluation)},
    }


def manifest_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Metrics for the manifest and the model card."""
    win_rate = evaluation.win_rates["ppo against sft"]["all"]
    metrics = {
        "win_rate": win_rate.wins.mean,
        "win_rate_low": win_rate.wins.low,
        "win_rate_high": win_rate.wins.high,
        "win_rate_at_equal_length": win_rate.length_controlled.mean,
        "win_rate_served": evaluation.win_rates["served against sft"]["all"].wins.mean,
        "distinct_ratio": distinct_ratio(evaluation),
        "grounded": evaluation.statistics["ppo"].grounded,
        "violations_before_shield": evaluation.statistics["ppo"].violation_rate,
        "violations_before_shield_sft": evaluation.statistics["sft"].violation_rate,
        "unsafe_sent": evaluation.sent["unsafe"],
    }
    return {name: round(float(value), 4) for name, value in metrics.items()}


def _win_rate_json(win_rate: WinRate) -> dict[str, float]:
    controlled = win_rate.length_controlled
    return {
        **win_rate.wins._asdict(),
        "pairs": win_rate.pairs,
        "at_equal_length": controlled.mean,
        "at_equal_length_low": controlled.low,
    }


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write messenger.json and messenger.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "messenger.json").write_text(json.dumps(as_json(evaluation), indent=2) + "\n")
    (folder / "messenger.html").write_text(page(evaluation), encoding="utf-8")


def page(evaluation: Evaluation) -> str:
    win_rate, all_aims = evaluation.win_rates["ppo against sft"]["all"], list(aims(evaluation))
    reached = sum(aim.verdict == "reached" for aim in all_aims)
    return document(
        f"The message writer {evaluation.version}",
        paragraph(
            f"PPO beats SFT in {_share(win_rate.wins)} of {win_rate.pairs:,} pairs."
            f" {reached} of {len(all_aims)} aims reached."
        ),
        table(
            "Aims",
            ("", "measured", "verdict"),
            ([aim.name, f"{aim.value:.3f}", aim.verdict] for aim in all_aims),
        ),
        bullet_list(LIMITS),
        heading("Win rates"),
        *(win_rate_table(name, by_segment) for name, by_segment in evaluation.win_rates.items()),
        heading("Training"),
        training_section(evaluation.history),
        heading("Texts"),
        text_section(evaluation),
        heading("Examples"),
        table(f"The first {NUM_EXAMPLES} of the compared texts", ("brief", "SFT", "PPO"), example_rows(evaluation)),
        heading("Adversarial customers"),
        table(
            "Names as they arrived, and the message sent",
            ("name", "message"),
            ([ascii(name)[:60], message or "withheld"] for name, message in evaluation.adversaries),
        ),
    )


def _share(estimate: Estimate) -> str:
    return f"{estimate.mean:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def win_rate_table(name: str, by_segment: Mapping[str, WinRate]) -> str:
    rows = (
        [segment, f"{win_rate.pairs:,}", _share(win_rate.wins), _share(win_rate.length_controlled)]
        for segment, win_rate in by_segment.items()
    )
    header = ("segment", "pairs", "win rate", "length-controlled")
    return table(f"{name}: win rate by the held-out rubric", header, rows)


def training_section(history: Mapping[str, Any]) -> str:
    ppo, reward, human = (history[stage] for stage in ("ppo", "reward", "people"))
    rows = [
        ["the rubric", f"{reward['accuracy']:.3f}", f"{reward['ceiling']:.3f}", f"{reward['longer']:.3f}"],
        ["people (HH-RLHF)", f"{human['accuracy']:.3f}", "not known", f"{human['longer']:.3f}"],
    ]
    charts = [
        (reward_chart(ppo), "PPO is rewarded for the score and penalised for broken rules."),
        (kl_chart(ppo), f"KL divergence from SFT and its coefficient β; controller: {ppo['control']}."),
        (loss_chart(history), "Training loss of the base model and of SFT."),
    ]
    note = ""
    if "approx_kl" in ppo and "explained_variance" in ppo:
        charts += [
            (update_chart(ppo), "Change of the policy by each update."),
            (
                critic_chart(ppo),
                "Share of the variance of the returns that the critic explains, and entropy of the policy.",
            ),
        ]
    else:
        note = paragraph("This run recorded neither the approximate KL of PPO's updates nor its explained variance.")
    seconds = ", ".join(f"{stage} {columns['took']:,.0f}" for stage, columns in history.items())
    return (
        figures(charts)
        + note
        + table(
            "Reward models on held-out pairs; chance is 0.500",
            ("preferences of", "accuracy", "highest possible", "preferring the longer text"),
            rows,
        )
        + paragraph(
            f"PPO sampled {ppo['tokens_per_second']:,.0f} tokens per second, updates included."
            f" Seconds per stage: {seconds}"
        )
    )


def text_section(evaluation: Evaluation) -> str:
    statistics = evaluation.statistics
    rules = sorted({rule for writer in statistics.values() for rule in writer.violations})
    rows: list[tuple[str, ...]] = [
        (title, *(f"{getattr(statistics[writer], field):{form}}" for writer in WRITER_TITLES))
        for title, field, form in (
            ("distinct texts", "distinct", ".1%"),
            ("mean characters", "length", ".0f"),
            ("reading ease (Flesch)", "reading_ease", ".0f"),
            ("all numbers and names are facts of the brief", "grounded", ".2%"),
            ("breaks a rule", "violation_rate", ".2%"),
        )
    ]
    rows += [
        (f"rule: {rule}", *(str(statistics[writer].violations.get(rule, 0)) for writer in WRITER_TITLES))
        for rule in rules
    ]
    sent = ", ".join(f"{writer} {number:,}" for writer, number in evaluation.sent.most_common())
    caption = f"{len(evaluation.briefs):,} texts per writer, before the shield"
    return table(caption, ("", *WRITER_TITLES.values()), rows) + paragraph(
        f"Sent through messenger and shield, by writer: {sent}."
    )


def example_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    texts = zip(evaluation.briefs, evaluation.texts["sft"], evaluation.texts["ppo"], strict=True)
    for brief, sft, ppo in list(texts)[:NUM_EXAMPLES]:
        yield [segment(brief), *(render(text, brief) or f"(cannot be filled) {text}" for text in (sft, ppo))]
