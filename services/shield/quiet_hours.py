"""Quiet hours, in the customer's own time zone."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from shared.errors import ConfigurationError
from shared.time_zones import time_zone, zone_names


class QuietHours(NamedTuple):
    """Local time from which, and until which, no message is sent; the window may go over midnight."""

    start: time
    end: time

    def __contains__(self, local_time: object) -> bool:
        assert isinstance(local_time, time)
        if self.start < self.end:
            return self.start <= local_time < self.end
        return local_time >= self.start or local_time < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M}"


class QuietRules(NamedTuple):
    """The quiet hours of each time zone."""

    default: QuietHours = QuietHours(time(22), time(8))
    by_zone: tuple[tuple[str, QuietHours], ...] = ()
    """Quiet hours of the zones one of whose names begins with a prefix; the longest prefix counts."""

    def of(self, zone: str) -> tuple[QuietHours, ...]:
        """The quiet hours in a time zone. Where its name tells no place, as UTC+02:00 and EST5EDT, all of them hold."""
        names = [name.casefold() for name in zone_names(zone) if "/" in name and not name.startswith("Etc/")]
        if not names:
            return self.default, *(hours for _, hours in self.by_zone)
        matching = [
            (len(prefix), hours)
            for prefix, hours in self.by_zone
            if any(name.startswith(prefix.casefold()) for name in names)
        ]
        return (max(matching)[1] if matching else self.default,)


STEP = timedelta(minutes=15)
"""Step of the search; the UTC offset of every time zone is a multiple of it."""
SEARCH_STEPS = 2 * 96
"""Number of steps searched: two days."""


QUIET_RULES = QuietRules()


def deliver_after(now: datetime, zones: Sequence[str], rules: QuietRules = QUIET_RULES) -> datetime | None:
    """The next time outside quiet hours in all `zones`, in UTC, or None where that is now.

    Raises `ConfigurationError` where the zones have no such time within two days.
    """
    now = now.astimezone(UTC)
    quarter_hour = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    return _deliver_after(quarter_hour, tuple(zones), rules)


@lru_cache
def _deliver_after(quarter_hour: datetime, zones: tuple[str, ...], rules: QuietRules) -> datetime | None:
    for steps in range(SEARCH_STEPS):
        moment = quarter_hour + steps * STEP
        if not any(is_quiet(moment, zone, rules) for zone in zones):
            return moment if steps else None
    quiet = dict.fromkeys(str(hours) for zone in zones for hours in rules.of(zone))
    raise ConfigurationError(
        f"RETENTION_TIME_ZONES: {', '.join(zones)} have no hour in common outside their quiet hours "
        f"({', '.join(quiet)}). Leave out the zone with the fewest customers."
    )


def is_quiet(moment: datetime, zone: str, rules: QuietRules = QUIET_RULES) -> bool:
    local_time = moment.astimezone(time_zone(zone)).time()
    return any(local_time in hours for hours in rules.of(zone))
