"""The grammar of the corpus: what a message consists of, in which order, and how that becomes a text in slots."""

import re
from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from services.messenger.prompt import SLOT_PATTERN, slot_values
from shared.messages import Brief
from training.messenger.corpus import phrases, topics

Parts = dict[str, str]
"""A message's sentences in order, by what they are for; `greeting` stands before the first."""

ORDERS = {
    True: [
        *("thanks concern offer", "concern offer thanks", "concern thanks offer", "concern offer"),
        *("fused thanks", "thanks fused", "thanks offer after"),
    ],
    False: ["thanks ask", "concern ask", "thanks concern ask", "thanks concern question", "concern thanks question"],
}
"""With an offer and without. `fused` is an offer that opens with the concern, `after` speaks to it once it is made;
`ask` is a question about the concern, `question` about anything.
"""
CALLS = ("offer", "fused", "ask", "question")
"""What a message is for."""

T = TypeVar("T")
_choice = re.compile(r"\{([^{}]*)\}")
_stop = re.compile(r"[.?!]")
_short = re.compile(r"(?:'(?:d|ll|re|ve|s been|s)|n't)\b")
_long = {
    "'d": " would",
    "'ll": " will",
    "'re": " are",
    "'ve": " have",
    "'s been": " has been",
    "'s": " is",
    "n't": " not",
}


def pick(rng: np.random.Generator, among: Sequence[T]) -> T:
    return among[int(rng.integers(len(among)))]


def phrase(rng: np.random.Generator, among: Sequence[str], known: Collection[str]) -> str:
    """One of them, its choices made, that needs no slot but those that are known."""
    while True:
        said = _choice.sub(lambda choice: pick(rng, choice[1].split("|")), pick(rng, among))
        if all(slot in known for slot in SLOT_PATTERN.findall(said)):
            return said


def parts(brief: Brief, rng: np.random.Generator, formal: bool) -> Parts:
    """A message's, at random. Sometimes nobody is greeted; a name that is known is then said later."""
    order = pick(rng, ORDERS[brief.offer_percentage > 0]).split() + ["ending"] * (rng.random() < 0.3)
    said = {part: say(part, brief, rng) for part in order}
    named = bool(brief.first_name)
    if rng.random() < 0.85:
        greetings = phrases.FORMAL_GREETINGS if formal else phrases.GREETINGS
        return {"greeting": pick(rng, greetings[named])} | said
    if named:
        said[order[0]] = _stop.sub(r", [NAME]\g<0>", said[order[0]], count=1)
    return said


def say(part: str, brief: Brief, rng: np.random.Generator) -> str:
    phrases_of = {
        "thanks": [phrases.THANKS],
        "concern": [topics.STATEMENTS[brief.concern]],
        "offer": [phrases.OFFERS],
        "fused": [topics.LEADS[brief.concern], phrases.GIVEN],
        "after": [topics.AFTERWORDS[brief.concern]],
        "ask": [topics.QUESTIONS[brief.concern], phrases.HOW],
        "question": [topics.QUESTIONS[None], phrases.HOW],
        "ending": [phrases.ENDINGS],
    }
    known = slot_values(brief)
    return " ".join(phrase(rng, among, known) for among in phrases_of[part])


def joined(parts: Parts, formal: bool) -> str:
    """As a text; a formal one has no contractions."""
    greeting = parts.get("greeting")
    first, *rest = [said for part, said in parts.items() if part != "greeting"]
    opening = f"{greeting}, {first[0].lower()}{first[1:]}" if greeting else _capital(first)
    text = " ".join([opening, *map(_capital, rest)])
    return _short.sub(lambda short: _long[short[0]], text) if formal else text


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
