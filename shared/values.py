"""How ids, numbers, truth values and base64 are read: the same in messages, REST paths, commands and tables.

A `ValueError` says in plain words what to send, and never contains the value, which may be personal data.
"""

import base64
import re
import sys
import unicodedata
from collections.abc import Callable
from math import copysign, inf
from typing import Any, NamedTuple

MAX_ID_LENGTH = 128
MAX_NUMBER_LENGTH = 400
"""Characters of the longest text that can be a number."""
MAX_EXACT_INTEGER = 2**53
"""Up to here every whole number has a floating-point number of its own."""

BLANKS = "".join(
    character
    for character in map(chr, (*range(0x3001), 0xFEFF))
    if character.isspace() or unicodedata.category(character) == "Cf"
)
"""White space, and characters without width that come with copied text: none of it belongs to a value's ends."""

UNKNOWN = frozenset(
    "|-|--|–|—|?|.|na|n/a|n.a.|#n/a|#na|<na>|nan|nat|null|(null)|\\n|nil|none|undefined|unknown|#value!|#ref!".split(
        "|"
    )
)
"""Spellings of an unknown value, in lower case."""
MAX_UNKNOWN_LENGTH = max(map(len, UNKNOWN))
TRUE = frozenset("true t yes y on 1 1.0 ja j oui si sí sim x ✓ ✔".split())
FALSE = frozenset("false f no n off 0 0.0 nein non não".split())
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class AmbiguousNumberError(ValueError):
    """The text is a number to everybody, but not the same to everybody."""


Reader = Callable[[Any], Any]
"""Reads a value in one of its spellings; returns None where it is unknown. Raises ValueError."""


class Fact(NamedTuple):
    """Stands in the type of a field: how its value is read."""

    read: Reader


def strip(text: str) -> str:
    """`text` without outer blanks, in Unicode's composed form (NFC)."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip(BLANKS)


def is_unknown(value: object) -> bool:
    """Whether `value` stands for an unknown one: None, NaN, or text that is blank or says so."""
    if isinstance(value, str):
        return strip(value).casefold() in UNKNOWN
    return value is None or (isinstance(value, float) and value != value)


def digits(value: object) -> object:
    """A number as its digits, without decimals if it is whole; anything else unchanged."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
        value = int(value)
    return str(value) if isinstance(value, int) and abs(value) < 10**MAX_ID_LENGTH else value


def identifier(value: Any) -> str:
    """An id in the one form in which ids are compared: in NFC, without outer blanks, a number as its digits.

    Case counts. Raises ValueError unless it has 1 to 128 characters, and no control characters.
    """
    if (
        type(value) is str
        and value.isascii()
        and value.isprintable()
        and 0 < len(text := value.strip()) <= MAX_ID_LENGTH
    ):
        return text
    value = digits(value)
    if not isinstance(value, str):
        raise ValueError(f"no text; send text of 1 to {MAX_ID_LENGTH} characters, or a whole number")
    text = strip(value)
    if not text:
        raise ValueError(f"empty; send text of 1 to {MAX_ID_LENGTH} characters")
    if len(text) > MAX_ID_LENGTH:
        raise ValueError(f"{len(text):,} characters; send 1 to {MAX_ID_LENGTH}")
    if not text.isprintable() and CONTROL_CHARACTER.search(text):
        raise ValueError("has control characters; send text without them")
    return text


def text(max_length: int) -> Callable[[object], str | None]:
    """Reads text of one line and at most `max_length` characters, without outer blanks; a number as its digits."""

    def read(value: object) -> str | None:
        if not isinstance(value, str):
            if is_unknown(value):
                return None
            value = digits(value)
            if not isinstance(value, str):
                raise ValueError("no text; send text, or null where it is unknown")
        value = value.strip()
        if len(value) <= MAX_UNKNOWN_LENGTH and strip(value).casefold() in UNKNOWN:
            return None
        if len(value) > max_length:
            raise ValueError(f"{len(value):,} characters; send at most {max_length}")
        if not value.isprintable() and CONTROL_CHARACTER.search(value):
            raise ValueError("has control characters; send text without them")
        return value

    return read


def truth(value: object) -> bool | None:
    """A truth value: true, yes, y, t, on, 1, and their opposites, in any case. Raises ValueError for any other."""
    if isinstance(value, bool):
        return value
    if is_unknown(value):
        return None
    if isinstance(value, str):
        if (word := strip(value).casefold()) in TRUE:
            return True
        if word in FALSE:
            return False
    elif isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError("neither true nor false; send true or false")


def yes_no(value: object) -> str | None:
    """Yes or No for a truth value; other text, such as "No internet service", unchanged."""
    if value == "Yes" or value == "No":
        return str(value)
    try:
        is_true = truth(value)
    except ValueError as error:
        if isinstance(value, str):
            return _category(value)
        raise ValueError("neither yes nor no; send Yes or No") from error
    return None if is_true is None else ("No", "Yes")[is_true]


_category = text(max_length=200)


def number(at_most: float, *, whole: bool = False) -> Reader:
    """Reads a number from 0 to `at_most`, in the spellings of `parse_number`."""
    kind = "whole number" if whole else "number"
    return _number(at_most, whole, f"send a {kind} from 0 to {at_most:,.0f}")


def _number(at_most: float, whole: bool, request: str, parse: Callable[[str], float] | None = None) -> Reader:
    def read(value: object) -> float | None:
        if type(value) is not float:
            if is_unknown(value):
                return None
            value = _float(value, parse or parse_number, request)
        elif value != value:
            return None
        if not 0 <= value <= at_most:
            raise ValueError(f"{'below 0' if value < 0 else f'above {at_most:,.0f}'}; {request}")
        if whole and not value.is_integer():
            raise ValueError(f"not whole; {request}")
        return value

    return read


def _float(value: object, parse: Callable[[str], float], request: str) -> float:
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"{error}; {request}") from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < sys.float_info.max else copysign(inf, value > 0 or -1)
    raise ValueError(f"no number; {request}")


_currencies = (
    "USD EUR GBP JPY CHF CAD AUD NZD CNY RMB INR BRL MXN ZAR SEK NOK DKK PLN CZK HUF TRY RUB KRW SGD HKD TWD AED SAR"
    " ILS THB IDR MYR PHP VND NGN KES EGP ARS CLP COP PEN UAH RON BGN Rs kr zł Kč Ft лв"
)
_currency = re.compile(rf"(?:[A-Z]{{0,3}}[$€£¥₹₽₩₺₴₦₱฿₫₪]|(?:{'|'.join(_currencies.split())})\.?)", re.I)
_plain_number = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.I)
_decimal_comma = re.compile(r"\d*,\d+|\d+,")
_thousands = re.compile(
    r"(?P<first>\d{1,3})(?P<sign>[ .,'])\d{3}(?:(?P=sign)\d{3})*(?P<decimals>(?!(?P=sign))[.,]\d*)?"
)
_lakhs = re.compile(r"\d{1,2}(?:,\d\d)+,\d{3}(?:\.\d*)?")


def parse_number(text: str) -> float:
    """A number in the spellings of exports: with a currency, with a decimal comma, with signs between thousands.

    A point before the last three digits is a decimal point, as in JSON and CSV, unless a currency stands beside it. A
    comma there, as in "5,340", means thousands to some and decimals to others. Raises `AmbiguousNumberError` for these,
    and another ValueError for text that is no number.
    """
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError("no number")
    plain = strip(unicodedata.normalize("NFKC", text)).replace("−", "-").replace("’", "'")
    negative = plain.startswith("(") and plain.endswith(")")
    plain, is_money = _without_currency(plain.strip("()") if negative else plain)
    if plain[:1] in ("+", "-"):
        negative, plain = negative or plain[0] == "-", plain[1:].lstrip()
        plain, has_currency = _without_currency(plain)
        is_money = is_money or has_currency
    if (grouped := _thousands.fullmatch(plain)) and (sign := grouped["sign"]) in ".,":
        is_one_group = grouped["decimals"] is None and plain.count(sign) == 1 and int(grouped["first"]) > 0
        if is_one_group and (sign == "," or is_money):
            name = "comma" if sign == "," else "point"
            raise AmbiguousNumberError(f"a {name} before three digits may mean thousands or decimals")
    if _plain_number.fullmatch(plain):
        result = float(plain)
    elif _decimal_comma.fullmatch(plain):
        result = float(plain.replace(",", "."))
    elif grouped:
        decimals = grouped["decimals"] or ""
        result = float(re.sub(r"\D", "", plain.removesuffix(decimals)) + decimals.replace(",", "."))
    elif _lakhs.fullmatch(plain):
        result = float(plain.replace(",", ""))
    else:
        raise ValueError("no number")
    return -result if negative else result


def _without_currency(text: str) -> tuple[str, bool]:
    """The text without a currency before or after it, and whether there was one."""
    if before := _currency.match(text):
        return text[before.end() :].strip(), True
    for after in _currency.finditer(text):
        if after.end() == len(text):
            return text[: after.start()].strip(), True
    return text, False


def _share(text: str) -> float:
    """A share as a number or in percent: "0.85" or "85%"."""
    stripped = strip(text)
    return parse_number(stripped[:-1]) / 100 if stripped.endswith(("%", "％")) else parse_number(stripped)


probability = _number(1, False, "send a probability from 0 to 1, or a text such as 85%", _share)
"""Reads a probability, as a number or in percent."""


def decode_base64(text: str) -> bytes:
    """Decode base64 in either alphabet, with or without padding and line ends. Raises ValueError."""
    standard = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
