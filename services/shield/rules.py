"""What no message may say. Small pure functions; knows no I/O, no clock and no other service.

Every rule takes the text as it would leave and the brief of what it may say, and returns what is wrong, or None.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from shared.messages import Brief

SHORTEST, LONGEST = 50, 200

BANNED = (
    *("damn", "hell", "crap", "bastard", "bitch", "shit", "fuck", "idiot", "stupid", "hate you", "kill"),
    *("guarantee", "guaranteed", "risk-free", "risk free", "no risk", "100% free", "free", "for life", "forever"),
    *("lowest price", "best price", "never pay", "cash prize", "winner", "you won", "congratulations", "limited time"),
    *(
        "act now",
        "last chance",
        "final notice",
        "urgent",
        "don't miss",
        "hurry",
        "click here",
        "password",
        "bank details",
    ),
    *("credit card", "social security", "refund", "legal action", "debt", "lawsuit", "reply yes"),
)
"""Profanity, promises nobody made, pressure, what phishing asks for, and YES, which to a carrier means opting in."""

COMMANDS = {"KEEP", "STOP", "HELP"}
"""Words to reply with; they stand in capitals."""
OPENERS = {"Hi", "Hello", "Hey", "Dear"}
VOCATIVES = {"Thanks", "Hello", "Please", "Sorry", "Still", "Today", "Again", "Now", "So", "Well", "Yes"}
"""Words before a comma at a sentence's start that address nobody."""
SMALL_NUMBERS = (
    *("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen").split(),
    *("sixteen seventeen eighteen nineteen").split(),
)
NUMBER_WORDS = {word: str(i) for i, word in enumerate(SMALL_NUMBERS)} | {
    word: str(10 * i) for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
UNITS = r"percent|per cent|%|off|days?|weeks?|months?|years?|dollars?|euros?|pounds?|bills?|times"
MONTHS = "January February March April May June July August September October November December".split()

Rule = Callable[[str, Brief], str | None]

_banned = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, sorted(BANNED, key=len, reverse=True))) + r")(?!\w)", re.I)
_link = re.compile(r"https?:|www\.|\w@\w|\b\w+\.(?:com|net|org|io|co|info|biz)\b", re.I)
_number = re.compile(r"\d+(?:[.,]\d+)*")
_percentage = re.compile(r"(\d+(?:[.,]\d+)*)\s*(?:%|per ?cent\b)", re.I)
_spelled = re.compile(rf"\b({'|'.join(NUMBER_WORDS)}|half|double|triple|dozen|hundred|thousand)[- ](?:{UNITS})\b", re.I)
_word = re.compile(r"[^\W\d_](?:[\w\u0300-\u036f'’-]*\w)?")
_sentence = re.compile(r"(?:^|(?<=[.!?:])\s+)")


def banned_phrase(text: str, brief: Brief) -> str | None:
    """The rule on phrases; the plan's own name is not a promise, so it is left out."""
    found = _banned.search(_without(text, [brief.plan]))
    return f"banned phrase: {found.group().lower()}" if found else None


def length(text: str, brief: Brief) -> str | None:
    return None if SHORTEST <= len(text) <= LONGEST else f"length: {len(text)} characters, not {SHORTEST} to {LONGEST}"


def unfilled_slot(text: str, brief: Brief) -> str | None:
    return "unfilled slot" if re.search(r"[\[\]<>{}]", text) else None


def control_character(text: str, brief: Brief) -> str | None:
    """Nothing that a screen does not show, or that turns what it shows around."""
    return "control character" if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") for c in text) else None


def link(text: str, brief: Brief) -> str | None:
    return "link or address" if _link.search(text) else None


def name_required(text: str, brief: Brief) -> str | None:
    return "missing name" if brief.first_name and brief.first_name not in text else None


def offer_required(text: str, brief: Brief) -> str | None:
    return "missing offer" if brief.offer_percentage and f"{brief.offer_percentage}%" not in text else None


def ungrounded_percentage(text: str, brief: Brief) -> str | None:
    """Every percentage is the offer's; without an offer there is none."""
    wrong = [n for n in _percentage.findall(text) if not brief.offer_percentage or n != str(brief.offer_percentage)]
    return f"ungrounded percentage: {wrong[0]}%" if wrong else None


def ungrounded_number(text: str, brief: Brief) -> str | None:
    """Every number, in digits or in words before a unit, is one of the plan's."""
    text = _without(text, [brief.plan])
    known = {str(fact) for fact in (brief.offer_percentage or None, brief.tenure_months) if fact is not None}
    if brief.expires_on:
        known |= {str(brief.expires_on.day), str(brief.expires_on.year)}
    words = (word.lower() for word in _spelled.findall(text))
    wrong = [n for n in (*_number.findall(text), *(NUMBER_WORDS.get(w, w) for w in words)) if n not in known]
    return f"ungrounded number: {wrong[0]}" if wrong else None


def ungrounded_name(text: str, brief: Brief) -> str | None:
    """Who is addressed is the customer, and a capital within a sentence is the customer's, the plan's or the date's."""
    known = set(_words([brief.first_name, brief.plan])) | COMMANDS | {"I", "I'm", "I'll", "I'd", "I've"}
    if brief.expires_on:
        known.add(MONTHS[brief.expires_on.month - 1])
    wrong = [name for sentence in _sentence.split(text) for name in _names(sentence) if name not in known]
    return f"ungrounded name: {wrong[0]}" if wrong else None


def _names(sentence: str) -> Iterable[str]:
    """What reads as a name: a capitalised word but the first, and the first too where it addresses somebody."""
    words = list(_word.finditer(sentence))
    for i, word in enumerate(words):
        text, addressed = word.group(), sentence[word.end() : word.end() + 1] == ","
        opener = i == 0 and (text in OPENERS or text in VOCATIVES or not addressed)
        greeted = i == 1 and words[0].group() in OPENERS and addressed and text not in ("there", "again")
        if (text[0].isupper() and not opener) or greeted:
            yield text


RULES: tuple[Rule, ...] = (
    banned_phrase,
    length,
    unfilled_slot,
    control_character,
    link,
    name_required,
    offer_required,
    ungrounded_percentage,
    ungrounded_number,
    ungrounded_name,
)


def violations(text: str, brief: Brief) -> list[str]:
    """All that is wrong with `text`; compatibility forms count as what they look like (１５％ is 15%)."""
    seen = unicodedata.normalize("NFKC", text)
    plain = brief.model_copy(
        update={k: unicodedata.normalize("NFKC", v) for k in ("first_name", "plan") if (v := getattr(brief, k))}
    )
    return [wrong for rule in RULES if (wrong := rule(seen, plain))]


def _without(text: str, names: Iterable[str | None]) -> str:
    for name in names:
        text = text.replace(name, " ") if name else text
    return text


def _words(names: Iterable[str | None]) -> Iterable[str]:
    return (word for name in names if name for word in (name, *_word.findall(name)))
