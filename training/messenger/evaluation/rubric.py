"""The training rubric: it defines which of two messages is better, until preferences of people are available.

The reward model is trained on preferences sampled from its probabilities, so its accuracy can be compared with the
highest possible one. Traits are measured on the text before its slots are filled; a slot is about as long as its value.
Word lists hold whole words.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from shared.messages import Brief

SCALE = 2.0
"""Log-odds of a preference per point of difference in the weighted traits; the higher, the more readers agree."""

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
THANKS_WORDS = set("thank thanks thankful grateful appreciate".split())
REQUEST_WORDS = set("reply write call visit tell let follow rate recommend update click".split())
WARM_WORDS = set(
    "glad happy love loved enjoy enjoying enjoyed hope grateful thankful appreciate please lovely sorry".split()
)
IMPERSONAL_WORDS = set(
    "account notice subscriber subscribers holder holders records pursuant regarding regard policy notified".split()
)
PUSHY_WORDS = set(
    "hurry urgent must quickly decide foolish regret now won't last chance miss final limited guarantee guaranteed"
    " winner congratulations soon".split()
)
COMMON_WORDS = set("your with that have this from will would we'd we'll you've reply just please next bill".split())
"""Words whose repetition does not count."""

_sentence = re.compile(r"[.?!:] ")
_word = re.compile(r"[a-z']+|\[[a-z]+\]")


class ParsedText(NamedTuple):
    text: str
    """The text, before slots are filled."""
    sentences: list[list[str]]
    """Words in lower case."""
    words: list[str]


def greets_by_name(brief: Brief, text: ParsedText) -> float:
    """1 if the name is among the first three words, half if it is later; 1 without it if the brief has no name."""
    if not brief.first_name:
        return float("[name]" not in text.words)
    return 1.0 if "[name]" in text.words[:3] else 0.5 * ("[name]" in text.words)


def mentions_concern(brief: Brief, text: ParsedText) -> float:
    """1 if a word about the concern is among the first ten, falling to half at the 30th; 1 if the brief has none."""
    if not brief.concern:
        return 1.0
    words = CONCERNS[brief.concern]
    position = next((i for i, word in enumerate(text.words) if word in words), None)
    return 0.0 if position is None else 1 - 0.5 * min(max(position - 10, 0) / 20, 1)


def call_to_action(brief: Brief, text: ParsedText) -> float:
    """Offer, keyword and expiry once each; without an offer, a question and how to answer it. 0 for invented facts."""
    invented = any(map(str.isdigit, text.text))
    if brief.offer_percentage:
        occurs_once = [text.text.count(element) == 1 for element in ("[OFFER]", "KEEP", "[EXPIRY]")]
        return 0.0 if invented else float(np.dot(occurs_once, (0.4, 0.3, 0.3)))
    invented |= "[OFFER]" in text.text or "KEEP" in text.text
    return 0.0 if invented else 0.5 * ("?" in text.text) + 0.5 * (not REQUEST_WORDS.isdisjoint(text.words))


def thanks(brief: Brief, text: ParsedText) -> float:
    """0.6 for thanks, and 0.4 for mentioning the tenure with them, if it is known."""
    has_thanks, tenure = not THANKS_WORDS.isdisjoint(text.words), "[months]" in text.words or not brief.tenure_months
    return 0.6 * has_thanks + 0.4 * (has_thanks and tenure)


def brevity(brief: Brief, text: ParsedText) -> float:
    """1 from 90 to 140 characters, falling linearly to 0 over 50 more or fewer."""
    length = len(text.text)
    return max(0.0, 1 - max(90 - length, length - 140, 0) / 50)


def one_request(brief: Brief, text: ParsedText) -> float:
    """1 for exactly one sentence with a request, 0.4 for two, otherwise 0."""
    requests = sum(not REQUEST_WORDS.isdisjoint(sentence) for sentence in text.sentences)
    return {0: 0.0, 1: 1.0, 2: 0.4}.get(requests, 0.0)


def no_repeats(brief: Brief, text: ParsedText) -> float:
    """1, less 0.25 for each repeated word of four letters or more."""
    words = [word for word in text.words if len(word) > 3 and word not in COMMON_WORDS]
    return max(0.0, 1 - (len(words) - len(set(words))) / 4)


def warmth(brief: Brief, text: ParsedText) -> float:
    """0.5, plus 0.25 for each of at most two warm words, less 0.5 for each impersonal word."""
    warm = sum(word in WARM_WORDS for word in text.words)
    impersonal = sum(word in IMPERSONAL_WORDS for word in text.words)
    return max(0.0, 0.5 + 0.25 * min(warm, 2) - 0.5 * impersonal)


def no_pressure(brief: Brief, text: ParsedText) -> float:
    """1, less 0.5 for each pushy word and for each exclamation mark but the first."""
    return max(0.0, 1 - 0.5 * (sum(word in PUSHY_WORDS for word in text.words) + max(text.text.count("!") - 1, 0)))


TRAITS: dict[str, tuple[float, Callable[[Brief, ParsedText], float], str]] = {
    "name": (1.0, greets_by_name, "people greeted by name read on"),
    "concern": (2.0, mentions_concern, "customers see in the first line that the message is about their concern"),
    "call": (2.0, call_to_action, "a message that cannot be acted on has no effect, and repetition confuses"),
    "thanks": (1.0, thanks, "thanks for the time so far is a reason to stay"),
    "brevity": (1.5, brevity, "it is read on a phone at a glance; too short is curt"),
    "one request": (1.0, one_request, "one task is done, two are postponed"),
    "no repeats": (1.0, no_repeats, "repetition sounds mechanical"),
    "warmth": (1.0, warmth, "customers stay with people"),
    "calm": (1.5, no_pressure, "pressure costs trust"),
}
"""Weight, function with values in [0, 1], and reason, by key in the reports."""


def parse(text: str) -> ParsedText:
    sentences = [_word.findall(sentence) for sentence in _sentence.split(text.lower())]
    return ParsedText(text, sentences, [word for sentence in sentences for word in sentence])


def traits(brief: Brief, text: str) -> dict[str, float]:
    """The value of each trait, in [0, 1]."""
    parsed = parse(text)
    return {trait: measure(brief, parsed) for trait, (_, measure, _) in TRAITS.items()}


def score(brief: Brief, text: str) -> float:
    """Log-odds, up to a constant, that the text is preferred: the weighted sum of its traits."""
    parsed = parse(text)
    return SCALE * sum(weight * measure(brief, parsed) for weight, measure, _ in TRAITS.values())


def preference_probabilities(briefs: Sequence[Brief], texts_a: Sequence[str], texts_b: Sequence[str]) -> np.ndarray:
    """[n], the probability that a is preferred to b (Bradley and Terry 1952)."""
    pairs = zip(briefs, texts_a, texts_b, strict=True)
    return expit([score(brief, a) - score(brief, b) for brief, a, b in pairs])


def sample_labels(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n], whether a is preferred, sampled with its probability, as readers differ."""
    return rng.random(len(probabilities)) < probabilities


def accuracy_ceiling(probabilities: np.ndarray) -> float:
    """The highest expected accuracy on such labels (Bayes accuracy): that of the rubric itself."""
    return float(np.maximum(probabilities, 1 - probabilities).mean())
