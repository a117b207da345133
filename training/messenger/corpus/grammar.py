"""The grammar of the corpus: the sentences of a message, their order, and how they become a text with slots."""

import re
from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from services.messenger.prompt import SLOT_PATTERN, slot_values
from shared.messages import Brief
from training.messenger.corpus import phrases, topics

Sentences = dict[str, str]
"""The sentences of a message in order, by their role; `greeting` opens the first of them."""

ORDERS = {
    True: [
        *("thanks concern offer", "concern offer thanks", "concern thanks offer", "concern offer"),
        *("concern_offer thanks", "thanks concern_offer", "thanks offer afterword"),
    ],
    False: [
        *("thanks concern_question", "concern concern_question", "thanks concern concern_question"),
        *("thanks concern question", "concern thanks question"),
    ],
}
"""Orders of the roles with an offer and without one.

`concern_offer` is an offer that opens with the concern, `afterword` addresses the concern after the offer;
`concern_question` asks about the concern, `question` about anything.
"""
CALLS_TO_ACTION = ("offer", "concern_offer", "concern_question", "question")
"""Roles that ask the customer to do something."""

T = TypeVar("T")
_choice = re.compile(r"\{([^{}]*)\}")
_sentence_end = re.compile(r"[.?!]")
_contraction = re.compile(r"(?:'(?:d|ll|re|ve|s been|s)|n't)\b")
_full_form = {
    "'d": " would",
    "'ll": " will",
    "'re": " are",
    "'ve": " have",
    "'s been": " has been",
    "'s": " is",
    "n't": " not",
}


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, with equal probability."""
    return options[int(rng.integers(len(options)))]


def sample_phrase(rng: np.random.Generator, options: Sequence[str], known_slots: Collection[str]) -> str:
    """A random phrase of those that use known slots only, with a random option for each choice `{a|b}`."""
    while True:
        phrase = _choice.sub(lambda choice: pick(rng, choice[1].split("|")), pick(rng, options))
        if all(slot in known_slots for slot in SLOT_PATTERN.findall(phrase)):
            return phrase


def sample_sentences(brief: Brief, rng: np.random.Generator, formal: bool) -> Sentences:
    """Random sentences of a message. Without a greeting, the first sentence has the customer's name, if it is known."""
    order = pick(rng, ORDERS[brief.offer_percentage > 0]).split() + ["ending"] * (rng.random() < 0.3)
    sentences = {role: sample_sentence(role, brief, rng) for role in order}
    has_name = bool(brief.first_name)
    if rng.random() < 0.85:
        greetings = phrases.FORMAL_GREETINGS if formal else phrases.GREETINGS
        return {"greeting": pick(rng, greetings[has_name])} | sentences
    if has_name:
        sentences[order[0]] = _sentence_end.sub(r", [NAME]\g<0>", sentences[order[0]], count=1)
    return sentences


def sample_sentence(role: str, brief: Brief, rng: np.random.Generator) -> str:
    phrases_by_role = {
        "thanks": [phrases.THANKS],
        "concern": [topics.STATEMENTS[brief.concern]],
        "offer": [phrases.OFFERS],
        "concern_offer": [topics.LEADS[brief.concern], phrases.OFFERS_AFTER_LEAD],
        "afterword": [topics.AFTERWORDS[brief.concern]],
        "concern_question": [topics.QUESTIONS[brief.concern], phrases.REPLY_REQUESTS],
        "question": [topics.QUESTIONS[None], phrases.REPLY_REQUESTS],
        "ending": [phrases.ENDINGS],
    }
    known_slots = slot_values(brief)
    return " ".join(sample_phrase(rng, options, known_slots) for options in phrases_by_role[role])


def compose(sentences: Sentences, formal: bool) -> str:
    """The text of the sentences; formal texts have no contractions."""
    greeting = sentences.get("greeting")
    first, *rest = [sentence for role, sentence in sentences.items() if role != "greeting"]
    opening = f"{greeting}, {first[0].lower()}{first[1:]}" if greeting else _capitalise(first)
    text = " ".join([opening, *map(_capitalise, rest)])
    return _contraction.sub(lambda contraction: _full_form[contraction[0]], text) if formal else text


def _capitalise(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
