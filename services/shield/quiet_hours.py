"""Quiet hours, in the customer's own time zone."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.errors import ConfigurationError

QUIET_FROM, QUIET_UNTIL = time(22), time(8)
"""Local time from which, and until which, no message is sent."""
STEP = timedelta(minutes=15)
"""Step of the search; the UTC offset of every time zone is a multiple of it."""
SEARCH_STEPS = 2 * 96
"""Number of steps searched: two days."""


def deliver_after(now: datetime, time_zones: Sequence[str]) -> datetime | None:
    """The next time outside quiet hours in all of `time_zones`, in UTC, or None where that is now.

    Raises `ConfigurationError` where the time zones have no such time within two days.
    """
    now = now.astimezone(UTC)
    return _deliver_after(now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0), tuple(time_zones))


@lru_cache
def _deliver_after(quarter_hour: datetime, time_zones: tuple[str, ...]) -> datetime | None:
    zones = [ZoneInfo(name) for name in time_zones]
    for steps in range(SEARCH_STEPS):
        moment = quarter_hour + steps * STEP
        if not any(is_quiet(moment, zone) for zone in zones):
            return moment if steps else None
    raise ConfigurationError(
        f"RETENTION_TIME_ZONES: {', '.join(time_zones)} have no hour in common outside {QUIET_FROM:%H:%M} to "
        f"{QUIET_UNTIL:%H:%M}. Leave out the zone with the fewest customers."
    )


def is_quiet(moment: datetime, zone: ZoneInfo) -> bool:
    local_time = moment.astimezone(zone).time()
    return local_time >= QUIET_FROM or local_time < QUIET_UNTIL


@lru_cache
def is_time_zone(name: str | None) -> bool:
    """Whether `name` is an IANA time zone."""
    try:
        return name is not None and ZoneInfo(name) is not None
    except (LookupError, ValueError, OSError):
        return False
