"""README and docs say what the code, the artifacts and their cards say."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services import local
from services.gateway.app import create
from shared.artifacts import ARTIFACTS, MANIFEST, Manifest
from shared.bus import Bus
from shared.messages import Outcome
from shared.settings import Settings
from shared.store import Store
from shared.topology import SUBSCRIPTIONS
from tests.docs.commands import PAGES, ROOT, blocks, commands
from tools import reference
from training.messenger.evaluation.card import card as messenger_card
from training.policy.evaluation.card import card as policy_card
from training.scorer.card import customers_in_card
from training.scorer.card import model_card as scorer_card

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PROMISES = " ".join((DOCS / "promises.md").read_text().split())
CARDS = [ARTIFACTS / service / "MODEL_CARD.md" for service in ("scorer", "policy", "messenger")]
METRICS: dict[str, dict[str, float]] = {
    service: json.loads((ARTIFACTS / service / "manifest.json").read_text())["metrics"]
    for service in ("scorer", "policy", "messenger")
}
CHANGING = {"id", "event_id", "times", "deliver_after"}
"""Fields of a decision that differ each time."""


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", [*PAGES, *CARDS, *(DOCS / "decisions").glob("*.md")], ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    named = re.findall(r"`((?:services|shared|training|tests|tools|deploy|artifacts|examples|docs)/[\w/.-]+)`", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: str(s.name))
def test_the_table_of_topics_is_the_topology(subscription: Any) -> None:
    [row] = [line for line in (DOCS / "topics.md").read_text().splitlines() if f"| `{subscription.topic}` |" in line]
    assert subscription.service in row.split("|")[4]


@pytest.mark.parametrize(("file", "name"), reference.TABLES)
def test_a_table_that_comes_from_the_code_is_current(file: str, name: str) -> None:
    text, table = (DOCS / file).read_text(), reference.TABLES[file, name]()
    assert reference.filled(text, name, table) == text, "run: python -m tools.reference"


def says(shown: Any, answer: Any) -> bool:
    """Whether all that is shown of an answer is so: numbers as far as they are written out, lists from their start."""
    match shown:
        case dict():
            return all(says(value, answer[name]) for name, value in shown.items())
        case list():
            return len(shown) <= len(answer) and all(map(says, shown, answer))
        case float():
            return f"{answer:.{len(str(shown).partition('.')[2])}f}" == str(shown)
        case _:
            return bool(shown == answer)


@asynccontextmanager
async def in_memory(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    async with local.connect(settings.model_copy(update={"state": Path(":memory:")})) as connected:
        yield connected


async def test_the_example_is_what_the_system_answers() -> None:
    """But for what differs each time, and for the message, whose text is drawn by the event's id."""
    [request] = [words for words in commands(README) if words[0] == "curl"]
    [example] = blocks(README, "json")
    shown = json.loads(re.sub(r",? …", "", example.replace("…", '"…"').replace(', "…"}', "}").replace(', "…"]', "]")))
    app = create(local.gateway, in_memory)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as user:
        answer = (await user.post("/retain", content=request[-1])).json()
    assert shown.keys() == answer.keys()
    for field in shown.keys() - CHANGING - {"message"}:
        assert says(shown[field], answer[field]), field
    assert shown["message"].endswith("Reply STOP to opt out.")


def test_the_outcomes_that_are_shown_are_outcomes() -> None:
    [block] = blocks((DOCS / "operate.md").read_text(), "json")
    for number, line in enumerate(block.splitlines()):
        Outcome.parse(line.encode(), f"example {number}")


def test_a_model_card_is_what_its_manifest_says() -> None:
    """A reworded card is written anew from the manifest; its figures come from nowhere else."""
    manifests = {
        card.parent.name: Manifest.model_validate_json((card.parent / MANIFEST).read_bytes()) for card in CARDS
    }
    cards = {card.parent.name: card.read_text() for card in CARDS}
    kind = cards["policy"].split("\n\n")[1].partition(":")[0]
    assert cards["policy"] == policy_card(manifests["policy"], kind)
    assert cards["messenger"] == messenger_card(manifests["messenger"])
    assert cards["scorer"] == scorer_card(manifests["scorer"], customers_in_card(cards["scorer"]))


def percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f}"


def policy_medians(start: str) -> str:
    shares = [percent(METRICS["policy"][f"{start}.{budget}.median"]) for budget in (0.1, 0.3, 0.6)]
    return f"{shares[0]}, {shares[1]} and {shares[2]} %"


SCORER, POLICY, MESSENGER = METRICS["scorer"], METRICS["policy"], METRICS["messenger"]
FIGURES = [
    f"risk AUC {SCORER['risk.auc']:.3f}, ECE {SCORER['risk.ece']:.3f}",
    f"acceptance AUC {SCORER['accept.serving.auc']:.3f}, ECE {SCORER['accept.serving.ece']:.3f}",
    f"in order of time, {SCORER['accept.serving.time_fixed_auc']:.3f} and"
    f" {SCORER['accept.serving.time_fixed_ece']:.3f}",
    f"recalibrated as outcomes come in {SCORER['accept.serving.time_auc']:.3f} and"
    f" {SCORER['accept.serving.time_ece']:.3f}",
    f"of the money: {policy_medians('scratch')} of the gain",
    f"in {POLICY['train_seconds']:.0f} s on one core; from a warm start {policy_medians('warm')}",
    f"preferred in {percent(MESSENGER['win_rate'], 1)} % of 1,000"
    f" ({percent(MESSENGER['win_rate_low'], 1)} to {percent(MESSENGER['win_rate_high'], 1)}),"
    f" {percent(MESSENGER['win_rate_at_equal_length'], 1)} % at equal length;",
    f"(SFT: {percent(MESSENGER['violations_before_shield_sft'], 1)} %), {percent(MESSENGER['grounded'])} % grounded",
    f"{percent(MESSENGER['distinct_ratio'])} % as many distinct texts",
    f"right in {percent(MESSENGER['rm_accuracy'], 1)} % of pairs where"
    f" {percent(MESSENGER['rm_ceiling'], 1)} % is possible",
]


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_in_the_promises_is_the_model_cards(figure: str) -> None:
    assert figure in PROMISES


def test_a_figure_in_the_decisions_is_the_model_cards() -> None:
    pages = {page.stem[:4]: " ".join(page.read_text().split()) for page in (DOCS / "decisions").glob("0*.md")}
    assert f"from {SCORER['accept.serving.auc']:.3f} to {SCORER['accept.auc']:.3f}" in pages["0011"]
    assert f"{MESSENGER['rm_accuracy']:.3f} of a possible {MESSENGER['rm_ceiling']:.3f}" in pages["0024"]
