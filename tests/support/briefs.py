"""Briefs that tests of the messenger and of the shield share, and the time of their messages."""

from datetime import UTC, date, datetime

from shared.messages import Brief

NOON = datetime(2025, 11, 23, 12, tzinfo=UTC)
FULL_BRIEF = Brief(offer_percentage=10, expires_on=date(2025, 12, 7), first_name="Sam", tenure_months=12, plan="Pro")
"""Has every fact but a concern."""
EMPTY_BRIEF = Brief(offer_percentage=0)


def noon() -> datetime:
    return NOON
