from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from services.shield.quiet_hours import deliver_after, is_quiet, is_time_zone


def at(zone: str, hour: int, minute: int = 0, second: int = 0, *, day: int = 23, month: int = 11) -> datetime:
    """A moment of 2025 by the clock on the wall, in UTC."""
    return datetime(2025, month, day, hour, minute, second, tzinfo=ZoneInfo(zone)).astimezone(UTC)


ZONES = [
    *("UTC", "Europe/Madrid", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Asia/Tokyo"),
    *("Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago"),
]


@pytest.mark.parametrize("zone", ZONES)
def test_by_day_nothing_is_held(zone: str) -> None:
    for hour, minute, second in [(8, 0, 0), (8, 0, 1), (12, 34, 56), (21, 45, 0), (21, 59, 59)]:
        assert deliver_after(at(zone, hour, minute, second), [zone]) is None


@pytest.mark.parametrize("zone", ZONES)
def test_by_night_all_is_held_until_the_morning(zone: str) -> None:
    assert deliver_after(at(zone, 22), [zone]) == at(zone, 8, day=24)
    assert deliver_after(at(zone, 22, 7, 30), [zone]) == at(zone, 8, day=24)
    assert deliver_after(at(zone, 23, 59, 59), [zone]) == at(zone, 8, day=24)
    assert deliver_after(at(zone, 0), [zone]) == at(zone, 8)
    assert deliver_after(at(zone, 7, 59, 59), [zone]) == at(zone, 8)


@pytest.mark.parametrize("now_in", ["UTC", "Asia/Kathmandu", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "UTC", "Pacific/Chatham"])
def test_it_does_not_matter_where_the_clock_hangs(now_in: str, zone: str) -> None:
    for minute in range(0, 24 * 60, 5):
        now = at(zone, 0) + timedelta(minutes=minute)
        assert deliver_after(now.astimezone(ZoneInfo(now_in)), [zone]) == deliver_after(now, [zone])


def test_on_the_night_that_clocks_go_forward_morning_comes_an_hour_sooner() -> None:
    held = deliver_after(at("America/New_York", 22, day=8, month=3), ["America/New_York"])

    assert held == datetime(2025, 3, 9, 12, tzinfo=UTC) == at("America/New_York", 8, day=9, month=3)
    assert held - at("America/New_York", 22, day=8, month=3) == timedelta(hours=9)


def test_on_the_night_that_clocks_go_back_morning_comes_an_hour_later() -> None:
    held = deliver_after(at("America/New_York", 22, day=1, month=11), ["America/New_York"])

    assert held == datetime(2025, 11, 2, 13, tzinfo=UTC) == at("America/New_York", 8, day=2, month=11)
    assert held - at("America/New_York", 22, day=1, month=11) == timedelta(hours=11)


@pytest.mark.parametrize("fold", [0, 1])
def test_an_hour_that_comes_twice_is_quiet_both_times(fold: int) -> None:
    now = datetime(2025, 11, 2, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=fold)

    assert deliver_after(now, ["America/New_York"]) == at("America/New_York", 8, day=2)


def test_kathmandu_is_five_hours_and_three_quarters_ahead() -> None:
    assert deliver_after(datetime(2025, 11, 23, 16, 14, tzinfo=UTC), ["Asia/Kathmandu"]) is None
    assert deliver_after(datetime(2025, 11, 23, 16, 15, tzinfo=UTC), ["Asia/Kathmandu"]) == datetime(
        2025, 11, 24, 2, 15, tzinfo=UTC
    )


def test_of_several_zones_the_hour_must_suit_all() -> None:
    zones = ["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"]

    assert deliver_after(at("America/New_York", 10), zones) == at("Pacific/Honolulu", 8)
    assert deliver_after(at("Pacific/Honolulu", 8), zones) is None
    assert deliver_after(at("America/New_York", 21, 59), zones) is None
    assert deliver_after(at("America/New_York", 22), zones) == at("Pacific/Honolulu", 8, day=24)


def test_what_is_held_is_held_until_the_first_moment_that_suits() -> None:
    zones = ["Europe/Madrid", "America/New_York"]
    for quarter in range(96):
        now = datetime(2025, 11, 23, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        then = deliver_after(now, zones) or now
        waited = [now + timedelta(minutes=m) for m in range(0, int((then - now).total_seconds() / 60))]
        assert not any(is_quiet(then, ZoneInfo(zone)) for zone in zones)
        assert all(any(is_quiet(moment, ZoneInfo(zone)) for zone in zones) for moment in waited)


def test_zones_that_share_no_hour_are_refused_by_their_names() -> None:
    with pytest.raises(
        ValueError, match=r"UTC, Asia/Tokyo, America/Los_Angeles have no hour in common outside 22:00 to"
    ):
        deliver_after(datetime(2025, 11, 23, 12, tzinfo=UTC), ["UTC", "Asia/Tokyo", "America/Los_Angeles"])


def test_every_zone_of_today_keeps_to_the_quarter_of_an_hour() -> None:
    for zone in available_timezones():
        offset = datetime(2025, 11, 23, tzinfo=ZoneInfo(zone)).utcoffset()
        assert offset is not None
        assert offset % timedelta(minutes=15) == timedelta(0), zone


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires"])
def test_a_zone_is_known_by_its_name(zone: str) -> None:
    assert is_time_zone(zone)


@pytest.mark.parametrize(
    "zone",
    [None, "", " ", "Mars/Olympus", "America", "../../etc/passwd", "/etc/localtime", "a\x00b", "x" * 200, "+02:00"],
)
def test_what_is_no_zone_is_not_known(zone: str | None) -> None:
    assert not is_time_zone(zone)
