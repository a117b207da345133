"""Spelling: a text in the one form in which keywords are looked up and the classifier reads."""

import re
import unicodedata

_invisible = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\ufeff]")
_apostrophe = re.compile(r"(?<=\w)[’'ʼ`´](?=\w)")
_repeated = re.compile(r"(\w)\1{2,}")
_spaced = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*]{1,3}){3,}[^\W\d_](?!\w)")
_zero = re.compile(r"(?<=[a-z])0(?=[a-z])")
_link = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+")


def normalize(text: str) -> str:
    """The text in lower case, without accents and apostrophes, in NFKC form, no letter more than twice in a row.

    "s t o p" and "S.T.O.P" become "stop", "st0p" too; a link becomes "@".
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _invisible.sub("", text))
    text = _apostrophe.sub("", text.casefold())
    if not text.isascii():
        text = without_accents(text)
    text = _link.sub("@", _zero.sub("o", text))
    text = _spaced.sub(lambda letters: "".join(filter(str.isalpha, letters[0])), text)
    return _repeated.sub(r"\1\1", text)


def without_accents(text: str) -> str:
    """Without the accents of Latin, Greek, Cyrillic, Hebrew and Arabic letters; the vowels of other scripts stay."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f" and c not in _MARKS)
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


_MARKS = frozenset(map(chr, (*range(0x0591, 0x05C8), 0x0640, *range(0x064B, 0x0660), 0x0670)))
"""Vowel points of Hebrew and Arabic, and the stroke that lengthens an Arabic word."""
_LETTERS = str.maketrans("ıøłđيىكةأإآ", "ioldییکهااا") | {ord("ß"): "ss", ord("æ"): "ae", ord("œ"): "oe"}
"""Letters that are often typed for each other."""
