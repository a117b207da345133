"""Openly synthetic: briefs of invented customers, and what a good copywriter, or one with bad habits, would write them.

A grammar knows only what it was told, so a model of it is no judge of people; it is a narrow language to learn whole.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args

import numpy as np

from shared.messages import OFFERS, Brief, Concern
from training.messenger.corpus import flaws
from training.messenger.corpus.grammar import joined, parts, pick

NAMES = (
    "Abebe Adaeze Agnieszka Ahmed Aiko Aisha Alejandra Alice Aline Amara Amina Ana Anders Andrei Anika Anna Antoine"
    " Arjun Astrid Ayşe Beatriz Ben Björn Carlos Carmen Chen Chiara Chidi Chloé Clara Dae Daniel David Deepa Diego"
    " Dmitri Elena Elif Emeka Emma Eva Fatima Felix Femi Fiona Fátima Gabriel George Giulia Grace Hana Hans Hassan"
    " Helena Hiro Hugo Ibrahim Ines Ingrid Isabella Ivan Jack Jamal Jan Javier Jin John José Juan Julia Kai Karim"
    " Katarzyna Kenji Kofi Lakshmi Lars Laura Layla Lea Leila Li Linh Lucía Luis Lukas Magda Malik Manon Marco Maria"
    " Martin Mary Mateo Mehmet Mei Miguel Mila Min-jun Mohammed Mónica Nadia Naomi Ngozi Nikos Noah Nour Olga Olivia"
    " Omar Pablo Paulo Pedro Pierre Priya Rahul Rania Ravi Rosa Ruth Sadia Sam Samira Sara Sean Seo-yeon Sofia Sven"
    " Tariq Thandi Thiago Thomas Tomasz Uma Valentina Vera Victor Wei William Yara Yasmin Yuki Yusuf Zahra Zoë 李雷"
).split()
HELD_OUT_NAMES = (
    "Anne-Marie Anouk Bronagh Caoimhe Cheng D'Arcy Dagny Ekaterina Eszter Funmilayo Gwen Ifeoma Jovana Kwame Luca"
    " Makoto Mireia Nikolai Niamh Oluwaseun Owen Parvati Quentin Rohan Saoirse Siobhán Takumi Tendai Ximena Zbigniew"
    " Zainab محمد अर्जुन"
).split()
"""Of customers that nothing was trained on."""
PLANS = ["Basic", "Plus", "Pro", "Essential", "Family", "Fiber 600", "Fiber 1000", "Mobile M", "Starter", "Unlimited"]
KNOWN = 0.75
"""Of each fact, the share of customers of whom it is known."""
OFFERED = 0.6
"""Share of the briefs with an offer."""
FIRST_DAY, DAYS = date(2025, 1, 1), 730
"""When offers expire."""

SHORTEST, LONGEST = 60, 160
"""Characters. A slot is about as long as what fills it; what is left to the shield's 200 is for long names."""
FORMAL = 0.3
"""Share of the texts that speak formally."""


def briefs(rng: np.random.Generator, n: int, held_out: bool = False) -> list[Brief]:
    """Of invented customers; `held_out` draws names that no other brief has."""
    return [_brief(rng, HELD_OUT_NAMES if held_out else NAMES) for _ in range(n)]


def _brief(rng: np.random.Generator, names: Sequence[str]) -> Brief:
    offer = pick(rng, OFFERS[1:]) if rng.random() < OFFERED else 0
    named, dated, planned = rng.random(3) < KNOWN
    return Brief(
        offer_percentage=offer,
        expires_on=FIRST_DAY + timedelta(days=int(rng.integers(DAYS))) if offer else None,
        first_name=pick(rng, names) if named else None,
        tenure_months=int(rng.integers(1, 73)) if dated else None,
        plan=pick(rng, PLANS) if planned else None,
        concern=pick(rng, (None, *get_args(Concern))),
    )


def write(brief: Brief, rng: np.random.Generator, flawed: float = 0.0) -> str:
    """A text in slots; with probability `flawed` it has one bad habit."""
    habit = pick(rng, flaws.of(brief)) if rng.random() < flawed else None
    formal = rng.random() < FORMAL
    while True:
        good = parts(brief, rng, formal)
        if not _fits(text := joined(good, formal)):
            continue
        if habit:
            text = joined(habit(good, brief, rng), formal)
        if habit in flaws.BREAKING or _fits(text):
            return text


def _fits(text: str) -> bool:
    return SHORTEST <= len(text) <= LONGEST
