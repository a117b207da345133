from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations, product
from random import Random
from typing import NamedTuple

import pytest

from shared.consent import MAX_MESSAGES, Consent, Statement
from tests.support.clock import NOON

KINDS: tuple[Statement, ...] = ("stop", "resume", "unclear")


class Said(NamedTuple):
    kind: Statement
    id: str
    minutes: float | None
    """When it was written, after NOON; None if that is unknown."""


def after(*messages: Said, consent: Consent | None = None, now: datetime = NOON + timedelta(hours=1)) -> Consent:
    """The consent after these messages, as it is read back from its document each time."""
    consent = consent or Consent()
    for kind, message_id, minutes in messages:
        at = None if minutes is None else NOON + timedelta(minutes=minutes)
        consent = Consent.from_document(consent.with_statement(kind, message_id, at, now).to_document())
    return consent


def summary(consent: Consent) -> tuple[bool, set[str]]:
    """Whether the customer has opted out, and the replies that wait."""
    return consent.opted_out, set(consent.unread)


@pytest.mark.parametrize(
    ("kinds", "opted_out", "waiting"),
    [
        ("", False, 0),
        ("stop", True, 0),
        ("resume", False, 0),
        ("stop resume", False, 0),
        ("resume stop", True, 0),
        ("stop resume stop", True, 0),
        ("unclear", False, 1),
        ("unclear unclear", False, 2),
        ("unclear stop", True, 0),
        ("unclear resume", False, 0),
        ("stop unclear", True, 1),
        ("stop unclear resume", False, 0),
        ("unclear stop unclear resume unclear", False, 1),
    ],
)
@pytest.mark.parametrize("dated", [True, False])
def test_the_last_word_counts(kinds: str, opted_out: bool, waiting: int, dated: bool) -> None:
    """Without times as well, even if all arrive at one instant."""
    said = [Said(kind, f"m{n}", n if dated else None) for n, kind in enumerate(kinds.split())]  # type: ignore[arg-type]
    consent = after(*said)

    assert (consent.opted_out, len(consent.unread)) == (opted_out, waiting)


@pytest.mark.parametrize("kinds", list(product(KINDS, repeat=3)))
@pytest.mark.parametrize("minutes", [(1, 2, 3), (1, 1, 2), (1, 2, 2), (1, 1, 1)])
def test_the_result_does_not_depend_on_the_order_or_number_of_messages(
    kinds: Sequence[Statement], minutes: Sequence[float]
) -> None:
    said = [Said(kind, f"m{n}", at) for n, (kind, at) in enumerate(zip(kinds, minutes, strict=True))]
    random = Random(str(said))
    results = [summary(after(*order, *random.choices(order, k=6), *order[::-1])) for order in permutations(said)]

    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("kinds", list(product(KINDS, repeat=4)))
def test_a_redelivery_of_a_message_without_a_time_changes_nothing(kinds: Sequence[Statement]) -> None:
    said = [Said(kind, f"m{n}", None) for n, kind in enumerate(kinds)]
    once = after(*said)
    again = after(*said, *said, *said[::-1], consent=once, now=NOON + timedelta(days=100))

    assert summary(again) == summary(once)


def test_a_time_after_now_is_that_of_the_arrival() -> None:
    start = after(Said("stop", "m1", 10), Said("resume", "m2", 60 * 24 * 365 * 36))
    assert not start.opted_out
    stopped = after(Said("stop", "m3", None), consent=start, now=NOON + timedelta(hours=2))
    assert stopped.opted_out
    assert after(
        Said("resume", "m2", 60 * 24 * 365 * 36), consent=stopped, now=NOON + timedelta(days=36 * 366)
    ).opted_out


def test_of_a_stop_and_a_resume_at_the_same_time_the_stop_counts() -> None:
    assert after(Said("resume", "m1", 1), Said("stop", "m2", 1)).opted_out
    assert after(Said("stop", "m2", 1), Said("resume", "m1", 1)).opted_out


@pytest.mark.parametrize(
    ("statement", "opted_out", "waiting"),
    [("stop", True, {"late"}), ("resume", False, {"late"}), (None, True, {"early", "late"})],
)
def test_a_reply_that_was_read_counts_at_the_time_it_was_written(
    statement: Statement | None, opted_out: bool, waiting: set[str]
) -> None:
    said = [Said("stop", "m1", 0), Said("unclear", "early", 1), Said("unclear", "read", 2), Said("unclear", "late", 3)]
    consent = after(*said).settle("read", statement)

    assert summary(consent) == (opted_out, waiting)
    assert summary(consent.settle("read", "stop")) == (opted_out, waiting), "settling twice is harmless"
    assert summary(after(*said, consent=consent)) == (opted_out, waiting), "and so is a redelivery"


def test_an_opt_out_stored_by_an_older_version_is_read_and_can_be_lifted() -> None:
    consent = Consent.from_document({"at": NOON.isoformat()})

    assert consent.opted_out
    assert not after(Said("resume", "m1", 1), consent=consent).opted_out
    assert after(Said("resume", "m1", -1), consent=consent).opted_out


def test_the_document_stays_small_and_what_is_forgotten_never_lifts_an_opt_out() -> None:
    consent = Consent()
    for n in range(3 * MAX_MESSAGES):
        consent = after(Said("resume", f"start {n}", None), Said("stop", f"stop {n}", None), consent=consent)
    assert len(str(consent.to_document())) < 250 * MAX_MESSAGES
    for n in range(3 * MAX_MESSAGES):
        consent = after(Said("resume", f"start {n}", None), consent=consent)
        assert consent.opted_out
    later = NOON + timedelta(days=1)
    assert not consent.with_statement("resume", "last", later, later).opted_out


def test_more_unclear_replies_than_anybody_reads_are_a_stop() -> None:
    said = [Said("unclear", f"m{n}", None) for n in range(MAX_MESSAGES)]
    consent = after(*said)
    assert summary(consent) == (False, {reply.id for reply in said})

    assert summary(after(Said("unclear", "one more", None), consent=consent)) == (True, set())


@pytest.mark.parametrize(
    "written", ["0001-01-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00", "2062-01-01T00:00:00+00:00"]
)
def test_a_stop_of_a_wrong_clock_counts_when_it_arrives(written: str) -> None:
    resumed = after(Said("resume", "m1", 0))
    stopped = resumed.with_statement("stop", "m2", datetime.fromisoformat(written), NOON + timedelta(hours=1))

    assert stopped.opted_out
