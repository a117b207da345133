"""Safety rules: what a message must not say. Pure functions of the message and its brief.

A rule takes the text as it would be sent and the brief of what it may say; it returns the violation, or None.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache

from shared.messages import Brief

MIN_LENGTH, MAX_LENGTH = 50, 200
"""Characters of a message."""

BANNED_PHRASES = (
    "damn, hell, crap, bastard, bitch, shit, fuck, idiot, stupid, hate you, kill, guarantee, risk-free, risk free,"
    " no risk, free, for life, forever, lowest price, best price, never pay, cash prize, winner, you won,"
    " congratulations, limited time, act now, last chance, final notice, urgent, don't miss, hurry, click here,"
    " password, bank details, credit card, social security, refund, legal action, debt, lawsuit, reply yes"
).split(", ")
"""Profanity, unfounded promises, pressure, phishing, and YES, which carriers take for an opt-in."""

REPLY_KEYWORDS = {"KEEP", "STOP", "HELP"}
"""Keywords that a customer can reply with, in capitals."""
GREETINGS = set("hi hello hey dear".split())
NOT_NAMES = GREETINGS | set(
    "thanks please sorry still today again now so well yes also finally however just lately really remember simply"
    " truly there customer everyone".split()
)
"""Words that are no name although a sentence may start with them before a comma."""
NUMBER_WORDS = set(
    "half third quarter double triple twice dozen hundred thousand zero one two three four five six seven eight nine"
    " ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty"
    " seventy eighty ninety".split()
)
FACT_PLACEHOLDER = "fact"
"""Word that replaces each fact of the brief before a rule examines the text."""

Rule = Callable[[str, Brief], str | None]

_phrases = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in BANNED_PHRASES)
_banned_phrase = re.compile(rf"(?<!\w)(?<!feel )(?:{_phrases})(?:e?s|e?d|ing)?(?!\w)", re.I)
_link = re.compile(r"://|www\.|@|\w\.[^\W\d_]{2}", re.I)
_percent_sign = re.compile(r"[%٪‰]|per ?cent", re.I)
_percentage = re.compile(r"\S{0,20}\s?(?:[%٪‰]|\bper ?cent)", re.I)
_digits = re.compile(r"\d+(?:[.,]\d+)*")
_quantity = re.compile(
    r"\b(\w+)[ -](?:(?:the|your|of|an?) )*"
    r"(?:off|days?|weeks?|months?|years?|dollars?|euros?|pounds?|bills?|prices?|times)\b",
    re.I,
)
_word = re.compile(r"[^\W\d_][\w'\u0300-\u1fff-]*")
_sentence_boundary = re.compile(r"(?:^|(?<=[.!?:])\s+)")
_canonical_punctuation = str.maketrans("‘’ʼ“”‐‑", "'''\"\"--")


def banned_phrase(text: str, brief: Brief) -> str | None:
    match = _banned_phrase.search(_mask_facts(text, brief))
    return f"banned phrase: {match.group().lower()}" if match else None


def length_out_of_bounds(text: str, brief: Brief) -> str | None:
    if MIN_LENGTH <= len(text) <= MAX_LENGTH:
        return None
    return f"length: {len(text)} characters, not {MIN_LENGTH} to {MAX_LENGTH}"


def unfilled_slot(text: str, brief: Brief) -> str | None:
    return "unfilled slot" if re.search(r"[\[\]<>{}]", text) else None


def control_character(text: str, brief: Brief) -> str | None:
    """Characters that a screen does not show, or that change the direction of those it shows."""
    return None if text.isprintable() else "control character"


def link(text: str, brief: Brief) -> str | None:
    return "link or address" if _link.search(text) else None


def missing_name(text: str, brief: Brief) -> str | None:
    has_name = not brief.first_name or re.search(_standalone(re.escape(brief.first_name)), text)
    return None if has_name else "missing name"


def missing_offer(text: str, brief: Brief) -> str | None:
    return "missing offer" if brief.offer_percentage and f"{brief.offer_percentage}%" not in text else None


def ungrounded_percentage(text: str, brief: Brief) -> str | None:
    """Any percentage except the offer's."""
    masked = _mask_facts(text, brief)
    match = _percent_sign.search(masked) and _percentage.search(masked)
    return f"ungrounded percentage: {match.group()}" if match else None


def ungrounded_number(text: str, brief: Brief) -> str | None:
    """Any number except the brief's with its unit (12 months do not allow 12 December), and any quantity in words."""
    masked = _mask_facts(text, brief)
    in_words = (match for match in _quantity.finditer(masked) if match[1].lower() in NUMBER_WORDS)
    match = _digits.search(masked) or next(in_words, None)
    return f"ungrounded number: {match.group()}" if match else None


def ungrounded_name(text: str, brief: Brief) -> str | None:
    """Any name except the customer's, the plan's and the month's, whether capitalised or after a greeting."""
    allowed = REPLY_KEYWORDS | {FACT_PLACEHOLDER, "I", "I'm", "I'll", "I'd", "I've"}
    allowed |= {word for fact in (brief.first_name, brief.plan) if fact for word, _ in _words(fact)}
    names = (name for sentence in _sentence_boundary.split(_mask_facts(text, brief)) for name in _names(sentence))
    ungrounded = next((name for name in names if name.removesuffix("'s") not in allowed), None)
    return f"ungrounded name: {ungrounded}" if ungrounded else None


def _names(sentence: str) -> Iterable[str]:
    """Words that read as a name: capitalised after the first word or before a comma, or addressed by a greeting."""
    words = _words(sentence)
    has_greeting = bool(words) and words[0][0].lower() in GREETINGS
    for i, (word, following) in enumerate(words):
        capitalised = word[0].isupper() and (i > 0 or following.startswith(","))
        addressed = has_greeting and i == 1 and re.match(r"\s?[,.!:;–—-]|$", following)
        if (capitalised or addressed) and not (word.lower() in NOT_NAMES and i <= has_greeting):
            yield word


RULES: tuple[Rule, ...] = (
    banned_phrase,
    length_out_of_bounds,
    unfilled_slot,
    control_character,
    link,
    missing_name,
    missing_offer,
    ungrounded_percentage,
    ungrounded_number,
    ungrounded_name,
)


def violations(text: str, brief: Brief) -> list[str]:
    """Every rule's violation in `text`. Unicode compatibility forms are read as what they look like (１５％ is 15%)."""
    facts = {field: _normalise(fact) for field in ("first_name", "plan") if (fact := getattr(brief, field))}
    text, brief = _normalise(text), brief.model_copy(update=facts)
    return [violation for rule in RULES if (violation := rule(text, brief))]


def without_names(brief: Brief) -> Brief:
    """The brief without name and plan. A message that needs neither may be sent where they break a rule themselves."""
    return brief.model_copy(update={"first_name": None, "plan": None})


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_canonical_punctuation)


@lru_cache(maxsize=256)
def _mask_facts(text: str, brief: Brief) -> str:
    """`text` with the facts that the brief allows (10%, 12 months, 7 December, the plan) as FACT_PLACEHOLDER."""
    pattern = _fact_pattern(brief.plan, brief.offer_percentage, brief.tenure_months, brief.expires_on)
    return pattern.sub(FACT_PLACEHOLDER, text)


@lru_cache(maxsize=4096)
def _fact_pattern(plan: str | None, offer: int, months: int | None, day: date | None) -> re.Pattern[str]:
    ordinal = "(?:st|nd|rd|th)?"
    facts = (
        re.escape(plan) if plan else None,
        rf"{offer} ?(?:%|per ?cent)" if offer else None,
        rf"{months}[ -]months?" if months is not None else None,
        rf"(?:{day.day}{ordinal}(?: of)? {day:%B}|{day:%B} {day.day}{ordinal})(?:,? {day.year})?" if day else None,
    )
    return re.compile(_standalone("|".join(filter(None, facts)) or "(?!)"))


def _standalone(pattern: str) -> str:
    """`pattern` where it is not a part of a longer word or number."""
    return rf"(?<![\w.,])(?:{pattern})(?!\w)"


def _words(text: str) -> list[tuple[str, str]]:
    """Each word, and the two characters after it."""
    return [(word.group().rstrip("'-"), text[word.end() : word.end() + 2]) for word in _word.finditer(text)]
