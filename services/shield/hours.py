"""Quiet hours, in the customer's own time zone."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUIET_FROM, QUIET_UNTIL = time(22), time(8)
QUARTER = timedelta(minutes=15)


def deliver_after(now: datetime, zones: Sequence[str]) -> datetime | None:
    """The next moment at which no quiet hours hold in any of `zones`; None is now.

    Steps by the quarter of an hour, of which every zone's offset is a multiple. Raises ValueError where the zones
    leave no such moment in two days.
    """
    now = now.astimezone(UTC)
    return _deliver_after(now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0), tuple(zones))


@lru_cache
def _deliver_after(quarter: datetime, zones: tuple[str, ...]) -> datetime | None:
    places = [ZoneInfo(zone) for zone in zones]
    for steps in range(2 * 96):
        moment = quarter + steps * QUARTER
        if not any(quiet(moment, place) for place in places):
            return moment if steps else None
    raise ValueError(f"{', '.join(zones)} have no hour in common outside {QUIET_FROM:%H:%M} to {QUIET_UNTIL:%H:%M}")


def quiet(now: datetime, place: ZoneInfo) -> bool:
    local = now.astimezone(place).time()
    return local >= QUIET_FROM or local < QUIET_UNTIL


@lru_cache
def known(zone: str | None) -> bool:
    """Whether `zone` is an IANA name."""
    try:
        return zone is not None and ZoneInfo(zone) is not None
    except (LookupError, ValueError, OSError):
        return False
