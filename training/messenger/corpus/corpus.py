"""The synthetic corpus: briefs of invented customers, and messages to them, good ones and flawed ones.

A grammar generates it, so it says nothing about what people prefer; its language is narrow enough for a small model.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args

import numpy as np

from shared.messages import OFFERS, Brief, Concern
from training.messenger.corpus import flaws
from training.messenger.corpus.grammar import compose, pick, sample_sentences

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
"""Names of customers that no model is trained on."""
PLANS = ["Basic", "Plus", "Pro", "Essential", "Family", "Fiber 600", "Fiber 1000", "Mobile M", "Starter", "Unlimited"]
KNOWN_SHARE = 0.75
"""Share of the customers for whom a fact is known; the same for each fact."""
OFFER_SHARE = 0.6
"""Share of the briefs with an offer."""
FIRST_EXPIRY, EXPIRY_DAYS = date(2025, 1, 1), 730
"""Offers expire within EXPIRY_DAYS from FIRST_EXPIRY."""

MIN_LENGTH, MAX_LENGTH = 60, 160
"""Characters of a text before slots are filled. A slot is about as long as its value; the shield allows 200."""
FORMAL_SHARE = 0.3
"""Share of the messages in formal language."""


def sample_briefs(rng: np.random.Generator, n: int, held_out: bool = False) -> list[Brief]:
    """Briefs of `n` invented customers; `held_out` draws from the names that are not trained on."""
    return [_sample_brief(rng, HELD_OUT_NAMES if held_out else NAMES) for _ in range(n)]


def _sample_brief(rng: np.random.Generator, names: Sequence[str]) -> Brief:
    offer = pick(rng, OFFERS[1:]) if rng.random() < OFFER_SHARE else 0
    name_known, tenure_known, plan_known = rng.random(3) < KNOWN_SHARE
    return Brief(
        offer_percentage=offer,
        expires_on=FIRST_EXPIRY + timedelta(days=int(rng.integers(EXPIRY_DAYS))) if offer else None,
        first_name=pick(rng, names) if name_known else None,
        tenure_months=int(rng.integers(1, 73)) if tenure_known else None,
        plan=pick(rng, PLANS) if plan_known else None,
        concern=pick(rng, (None, *get_args(Concern))),
    )


def write_message(brief: Brief, rng: np.random.Generator, flawed_share: float = 0.0) -> str:
    """A message with slots; with probability `flawed_share` it has one flaw."""
    flaw = pick(rng, flaws.applicable(brief)) if rng.random() < flawed_share else None
    formal = rng.random() < FORMAL_SHARE
    while True:
        sentences = sample_sentences(brief, rng, formal)
        if not _fits(text := compose(sentences, formal)):
            continue
        if flaw:
            text = compose(flaw(sentences, brief, rng), formal)
        if flaw in flaws.RULE_BREAKING or _fits(text):
            return text


def _fits(text: str) -> bool:
    return MIN_LENGTH <= len(text) <= MAX_LENGTH
