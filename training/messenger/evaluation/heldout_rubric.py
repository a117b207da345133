"""The held-out judge: what else good copy is said to be, never trained on.

Its traits and words are others than the rubric's, so a writer that has only learnt to please the rubric gains little
here. Traits are read on the text in slots. It is no person: that people agree with it remains to be shown.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shared.messages import Brief
from training.messenger.evaluation.win_rate import Rate, rate

CONCERNS = {
    "price": r"price|cost|budget|afford|fair|value|worth|less|lower|lighter|smaller|sav(?:e|ing)|spend",
    "service": r"service|support|team|reliab|smooth|right|fix|solve|better|faster|good at|count on|rely",
    "contract": r"contract|terms|commit|choice|choos|decide|chang|flexib|free to|stay|leave|switch|stuck",
}
"""How a word begins."""
CLICHES = (
    r"valued customer|dear customer|means? a lot|token of|for granted|your loyalty|warm wishes|add up|both ways"
    r"|we're here|always here|keep (?:us going|you smiling)|making you|worthwhile|favourite|goes without saying"
    r"|end of the day|a little extra|on the wallet|your trust"
)
FIRST, SECOND = set("we we'd we'll we're we've us our".split()), set("you you'd you'll you're you've your".split())

_sentence = re.compile(r"(?<=[.?!:])\s+")
_word = re.compile(r"[a-z']+")
_vowels = re.compile(r"[aeiouy]+")
_concerns = {concern: re.compile(rf"\b(?:{words})", re.I) for concern, words in CONCERNS.items()}
_cliches = re.compile(CLICHES, re.I)
_courtesies = re.compile(r"\b(?:please|thank|would|could|can we|if you|you can|hope|welcome)", re.I)
_orders = re.compile(r"\b(?:must|have to|need to|now|at once|don't|do it)\b|!", re.I)
_answers = re.compile(r"\breply|\bwrite|\btell|\?", re.I)


class Text(NamedTuple):
    text: str
    sentences: list[str]
    words: list[list[str]]
    """Of each sentence, in lower case."""


def readable(brief: Brief, text: Text) -> float:
    """Flesch's (1948) reading ease: nothing at 50 (fairly difficult), all at 90 (very easy)."""
    words = [word for sentence in text.words for word in sentence]
    syllables = sum(max(len(_vowels.findall(word)) - (word.endswith("e") and len(word) > 3), 1) for word in words)
    ease = 206.835 - 1.015 * len(words) / len(text.words) - 84.6 * syllables / max(len(words), 1)
    return float(np.clip((ease - 50) / 40, 0, 1))


def about_you(brief: Brief, text: Text) -> float:
    """Of the words for the sender and the reader, as many for the reader as for the sender or more."""
    first, second = (sum(word in of for words in text.words for word in words) for of in (FIRST, SECOND))
    return min(2 * second / (first + second), 1.0) if second else 0.0


def call_last(brief: Brief, text: Text) -> float:
    """The last sentence says how to accept or answer; half where one more follows."""
    calls = ["KEEP" in said if brief.offer_percentage else bool(_answers.search(said)) for said in text.sentences[-2:]]
    return 1.0 if calls[-1] else 0.5 * any(calls)


def understanding(brief: Brief, text: Text) -> float:
    """The concern, in any of the judge's own words."""
    return float(not brief.concern or bool(_concerns[brief.concern].search(text.text)))


def fresh(brief: Brief, text: Text) -> float:
    """Half less for each cliché."""
    return max(0.0, 1 - 0.5 * sum(1 for _ in _cliches.finditer(text.text)))


def rhythm(brief: Brief, text: Text) -> float:
    """Sentences of different lengths (by a third of their mean), less a tenth for each word over 18 in the longest."""
    lengths = [len(words) for words in text.words]
    varied = min(3 * float(np.std(lengths)) / max(float(np.mean(lengths)), 1), 1.0)
    return max(0.0, varied - 0.1 * max(max(lengths) - 18, 0))


def polite(brief: Brief, text: Text) -> float:
    """Half for each courtesy, up to two; nothing where it gives orders."""
    return 0.0 if _orders.search(text.text) else min(0.5 * sum(1 for _ in _courtesies.finditer(text.text)), 1.0)


def complete(brief: Brief, text: Text) -> float:
    """Whoever reads it knows what it is about and what they may do."""
    needed = ("[OFFER]", "[EXPIRY]", "KEEP") if brief.offer_percentage else ("?",)
    return float(all(part in text.text for part in needed))


TRAITS: tuple[Callable[[Brief, Text], float], ...] = (
    *(readable, about_you, call_last, understanding, fresh, rhythm, polite, complete),
)
"""Each in [0, 1]; all count the same."""


def read(text: str) -> Text:
    sentences = _sentence.split(text.strip())
    return Text(text, sentences, [_word.findall(sentence.lower()) for sentence in sentences])


def score(brief: Brief, text: str) -> float:
    """The mean of the traits."""
    seen = read(text)
    return sum(trait(brief, seen) for trait in TRAITS) / len(TRAITS)


def win_rate(briefs: Sequence[Brief], texts_a: Sequence[str], texts_b: Sequence[str]) -> dict[str, Rate]:
    """How often a is better than b: "all", and by what the message is for and about ("offer, price").

    Texts of the same brief are compared, by their scores.
    """
    triples = list(zip(briefs, texts_a, texts_b, strict=True))
    ahead = np.array([score(brief, a) - score(brief, b) for brief, a, b in triples])
    wins = np.where(np.isclose(ahead, 0), 0.5, ahead > 0)
    longer = np.array([len(a) - len(b) for _, a, b in triples])
    segments = np.array([segment(brief) for brief in briefs])
    return {"all": rate(wins, longer)} | {
        name: rate(wins[segments == name], longer[segments == name]) for name in sorted(set(segments.tolist()))
    }


def segment(brief: Brief) -> str:
    return f"{'offer' if brief.offer_percentage else 'service'}, {brief.concern or 'no concern'}"
