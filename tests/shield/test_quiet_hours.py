from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from services.shield.quiet_hours import QuietHours, QuietRules, deliver_after, is_quiet


def local(zone: str, hour: int, minute: int = 0, second: int = 0, *, day: int = 23, month: int = 11) -> datetime:
    """A local time of 2025 in `zone`, as UTC."""
    return datetime(2025, month, day, hour, minute, second, tzinfo=ZoneInfo(zone)).astimezone(UTC)


ZONES = [
    *("UTC", "Europe/Madrid", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Asia/Tokyo"),
    *("Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago"),
]


@pytest.mark.parametrize("zone", ZONES)
def test_messages_are_not_delayed_by_day(zone: str) -> None:
    for hour, minute, second in [(8, 0, 0), (8, 0, 1), (12, 34, 56), (21, 45, 0), (21, 59, 59)]:
        assert deliver_after(local(zone, hour, minute, second), [zone]) is None


@pytest.mark.parametrize("zone", ZONES)
def test_messages_are_delayed_from_22_until_8(zone: str) -> None:
    assert deliver_after(local(zone, 22), [zone]) == local(zone, 8, day=24)
    assert deliver_after(local(zone, 22, 7, 30), [zone]) == local(zone, 8, day=24)
    assert deliver_after(local(zone, 23, 59, 59), [zone]) == local(zone, 8, day=24)
    assert deliver_after(local(zone, 0), [zone]) == local(zone, 8)
    assert deliver_after(local(zone, 7, 59, 59), [zone]) == local(zone, 8)


@pytest.mark.parametrize("clock_zone", ["UTC", "Asia/Kathmandu", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "UTC", "Pacific/Chatham"])
def test_the_time_zone_of_the_clock_does_not_matter(clock_zone: str, zone: str) -> None:
    for minute in range(0, 24 * 60, 5):
        now = local(zone, 0) + timedelta(minutes=minute)
        assert deliver_after(now.astimezone(ZoneInfo(clock_zone)), [zone]) == deliver_after(now, [zone])


def test_quiet_hours_are_an_hour_shorter_when_daylight_saving_time_begins() -> None:
    delivery = deliver_after(local("America/New_York", 22, day=8, month=3), ["America/New_York"])

    assert delivery == datetime(2025, 3, 9, 12, tzinfo=UTC) == local("America/New_York", 8, day=9, month=3)
    assert delivery - local("America/New_York", 22, day=8, month=3) == timedelta(hours=9)


def test_quiet_hours_are_an_hour_longer_when_daylight_saving_time_ends() -> None:
    delivery = deliver_after(local("America/New_York", 22, day=1, month=11), ["America/New_York"])

    assert delivery == datetime(2025, 11, 2, 13, tzinfo=UTC) == local("America/New_York", 8, day=2, month=11)
    assert delivery - local("America/New_York", 22, day=1, month=11) == timedelta(hours=11)


@pytest.mark.parametrize("fold", [0, 1])
def test_a_repeated_hour_is_quiet_both_times(fold: int) -> None:
    now = datetime(2025, 11, 2, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=fold)

    assert deliver_after(now, ["America/New_York"]) == local("America/New_York", 8, day=2)


def test_a_utc_offset_of_5_hours_45_minutes_is_respected() -> None:
    assert deliver_after(datetime(2025, 11, 23, 16, 14, tzinfo=UTC), ["Asia/Kathmandu"]) is None
    assert deliver_after(datetime(2025, 11, 23, 16, 15, tzinfo=UTC), ["Asia/Kathmandu"]) == datetime(
        2025, 11, 24, 2, 15, tzinfo=UTC
    )


def test_quiet_hours_of_every_time_zone_are_respected() -> None:
    zones = ["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"]

    assert deliver_after(local("America/New_York", 10), zones) == local("Pacific/Honolulu", 8)
    assert deliver_after(local("Pacific/Honolulu", 8), zones) is None
    assert deliver_after(local("America/New_York", 21, 59), zones) is None
    assert deliver_after(local("America/New_York", 22), zones) == local("Pacific/Honolulu", 8, day=24)


def test_a_message_is_delayed_to_the_first_time_outside_all_quiet_hours() -> None:
    zones = ["Europe/Madrid", "America/New_York"]
    for quarter_hours in range(96):
        now = datetime(2025, 11, 23, tzinfo=UTC) + timedelta(minutes=15 * quarter_hours)
        delivery = deliver_after(now, zones) or now
        delay = [now + timedelta(minutes=minute) for minute in range(int((delivery - now).total_seconds() / 60))]
        assert not any(is_quiet(delivery, zone) for zone in zones)
        assert all(any(is_quiet(moment, zone) for zone in zones) for moment in delay)


def test_time_zones_without_a_common_waking_hour_are_refused_by_name() -> None:
    with pytest.raises(
        ValueError,
        match="RETENTION_TIME_ZONES: UTC, Asia/Tokyo, America/Los_Angeles have no hour in common outside their quiet",
    ):
        deliver_after(datetime(2025, 11, 23, 12, tzinfo=UTC), ["UTC", "Asia/Tokyo", "America/Los_Angeles"])


def test_every_utc_offset_is_a_multiple_of_15_minutes() -> None:
    for zone in available_timezones():
        offset = datetime(2025, 11, 23, tzinfo=ZoneInfo(zone)).utcoffset()
        assert offset is not None
        assert offset % timedelta(minutes=15) == timedelta(0), zone


@pytest.mark.parametrize(
    ("start", "end", "quiet", "not_quiet"),
    [
        (time(22), time(8), [time(22), time(23, 59), time(0), time(7, 59)], [time(8), time(12), time(21, 59)]),
        (time(21), time(8), [time(21), time(3)], [time(20, 59), time(8)]),
        (time(13), time(15), [time(13), time(14, 59)], [time(12, 59), time(15), time(0)]),
        (time(0), time(9), [time(0), time(8, 59)], [time(9), time(23, 59)]),
    ],
)
def test_quiet_hours_may_go_over_midnight_or_not(
    start: time, end: time, quiet: list[time], not_quiet: list[time]
) -> None:
    hours = QuietHours(start, end)
    assert all(moment in hours for moment in quiet)
    assert not any(moment in hours for moment in not_quiet)


def test_zones_may_have_quiet_hours_of_their_own() -> None:
    strict, later = QuietHours(time(21), time(8)), QuietHours(time(23), time(8))
    rules = QuietRules(by_zone=(("America/", strict), ("America/Argentina/", later)))
    assert deliver_after(local("America/New_York", 21, 30), ["America/New_York"], rules) is not None
    assert deliver_after(local("Europe/Madrid", 21, 30), ["Europe/Madrid"], rules) is None
    buenos_aires = "America/Argentina/Buenos_Aires"
    assert deliver_after(local(buenos_aires, 22, 30), [buenos_aires], rules) is None


@pytest.mark.parametrize(
    "zone", ["US/Eastern", "EST5EDT", "America/New_York", "Canada/Eastern", "UTC-05:00", "Etc/GMT+5"]
)
def test_quiet_hours_of_a_zone_hold_under_all_its_names_and_where_only_the_offset_is_known(zone: str) -> None:
    rules = QuietRules(by_zone=(("america/", QuietHours(time(20), time(9))),))
    half_past_eight = datetime(2025, 11, 24, 1, 30, tzinfo=UTC)
    assert is_quiet(half_past_eight, zone, rules)
    assert not is_quiet(half_past_eight, zone)


def test_an_offset_is_a_zone() -> None:
    assert deliver_after(datetime(2025, 11, 23, 17, tzinfo=UTC), ["UTC+05:30"]) == datetime(
        2025, 11, 24, 2, 30, tzinfo=UTC
    )
