"""The report on the message writer: a page for people and a file for machines, all its numbers of one evaluation."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from services.messenger.prompt import render
from training.messenger.evaluation.assess import Evaluation
from training.messenger.evaluation.charts import kl_chart, loss_chart, reward_chart
from training.messenger.evaluation.heldout_rubric import segment
from training.messenger.evaluation.win_rate import Rate
from training.report.page import bullet_list, document, heading, paragraph, table
from training.report.page import figures as page_figures
from training.statistics import Estimate

WRITERS = {"sft": "SFT", "ppo": "PPO, one text", "served": "as served", "template": "template"}
SHOWN = 20
LIMITS = (
    "What is preferred follows a rubric that is stated in training/messenger/evaluation/rubric.py, with a person's"
    " noise; the judge is another rubric that nothing was trained on. Neither is people. Until people's picks"
    " exist, this shows that the pipeline works, not that customers like the messages, and not that fewer leave.",
    "The corpus is a grammar, openly synthetic: the model knows its narrow language and no other.",
    "SFT's texts are those that it wrote when it was trained; PPO's were written now, by what serves.",
)


class Aim(NamedTuple):
    name: str
    reached: float
    low: float
    high: float
    """Between which it should lie."""

    @property
    def verdict(self) -> str:
        return "reached" if self.low <= self.reached <= self.high else "missed"


def aims(found: Evaluation) -> Iterator[Aim]:
    ppo, reward, top = found.history["ppo"], found.history["reward"], float("inf")
    win = found.arena["ppo against sft"]["all"]
    yield Aim("PPO beats SFT, by the held-out judge", win.wins.mean, 0.65, 1)
    yield Aim("the same at equal length", win.controlled.mean, 0.65, 1)
    yield Aim("reward model's accuracy below its ceiling by", reward["ceiling"] - reward["accuracy"], -top, 0.02)
    yield Aim("mean KL over the last half, of its target", ppo["kl_of_last_half"] / ppo["target"], 0.8, 1.2)
    yield Aim("distinct texts, of SFT's", distinct_ratio(found), 0.9, top)
    yield Aim("grounded, before the shield", found.styles["ppo"].grounded, 1, 1)
    yield Aim("breaks a rule, before the shield", found.styles["ppo"].broken, 0, 0.01)
    yield Aim(f"unsafe after the shield, of {found.sent.total() - found.sent['unsafe']:,}", found.sent["unsafe"], 0, 0)


def distinct_ratio(found: Evaluation) -> float:
    return found.styles["ppo"].distinct / found.styles["sft"].distinct


def machine(found: Evaluation) -> dict[str, Any]:
    history, ppo, served = found.history, found.styles["ppo"], found.arena["served against sft"]
    return {
        "version": found.version,
        "win_rate": _rate(found.arena["ppo against sft"]["all"]),
        "win_rate_served": _rate(served["all"]),
        "win_rate_by_segment": {name: _rate(rate) for name, rate in found.arena["ppo against sft"].items()},
        "kl_mean": history["ppo"]["kl_of_last_half"],
        "kl_target": history["ppo"]["target"],
        "grounded": ppo.grounded,
        "rm_accuracy": history["reward"]["accuracy"],
        "rm_ceiling": history["reward"]["ceiling"],
        "rm_people": {key: history["people"][key] for key in ("accuracy", "longer", "loss", "tested")},
        "distinct_ratio": distinct_ratio(found),
        "violations_before_shield": ppo.broken,
        "unsafe_sent": found.sent["unsafe"],
        "sent": dict(found.sent),
        "aims": {aim.name: {"reached": aim.reached, "verdict": aim.verdict} for aim in aims(found)},
    }


def figures(found: Evaluation) -> dict[str, float]:
    """Those of the manifest and the model card."""
    ppo, win = found.styles["ppo"], found.arena["ppo against sft"]["all"]
    measured = {
        "win_rate": win.wins.mean,
        "win_rate_low": win.wins.low,
        "win_rate_high": win.wins.high,
        "win_rate_at_equal_length": win.controlled.mean,
        "win_rate_served": found.arena["served against sft"]["all"].wins.mean,
        "distinct_ratio": distinct_ratio(found),
        "grounded": ppo.grounded,
        "violations_before_shield": ppo.broken,
        "violations_before_shield_sft": found.styles["sft"].broken,
        "unsafe_sent": found.sent["unsafe"],
    }
    return {name: round(float(value), 4) for name, value in measured.items()}


def _rate(rate: Rate) -> dict[str, float]:
    wins, controlled = rate.wins._asdict(), rate.controlled
    return {**wins, "pairs": rate.pairs, "at_equal_length": controlled.mean, "at_equal_length_low": controlled.low}


def write(found: Evaluation, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "messenger.json").write_text(json.dumps(machine(found), indent=2) + "\n")
    (folder / "messenger.html").write_text(page(found), encoding="utf-8")


def page(found: Evaluation) -> str:
    win, all_aims = found.arena["ppo against sft"]["all"], list(aims(found))
    reached = sum(aim.verdict == "reached" for aim in all_aims)
    return document(
        f"The message writer {found.version}",
        paragraph(
            f"PPO beats SFT in {said(win.wins)} of {win.pairs:,} pairs. {reached} of {len(all_aims)} aims reached."
        ),
        table(
            "Aims",
            ("", "measured", "verdict"),
            ([aim.name, f"{aim.reached:.3f}", aim.verdict] for aim in all_aims),
        ),
        bullet_list(LIMITS),
        heading("Arena"),
        *(arena(name, rates) for name, rates in found.arena.items()),
        heading("Training"),
        trained(found.history),
        heading("Texts"),
        styles(found),
        heading("Side by side"),
        table(f"The first {SHOWN} of those compared", ("asked for", "SFT", "PPO"), side_by_side(found)),
        heading("Customers who mean harm"),
        table(
            "Names as they came, and what was sent",
            ("name", "message"),
            ([ascii(name)[:60], message or "withheld"] for name, message in found.adversaries),
        ),
    )


def said(share: Estimate) -> str:
    return f"{share.mean:.1%} ({share.low:.1%} to {share.high:.1%})"


def arena(name: str, rates: Mapping[str, Rate]) -> str:
    rows = ([each, f"{rate.pairs:,}", said(rate.wins), said(rate.controlled)] for each, rate in rates.items())
    return table(f"{name}: wins by the held-out judge", ("segment", "pairs", "wins", "at equal length"), rows)


def trained(history: Mapping[str, Any]) -> str:
    ppo, reward, people = (history[stage] for stage in ("ppo", "reward", "people"))
    rows = [
        ["stated rubric", f"{reward['accuracy']:.3f}", f"{reward['ceiling']:.3f}", f"{reward['longer']:.3f}"],
        ["people (HH-RLHF)", f"{people['accuracy']:.3f}", "not known", f"{people['longer']:.3f}"],
    ]
    return (
        page_figures(
            [
                (reward_chart(ppo), "What PPO is rewarded for, and what it is punished for."),
                (kl_chart(ppo), f"The divergence and β, by the rule: {ppo['control']}."),
                (loss_chart(history), "The base model and SFT."),
            ]
        )
        + table(
            "Reward models on pairs they had not seen; a coin has 0.500",
            ("preferences of", "accuracy", "ceiling", "choosing the longer"),
            rows,
        )
        + paragraph(
            f"PPO wrote {ppo['tokens_per_second']:,.0f} tokens a second, learning included. Seconds a stage: "
            + ", ".join(f"{stage} {part['took']:,.0f}" for stage, part in history.items())
        )
    )


def styles(found: Evaluation) -> str:
    rules = sorted({rule for style in found.styles.values() for rule in style.rules})
    rows: list[tuple[str, ...]] = [
        (title, *(f"{getattr(found.styles[name], field):{form}}" for name in WRITERS))
        for title, field, form in (
            ("distinct", "distinct", ".1%"),
            ("characters", "length", ".0f"),
            ("reading ease (Flesch)", "reading_ease", ".0f"),
            ("grounded", "grounded", ".2%"),
            ("breaks a rule", "broken", ".2%"),
        )
    ]
    rows += [(f"rule: {rule}", *(str(found.styles[name].rules.get(rule, 0)) for name in WRITERS)) for rule in rules]
    sent = ", ".join(f"{name} {number:,}" for name, number in found.sent.most_common())
    return table(f"{len(found.about):,} texts each, before the shield", ("", *WRITERS.values()), rows) + paragraph(
        f"Through messenger and shield, written by: {sent}."
    )


def side_by_side(found: Evaluation) -> Iterator[list[str]]:
    for brief, sft, ppo in list(zip(found.about, found.texts["sft"], found.texts["ppo"], strict=True))[:SHOWN]:
        yield [segment(brief), *(render(text, brief) or f"(cannot be filled) {text}" for text in (sft, ppo))]
