"""The aims of the reader on phrases that nothing was trained on: do not train on `heldout.tsv`, or mend for it."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from services.policy.replies.reader import ReplyKind, ReplyReader
from shared.settings import Settings

HELDOUT = Path(__file__).parent / "heldout.tsv"
"""Language, kind and text; `complaint` and `notkeep` (which refuses the offer) are kinds of `other`."""


@pytest.fixture(scope="module")
def read() -> dict[tuple[bool, str], Counter[ReplyKind]]:
    """How many replies were read as each kind, by whether they are English, and by their true kind."""
    reader = ReplyReader.load(Settings().artifacts / "replies")
    counts = defaultdict[tuple[bool, str], Counter[ReplyKind]](Counter)
    for line in HELDOUT.read_text(encoding="utf-8").splitlines():
        language, kind, text = line.split("\t")
        counts[language == "en", kind][reader.read(text.replace("\\n", "\n"))] += 1
    return counts


def both(read: dict[tuple[bool, str], Counter[ReplyKind]], kind: str) -> Counter[ReplyKind]:
    return read[True, kind] + read[False, kind]


def test_no_opt_out_in_english_and_at_most_one_in_a_hundred_is_taken_for_something_else(
    read: dict[tuple[bool, str], Counter[ReplyKind]],
) -> None:
    assert not read[True, "stop"].keys() & {"keep", "other", "resume"}
    stops = both(read, "stop")
    assert stops.total() >= 330
    assert stops["keep"] + stops["other"] + stops["resume"] <= 0.01 * stops.total()
    assert stops["stop"] >= 0.9 * stops.total()


def test_complaints_silence_nobody_and_few_are_unclear(read: dict[tuple[bool, str], Counter[ReplyKind]]) -> None:
    complaints = both(read, "complaint")
    assert complaints.total() >= 200
    assert complaints["stop"] <= 0.02 * complaints.total()
    assert complaints["unclear"] <= 0.2 * complaints.total()
    assert not complaints["keep"]


def test_acceptances_are_read_and_refusals_are_none(read: dict[tuple[bool, str], Counter[ReplyKind]]) -> None:
    keeps = both(read, "keep")
    assert keeps["keep"] >= 0.95 * keeps.total()
    assert not read[True, "notkeep"]["keep"]
