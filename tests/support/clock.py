"""The time at which the services of the tests decide."""

from datetime import UTC, datetime

NOON = datetime(2025, 11, 23, 12, tzinfo=UTC)


def noon() -> datetime:
    return NOON
