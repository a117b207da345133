"""What no message may say. Small pure functions; knows no I/O, no clock and no other service.

Every rule takes the text as it would leave and the brief of what it may say, and returns what is wrong, or None.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache

from shared.messages import Brief

SHORTEST, LONGEST = 50, 200

BANNED = (
    "damn, hell, crap, bastard, bitch, shit, fuck, idiot, stupid, hate you, kill, guarantee, risk-free, risk free,"
    " no risk, free, for life, forever, lowest price, best price, never pay, cash prize, winner, you won,"
    " congratulations, limited time, act now, last chance, final notice, urgent, don't miss, hurry, click here,"
    " password, bank details, credit card, social security, refund, legal action, debt, lawsuit, reply yes"
).split(", ")
"""Profanity, promises nobody made, pressure, what phishing asks for, and YES, which to a carrier means opting in."""

COMMANDS = {"KEEP", "STOP", "HELP"}
"""Words to reply with; they stand in capitals."""
OPENERS = set("hi hello hey dear".split())
NOBODY = OPENERS | set(
    "thanks please sorry still today again now so well yes also finally however just lately really remember simply"
    " truly there customer everyone".split()
)
"""Words that, before a comma, address nobody by name."""
FACT = "fact"
"""What the rules read instead of a fact that may be said."""

Rule = Callable[[str, Brief], str | None]

_phrases = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in BANNED)
_banned = re.compile(rf"(?<!\w)(?<!feel )(?:{_phrases})(?:e?s|e?d|ing)?(?!\w)", re.I)
_link = re.compile(r"://|www\.|@|\w\.[^\W\d_]{2}", re.I)
_sign = re.compile(r"[%٪‰]|per ?cent", re.I)
_percentage = re.compile(r"\S{0,20}\s?(?:[%٪‰]|\bper ?cent)", re.I)
_digits = re.compile(r"\d+(?:[.,]\d+)*")
_counted = re.compile(
    r"\b(\w+)[ -](?:(?:the|your|of|an?) )*"
    r"(?:off|days?|weeks?|months?|years?|dollars?|euros?|pounds?|bills?|prices?|times)\b",
    re.I,
)
NUMBERS = set(
    "half third quarter double triple twice dozen hundred thousand zero one two three four five six seven eight nine"
    " ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty"
    " seventy eighty ninety".split()
)
_word = re.compile(r"[^\W\d_][\w'\u0300-\u1fff-]*")
_sentence = re.compile(r"(?:^|(?<=[.!?:])\s+)")
_one_form = str.maketrans("‘’ʼ“”‐‑", "'''\"\"--")


def banned_phrase(text: str, brief: Brief) -> str | None:
    found = _banned.search(_beside_facts(text, brief))
    return f"banned phrase: {found.group().lower()}" if found else None


def length(text: str, brief: Brief) -> str | None:
    return None if SHORTEST <= len(text) <= LONGEST else f"length: {len(text)} characters, not {SHORTEST} to {LONGEST}"


def unfilled_slot(text: str, brief: Brief) -> str | None:
    return "unfilled slot" if re.search(r"[\[\]<>{}]", text) else None


def control_character(text: str, brief: Brief) -> str | None:
    """Nothing that a screen does not show, or that turns what it shows around."""
    return None if text.isprintable() else "control character"


def link(text: str, brief: Brief) -> str | None:
    return "link or address" if _link.search(text) else None


def name_required(text: str, brief: Brief) -> str | None:
    return None if not brief.first_name or re.search(_alone(re.escape(brief.first_name)), text) else "missing name"


def offer_required(text: str, brief: Brief) -> str | None:
    return "missing offer" if brief.offer_percentage and f"{brief.offer_percentage}%" not in text else None


def ungrounded_percentage(text: str, brief: Brief) -> str | None:
    """Every percentage is the offer's; without an offer there is none."""
    beside = _beside_facts(text, brief)
    found = _sign.search(beside) and _percentage.search(beside)
    return f"ungrounded percentage: {found.group()}" if found else None


def ungrounded_number(text: str, brief: Brief) -> str | None:
    """Every number is one of the plan's, of what it is there: 12 months are no 12 December. In words there is none."""
    beside = _beside_facts(text, brief)
    in_words = (match for match in _counted.finditer(beside) if match[1].lower() in NUMBERS)
    found = _digits.search(beside) or next(in_words, None)
    return f"ungrounded number: {found.group()}" if found else None


def ungrounded_name(text: str, brief: Brief) -> str | None:
    """Who is addressed is the customer, and a capital within a sentence is the customer's, the plan's or the date's."""
    known = COMMANDS | {FACT, "I", "I'm", "I'll", "I'd", "I've"}
    known |= {word for fact in (brief.first_name, brief.plan) if fact for word, _ in _words(fact)}
    sentences = _sentence.split(_beside_facts(text, brief))
    wrong = [name for sentence in sentences for name in _names(sentence) if name.removesuffix("'s") not in known]
    return f"ungrounded name: {wrong[0]}" if wrong else None


def _names(sentence: str) -> Iterable[str]:
    """What reads as a name: a capitalised word but the first, and any word where somebody is greeted or addressed."""
    words = _words(sentence)
    opened = bool(words) and words[0][0].lower() in OPENERS
    for i, (word, after) in enumerate(words):
        named = word[0].isupper() and (i > 0 or after.startswith(","))
        greeted = opened and i == 1 and re.match(r"\s?[,.!:;–—-]|$", after)
        if (named or greeted) and not (word.lower() in NOBODY and i <= opened):
            yield word


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
    facts = {name: _plain(fact) for name in ("first_name", "plan") if (fact := getattr(brief, name))}
    text, brief = _plain(text), brief.model_copy(update=facts)
    return [wrong for rule in RULES if (wrong := rule(text, brief))]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_one_form)


@lru_cache(maxsize=256)
def _beside_facts(text: str, brief: Brief) -> str:
    """`text` with what the plan lets it say, 10% or 12 months or 7 December or the plan's name, as the word FACT."""
    return _sayable(brief.plan, brief.offer_percentage, brief.tenure_months, brief.expires_on).sub(FACT, text)


@lru_cache(maxsize=4096)
def _sayable(plan: str | None, offer: int, months: int | None, day: date | None) -> re.Pattern[str]:
    th = "(?:st|nd|rd|th)?"
    facts = (
        re.escape(plan) if plan else None,
        rf"{offer} ?(?:%|per ?cent)" if offer else None,
        rf"{months}[ -]months?" if months is not None else None,
        rf"(?:{day.day}{th}(?: of)? {day:%B}|{day:%B} {day.day}{th})(?:,? {day.year})?" if day else None,
    )
    return re.compile(_alone("|".join(filter(None, facts)) or "(?!)"))


def _alone(pattern: str) -> str:
    return rf"(?<![\w.,])(?:{pattern})(?!\w)"


def _words(text: str) -> list[tuple[str, str]]:
    """Each word, and the two characters after it."""
    return [(word.group().rstrip("'-"), text[word.end() : word.end() + 2]) for word in _word.finditer(text)]
