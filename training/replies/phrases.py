"""The labelled phrases that the classifier learns from."""

from pathlib import Path
from typing import NamedTuple

from services.policy.replies.classifier import KINDS

PHRASES = Path(__file__).with_name("phrases.tsv")
COLUMNS = ("language", "kind", "sentence", "text")


class Phrase(NamedTuple):
    language: str
    """ISO 639-1, or 639-3 where there is none."""
    kind: str
    sentence: str
    """What kind of sentence it is: paraphrases have the same, and are never on both sides of a split."""
    text: str


def read_phrases(path: Path = PHRASES) -> list[Phrase]:
    """The phrases of a file of tab-separated columns with a header. Raises `ValueError` at a line that is not valid."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise ValueError(f"{path}: the columns must be {', '.join(COLUMNS)}")
    phrases = []
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) or cells[1] not in KINDS or not all(cells):
            raise ValueError(
                f"{path}, line {number}: not a language, a kind ({', '.join(KINDS)}), a sentence and a text"
            )
        phrases.append(Phrase(cells[0], cells[1], cells[2], cells[3].replace("\\n", "\n")))
    return phrases
