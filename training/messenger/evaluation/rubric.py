"""The stated rubric: what makes one message better than another, until people's own picks say so.

Its preferences, with a person's noise, are what the reward model learns from, so it is a known truth to measure it by.
Traits are read on the text in slots, each of which is about as long as what fills it. Lists of words are of whole ones.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from shared.messages import Brief

SCALE = 2.0
"""Log-odds of a preference for each point of difference: sets how often people would agree (see `ceiling`)."""

CONCERNS = {
    "price": set(
        "price prices cost costs budget budgets afford affordable wallet pay paying money bills value saving".split()
    ),
    "service": set(
        "service support problem problems trouble reliable quality work working experience issue fix wait"
        " smoothly".split()
    ),
    "contract": set(
        "contract contracts terms commitment flexible flexibility renewal renew renewing agreement tied locked freedom"
        " print sign".split()
    ),
}
THANKS = set("thank thanks thankful grateful appreciate".split())
REQUESTS = set("reply write call visit tell let follow rate recommend update click".split())
WARM = set("glad happy love loved enjoy enjoying enjoyed hope grateful thankful appreciate please lovely sorry".split())
COLD = set(
    "account notice subscriber subscribers holder holders records pursuant regarding regard policy notified".split()
)
PUSHY = set(
    "hurry urgent must quickly decide foolish regret now won't last chance miss final limited guarantee guaranteed"
    " winner congratulations soon".split()
)
SMALL = set("your with that have this from will would we'd we'll you've reply just please next bill".split())
"""Words that may come twice."""

_sentence = re.compile(r"[.?!:] ")
_word = re.compile(r"[a-z']+|\[[a-z]+\]")


class Text(NamedTuple):
    text: str
    sentences: list[list[str]]
    """Words in lower case."""
    words: list[str]


def name(brief: Brief, text: Text) -> float:
    """In the first three words, or later for half."""
    if not brief.first_name:
        return float("[name]" not in text.words)
    return 1.0 if "[name]" in text.words[:3] else 0.5 * ("[name]" in text.words)


def concern(brief: Brief, text: Text) -> float:
    """Within the first ten words, falling to half at the 30th; all of it where nobody has a concern."""
    if not brief.concern:
        return 1.0
    words = CONCERNS[brief.concern]
    at = next((at for at, word in enumerate(text.words) if word in words), None)
    return 0.0 if at is None else 1 - 0.5 * min(max(at - 10, 0) / 20, 1)


def call(brief: Brief, text: Text) -> float:
    """What, how and until when, each once; without an offer a question, and how to answer it."""
    invented = any(map(str.isdigit, text.text))
    if brief.offer_percentage:
        once = [text.text.count(part) == 1 for part in ("[OFFER]", "KEEP", "[EXPIRY]")]
        return 0.0 if invented else float(np.dot(once, (0.4, 0.3, 0.3)))
    invented |= "[OFFER]" in text.text or "KEEP" in text.text
    return 0.0 if invented else 0.5 * ("?" in text.text) + 0.5 * (not REQUESTS.isdisjoint(text.words))


def thanks(brief: Brief, text: Text) -> float:
    """More than half of it for thanks, the rest for the time together, if it is known."""
    thanked, together = not THANKS.isdisjoint(text.words), "[months]" in text.words or not brief.tenure_months
    return 0.6 * thanked + 0.4 * (thanked and together)


def brevity(brief: Brief, text: Text) -> float:
    """From 90 to 140 characters, falling to nothing over 50 more or less."""
    length = len(text.text)
    return max(0.0, 1 - max(90 - length, length - 140, 0) / 50)


def one_request(brief: Brief, text: Text) -> float:
    requests = sum(not REQUESTS.isdisjoint(sentence) for sentence in text.sentences)
    return {0: 0.0, 1: 1.0, 2: 0.4}.get(requests, 0.0)


def no_repeats(brief: Brief, text: Text) -> float:
    """A quarter less for each word of four letters or more that has been said before."""
    words = [word for word in text.words if len(word) > 3 and word not in SMALL]
    return max(0.0, 1 - (len(words) - len(set(words))) / 4)


def warmth(brief: Brief, text: Text) -> float:
    """Up to two warm words, and no officialese."""
    warm = sum(word in WARM for word in text.words)
    cold = sum(word in COLD for word in text.words)
    return max(0.0, 0.5 + 0.25 * min(warm, 2) - 0.5 * cold)


def calm(brief: Brief, text: Text) -> float:
    """Half less for each word that presses, and for each exclamation mark but the first."""
    return max(0.0, 1 - 0.5 * (sum(word in PUSHY for word in text.words) + max(text.text.count("!") - 1, 0)))


TRAITS: dict[str, tuple[float, Callable[[Brief, Text], float], str]] = {
    "name": (1.0, name, "who is greeted by name reads on"),
    "concern": (2.0, concern, "a message about what troubles them is for them, and they see it in the first line"),
    "call": (2.0, call, "what cannot be acted on has no effect; what is said twice confuses"),
    "thanks": (1.0, thanks, "time together is what is being asked for again"),
    "brevity": (1.5, brevity, "it is read on a telephone, at a glance; too short is curt"),
    "one request": (1.0, one_request, "two things to do are put off, one is done"),
    "no repeats": (1.0, no_repeats, "repetition reads as a machine's"),
    "warmth": (1.0, warmth, "people stay with people"),
    "calm": (1.5, calm, "pressure costs trust"),
}
"""Weight, measure in [0, 1], and why it counts."""


def read(text: str) -> Text:
    sentences = [_word.findall(sentence) for sentence in _sentence.split(text.lower())]
    return Text(text, sentences, [word for sentence in sentences for word in sentence])


def traits(brief: Brief, text: str) -> dict[str, float]:
    """Each in [0, 1]."""
    seen = read(text)
    return {trait: measure(brief, seen) for trait, (_, measure, _) in TRAITS.items()}


def score(brief: Brief, text: str) -> float:
    seen = read(text)
    return SCALE * sum(weight * measure(brief, seen) for weight, measure, _ in TRAITS.values())


def odds(briefs: Sequence[Brief], texts_a: Sequence[str], texts_b: Sequence[str]) -> np.ndarray:
    """[n], the probability that a is preferred to b (Bradley and Terry 1952)."""
    pairs = zip(briefs, texts_a, texts_b, strict=True)
    return expit([score(brief, a) - score(brief, b) for brief, a, b in pairs])


def label(odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n], whether a was preferred: drawn, as people differ."""
    return rng.random(len(odds)) < odds


def ceiling(odds: np.ndarray) -> float:
    """The accuracy on such labels that nothing exceeds, not even the rubric itself."""
    return float(np.maximum(odds, 1 - odds).mean())
