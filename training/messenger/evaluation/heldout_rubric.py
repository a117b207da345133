"""The held-out rubric, which scores texts in the evaluation and is never trained on.

Its traits and words differ from the training rubric's, so a policy that only exploits that rubric gains little here.
Traits are measured on the text before its slots are filled. Whether people agree with the rubric was not examined.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shared.messages import Brief
from training.messenger.evaluation.win_rate import WinRate, win_rate

CONCERNS = {
    "price": r"price|cost|budget|afford|fair|value|worth|less|lower|lighter|smaller|sav(?:e|ing)|spend",
    "service": r"service|support|team|reliab|smooth|right|fix|solve|better|faster|good at|count on|rely",
    "contract": r"contract|terms|commit|choice|choos|decide|chang|flexib|free to|stay|leave|switch|stuck",
}
"""Beginnings of words about each concern."""
CLICHES = (
    r"valued customer|dear customer|means? a lot|token of|for granted|your loyalty|warm wishes|add up|both ways"
    r"|we're here|always here|keep (?:us going|you smiling)|making you|worthwhile|favourite|goes without saying"
    r"|end of the day|a little extra|on the wallet|your trust"
)
SENDER_PRONOUNS, READER_PRONOUNS = (
    set("we we'd we'll we're we've us our".split()),
    set("you you'd you'll you're you've your".split()),
)

_sentence = re.compile(r"(?<=[.?!:])\s+")
_word = re.compile(r"[a-z']+")
_vowels = re.compile(r"[aeiouy]+")
_concerns = {concern: re.compile(rf"\b(?:{words})", re.I) for concern, words in CONCERNS.items()}
_cliches = re.compile(CLICHES, re.I)
_polite_words = re.compile(r"\b(?:please|thank|would|could|can we|if you|you can|hope|welcome)", re.I)
_commands = re.compile(r"\b(?:must|have to|need to|now|at once|don't|do it)\b|!", re.I)
_calls_to_answer = re.compile(r"\breply|\bwrite|\btell|\?", re.I)


class ParsedText(NamedTuple):
    text: str
    sentences: list[str]
    words: list[list[str]]
    """Words of each sentence, in lower case."""


def readable(brief: Brief, text: ParsedText) -> float:
    """Flesch's (1948) reading ease: 0 at 50 (fairly difficult) or less, 1 at 90 (very easy) or more."""
    words = [word for sentence in text.words for word in sentence]
    syllables = sum(max(len(_vowels.findall(word)) - (word.endswith("e") and len(word) > 3), 1) for word in words)
    ease = 206.835 - 1.015 * len(words) / len(text.words) - 84.6 * syllables / max(len(words), 1)
    return float(np.clip((ease - 50) / 40, 0, 1))


def about_reader(brief: Brief, text: ParsedText) -> float:
    """Twice the reader's share of the pronouns for sender and reader, at most 1."""
    sender, reader = (
        sum(word in pronouns for words in text.words for word in words)
        for pronouns in (SENDER_PRONOUNS, READER_PRONOUNS)
    )
    return min(2 * reader / (sender + reader), 1.0) if reader else 0.0


def call_last(brief: Brief, text: ParsedText) -> float:
    """1 if the last sentence says how to accept or answer, half if the one before it does."""
    calls = [
        "KEEP" in sentence if brief.offer_percentage else bool(_calls_to_answer.search(sentence))
        for sentence in text.sentences[-2:]
    ]
    return 1.0 if calls[-1] else 0.5 * any(calls)


def addresses_concern(brief: Brief, text: ParsedText) -> float:
    """1 if any word of CONCERNS is about the brief's concern, or if the brief has none."""
    return float(not brief.concern or bool(_concerns[brief.concern].search(text.text)))


def no_cliches(brief: Brief, text: ParsedText) -> float:
    """1, less 0.5 for each cliché."""
    return max(0.0, 1 - 0.5 * sum(1 for _ in _cliches.finditer(text.text)))


def rhythm(brief: Brief, text: ParsedText) -> float:
    """Sentences of different lengths (by a third of their mean), less a tenth for each word over 18 in the longest."""
    lengths = [len(words) for words in text.words]
    varied = min(3 * float(np.std(lengths)) / max(float(np.mean(lengths)), 1), 1.0)
    return max(0.0, varied - 0.1 * max(max(lengths) - 18, 0))


def polite(brief: Brief, text: ParsedText) -> float:
    """0.5 for each of at most two polite words; 0 if the text gives a command."""
    return 0.0 if _commands.search(text.text) else min(0.5 * sum(1 for _ in _polite_words.finditer(text.text)), 1.0)


def complete(brief: Brief, text: ParsedText) -> float:
    """1 if the text says what is offered, until when and how to accept it; without an offer, if it asks a question."""
    required = ("[OFFER]", "[EXPIRY]", "KEEP") if brief.offer_percentage else ("?",)
    return float(all(element in text.text for element in required))


TRAITS: tuple[Callable[[Brief, ParsedText], float], ...] = (
    *(readable, about_reader, call_last, addresses_concern, no_cliches, rhythm, polite, complete),
)
"""Functions with values in [0, 1], of equal weights."""


def parse(text: str) -> ParsedText:
    sentences = _sentence.split(text.strip())
    return ParsedText(text, sentences, [_word.findall(sentence.lower()) for sentence in sentences])


def score(brief: Brief, text: str) -> float:
    """The mean of the traits, in [0, 1]."""
    parsed = parse(text)
    return sum(trait(brief, parsed) for trait in TRAITS) / len(TRAITS)


def win_rates(briefs: Sequence[Brief], texts_a: Sequence[str], texts_b: Sequence[str]) -> dict[str, WinRate]:
    """How often a scores higher than b, for texts to the same brief: over "all", and by segment ("offer, price")."""
    triples = list(zip(briefs, texts_a, texts_b, strict=True))
    differences = np.array([score(brief, a) - score(brief, b) for brief, a, b in triples])
    wins = np.where(np.isclose(differences, 0), 0.5, differences > 0)
    lengths = np.array([len(a) - len(b) for _, a, b in triples])
    segments = np.array([segment(brief) for brief in briefs])
    return {"all": win_rate(wins, lengths)} | {
        name: win_rate(wins[segments == name], lengths[segments == name]) for name in sorted(set(segments.tolist()))
    }


def segment(brief: Brief) -> str:
    """The kind of message and the customer's concern."""
    return f"{'offer' if brief.offer_percentage else 'service'}, {brief.concern or 'no concern'}"
