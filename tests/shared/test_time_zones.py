from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest

from shared.time_zones import OTHERS, WINDOWS, time_zone, time_zone_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Europe/Madrid", "Europe/Madrid"),
        (" Europe/Madrid\u00a0", "Europe/Madrid"),
        ("europe/madrid", "Europe/Madrid"),
        ("AMERICA/NEW_YORK", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Madrid", "Europe/Madrid"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
        ("gmt", "UTC"),
        ("UTC+05:30", "UTC+05:30"),
        ("UTC+5:30", "UTC+05:30"),
        ("GMT+1", "UTC+01:00"),
        ("utc -3", "UTC-03:00"),
        ("UTC\u221205:00", "UTC-05:00"),
        ("+0100", "UTC+01:00"),
        ("-08:00", "UTC-08:00"),
        ("+00:00", "UTC"),
        ("Etc/GMT+1", "Etc/GMT+1"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("(GMT-08:00) Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Amsterdam"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("India Standard Time", "Asia/Kolkata"),
        ("Central Standard Time (Mexico)", "America/Mexico_City"),
        ("Cuba Standard Time", "America/Havana"),
        ("Central European Summer Time", "Europe/Warsaw"),
        ("Coordinated Universal Time", "UTC"),
        ("British Summer Time", "Europe/London"),
        ("(UTC-05:00) Eastern Time (US and Canada)", "America/New_York"),
        ("Pacific Time (US &amp; Canada)", "America/Los_Angeles"),
        ("Indiana (East)", "America/Indiana/Indianapolis"),
        ("Europe/Madrid (CET)", "Europe/Madrid"),
        ('"Europe/Madrid"', "Europe/Madrid"),
        ("Europe\\Madrid", "Europe/Madrid"),
        ("GMT\u201305:00", "UTC-05:00"),
        ("Kyiv", "Europe/Kyiv"),
        ("Beijing", "Asia/Shanghai"),
    ],
)
def test_a_time_zone_is_read_in_the_spellings_of_people_and_programs(text: str, name: str) -> None:
    assert time_zone_name(text) == name


NOT_READ = (
    """
Mars/Olympus|America|../../etc/passwd|/etc/localtime|a\x00b|EST|IST|UTC+25|UTC+14:15|UTC+05:37|Eastern|0100|5|local
GMT++1|La Rioja|San Juan|ACT|Petersburg|(UTC+01:00) Nowhere
""".strip()
    .replace("\n", "|")
    .split("|")
)


@pytest.mark.parametrize("text", [None, "", " ", "x" * 200, *NOT_READ])
def test_what_is_ambiguous_or_no_time_zone_is_unknown(text: str | None) -> None:
    assert time_zone_name(text) is None


def test_every_iana_name_is_read_as_itself() -> None:
    unread = {name for name in available_timezones() if time_zone_name(name) != name}
    assert {name for name in unread if "/" in name} == set()
    assert unread >= {"EST", "Factory"}


def test_every_name_of_windows_and_rails_has_a_zone() -> None:
    zones = {row.partition(" = ")[2] for line in (WINDOWS + OTHERS).split("\n") for row in line.split("; ") if row}
    assert zones <= available_timezones()


def test_an_offset_is_east_of_utc() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert noon.astimezone(time_zone("UTC+05:30")).hour == 17
    assert noon.astimezone(time_zone("UTC-03:00")).utcoffset() == timedelta(hours=-3)
    assert noon.astimezone(time_zone("UTC")).hour == 12
    assert noon.astimezone(time_zone("Etc/GMT+1")).hour == 11
