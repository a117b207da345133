"""Time zones as people and programs write them: IANA names, offsets from UTC, and names of Windows and Rails."""

import html
import re
import unicodedata
from collections import Counter
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

from shared.values import BLANKS

WINDOWS = """
Afghanistan = Asia/Kabul; Alaskan = America/Anchorage; Arab = Asia/Riyadh; Arabian = Asia/Dubai
Arabic = Asia/Baghdad; Argentina = America/Argentina/Buenos_Aires; Atlantic = America/Halifax
AUS Central = Australia/Darwin; AUS Eastern = Australia/Sydney; Azerbaijan = Asia/Baku; Azores = Atlantic/Azores
Bangladesh = Asia/Dhaka; Belarus = Europe/Minsk; Canada Central = America/Regina; Cape Verde = Atlantic/Cape_Verde
Caucasus = Asia/Yerevan; Cen. Australia = Australia/Adelaide; Central = America/Chicago
Central America = America/Guatemala; Central Asia = Asia/Almaty; Central Brazilian = America/Cuiaba
Central Europe = Europe/Budapest; Central European = Europe/Warsaw; Central Pacific = Pacific/Guadalcanal
Central (Mexico) = America/Mexico_City; China = Asia/Shanghai; E. Africa = Africa/Nairobi
E. Australia = Australia/Brisbane; E. Europe = Europe/Chisinau; E. South America = America/Sao_Paulo
Eastern = America/New_York; Eastern (Mexico) = America/Cancun; Egypt = Africa/Cairo; Ekaterinburg = Asia/Yekaterinburg
Fiji = Pacific/Fiji; FLE = Europe/Kyiv; Georgian = Asia/Tbilisi; GMT = Europe/London; Greenland = America/Nuuk
Greenwich = Atlantic/Reykjavik; GTB = Europe/Bucharest; Hawaiian = Pacific/Honolulu; India = Asia/Kolkata
Iran = Asia/Tehran; Israel = Asia/Jerusalem; Jordan = Asia/Amman; Korea = Asia/Seoul; Libya = Africa/Tripoli
Mauritius = Indian/Mauritius; Middle East = Asia/Beirut; Montevideo = America/Montevideo; Morocco = Africa/Casablanca
Mountain = America/Denver; Mountain (Mexico) = America/Mazatlan; Myanmar = Asia/Yangon; Namibia = Africa/Windhoek
Nepal = Asia/Kathmandu; New Zealand = Pacific/Auckland; Newfoundland = America/St_Johns; North Asia = Asia/Krasnoyarsk
North Asia East = Asia/Irkutsk; Pacific = America/Los_Angeles; Pacific SA = America/Santiago
Pacific (Mexico) = America/Tijuana; Pakistan = Asia/Karachi; Paraguay = America/Asuncion; Romance = Europe/Paris
Russian = Europe/Moscow; SA Eastern = America/Cayenne; SA Pacific = America/Bogota; SA Western = America/La_Paz
SE Asia = Asia/Bangkok; Singapore = Asia/Singapore; South Africa = Africa/Johannesburg; Sri Lanka = Asia/Colombo
Syria = Asia/Damascus; Taipei = Asia/Taipei; Tasmania = Australia/Hobart; Tokyo = Asia/Tokyo; Turkey = Europe/Istanbul
US Eastern = America/Indiana/Indianapolis; US Mountain = America/Phoenix; Venezuela = America/Caracas
Vladivostok = Asia/Vladivostok; W. Australia = Australia/Perth; W. Central Africa = Africa/Lagos
W. Europe = Europe/Berlin; West Asia = Asia/Tashkent; West Pacific = Pacific/Port_Moresby; Yakutsk = Asia/Yakutsk
Aleutian = America/Adak; Altai = Asia/Barnaul; Astrakhan = Europe/Astrakhan; AUS Central W. = Australia/Eucla
Bahia = America/Bahia; Bougainville = Pacific/Bougainville; Chatham Islands = Pacific/Chatham; Cuba = America/Havana
Easter Island = Pacific/Easter; Haiti = America/Port-au-Prince; Kaliningrad = Europe/Kaliningrad
Kamchatka = Asia/Kamchatka; Line Islands = Pacific/Kiritimati; Lord Howe = Australia/Lord_Howe
Magadan = Asia/Magadan; Magallanes = America/Punta_Arenas; Marquesas = Pacific/Marquesas
N. Central Asia = Asia/Novosibirsk; Norfolk = Pacific/Norfolk; North Korea = Asia/Pyongyang; Omsk = Asia/Omsk
Qyzylorda = Asia/Qyzylorda; Saint Pierre = America/Miquelon; Sakhalin = Asia/Sakhalin; Samoa = Pacific/Apia
Sao Tome = Africa/Sao_Tome; Saratov = Europe/Saratov; South Sudan = Africa/Juba; Sudan = Africa/Khartoum
Tocantins = America/Araguaina; Tomsk = Asia/Tomsk; Tonga = Pacific/Tongatapu; Transbaikal = Asia/Chita
Turks and Caicos = America/Grand_Turk; Ulaanbaatar = Asia/Ulaanbaatar; Volgograd = Europe/Volgograd
W. Mongolia = Asia/Hovd; West Bank = Asia/Hebron; Yukon = America/Whitehorse
"""
"""Names of Windows, without their "Standard Time" (before "(Mexico)"), by the territory 001 of CLDR's windowsZones."""
OTHERS = """
Pacific Time (US & Canada) = America/Los_Angeles; Mountain Time (US & Canada) = America/Denver
Central Time (US & Canada) = America/Chicago; Eastern Time (US & Canada) = America/New_York
Atlantic Time (Canada) = America/Halifax; Pacific Time = America/Los_Angeles; Mountain Time = America/Denver
Central Time = America/Chicago; Eastern Time = America/New_York; Indiana (East) = America/Indiana/Indianapolis
Hawaii = Pacific/Honolulu; Alaska = America/Anchorage; Arizona = America/Phoenix; Saskatchewan = America/Regina
Newfoundland = America/St_Johns; Central America = America/Guatemala; Guadalajara = America/Mexico_City
Quito = America/Lima; Georgetown = America/Guyana; Brasilia = America/Sao_Paulo
Buenos Aires = America/Argentina/Buenos_Aires
Greenland = America/Nuuk; Cape Verde Is. = Atlantic/Cape_Verde; Edinburgh = Europe/London; Bern = Europe/Zurich
St. Petersburg = Europe/Moscow; Pretoria = Africa/Johannesburg; West Central Africa = Africa/Lagos
Abu Dhabi = Asia/Dubai; Islamabad = Asia/Karachi; Mumbai = Asia/Kolkata; New Delhi = Asia/Kolkata
Chennai = Asia/Kolkata; Astana = Asia/Almaty; Ekaterinburg = Asia/Yekaterinburg; Hanoi = Asia/Bangkok
Beijing = Asia/Shanghai; Osaka = Asia/Tokyo; Sapporo = Asia/Tokyo; Canberra = Australia/Canberra
Solomon Is. = Pacific/Guadalcanal; New Caledonia = Pacific/Noumea; Marshall Is. = Pacific/Majuro
Wellington = Pacific/Auckland; Chatham Is. = Pacific/Chatham; American Samoa = Pacific/Pago_Pago
Midway Island = Pacific/Midway; Samoa = Pacific/Apia; Zulu = UTC; Z = UTC; UTC = UTC; GMT = UTC
Coordinated Universal Time = UTC; Universal Time = UTC; Greenwich Mean Time = UTC; British Summer Time = Europe/London
Central European Time = Europe/Berlin; Eastern European Time = Europe/Athens; Western European Time = Europe/Lisbon
Hawaii-Aleutian Standard Time = Pacific/Honolulu; Alaska Time = America/Anchorage; Hawaii Time = Pacific/Honolulu
"""
"""Names that Ruby on Rails offers, and people write, which no IANA name ends with."""
AMBIGUOUS = set("est mst north south west act eastern central pacific mountain local localtime".split())
"""Not read. IANA's EST and MST have no daylight saving time, which who writes EST seldom means."""

_offset = re.compile(r"(?:utc|gmt|z)? ?([+-]) ?(\d{1,2})(?::?([0-5]\d))?")
_dash = re.compile("[‐-―−]")
_abbreviation = re.compile(r"(?<=[a-z]) \([a-z]{2,5}\)$")  # Europe/Madrid (CET)
_display_prefix = re.compile(r"^\((?:utc|gmt)[^)]*\) ?")
MAX_OFFSET, QUARTER_HOUR = timedelta(hours=14), timedelta(minutes=15)
"""The largest offset in use; and each one is a multiple of a quarter of an hour."""


@lru_cache(maxsize=4096)
def time_zone_name(text: str | None) -> str | None:
    """The IANA name of a time zone, or its offset such as UTC+05:30, in one spelling; None if it is not known.

    An offset is east of UTC if it is positive, as people write it; `Etc/GMT+1`, a name of IANA, is west.
    """
    if not text or len(text) > 100:
        return None
    plain = _dash.sub("-", unicodedata.normalize("NFKC", html.unescape(text)).casefold()).strip(f"{BLANKS}\"';,")
    plain = " ".join(plain.replace("_", " ").replace("\\", "/").split()).replace("(us and canada)", "(us & canada)")
    if prefix := _display_prefix.match(plain):  # (UTC+01:00) Amsterdam, Berlin, Bern
        plain = plain[prefix.end() :]
        return _names().get(plain) or _names().get(plain.partition(",")[0])
    if name := _names().get(plain) or _names().get(_abbreviation.sub("", plain)):
        return name
    if match := _offset.fullmatch(plain):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if offset <= MAX_OFFSET and not offset % QUARTER_HOUR:
            return f"UTC{match[1]}{match[2]:0>2}:{match[3] or '00'}" if offset else "UTC"
    return None


@cache
def time_zone(name: str) -> tzinfo:
    """The time zone of a name that `time_zone_name` returned."""
    if name == "UTC":
        return UTC
    if not name.startswith("UTC"):
        return ZoneInfo(name)
    offset = timedelta(hours=int(name[4:6]), minutes=int(name[7:9]))
    return timezone(offset if name[3] == "+" else -offset)


@cache
def zone_names(name: str) -> tuple[str, ...]:
    """The zone's name, and the others that the IANA database has for it, such as America/New_York for US/Eastern."""
    target = _links().get(name, name)
    return tuple({name, target, *(link for link, linked in _links().items() if linked == target)})


@cache
def _links() -> dict[str, str]:
    """The zone that each other name of the IANA database stands for."""
    lines = files("tzdata").joinpath("zoneinfo/tzdata.zi").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line.startswith("L "))
    return {link: target for _, target, link in pairs}


@cache
def _names() -> dict[str, str]:
    """Names by their plain spelling: lower case, with spaces for underscores."""
    iana = {name.casefold().replace("_", " "): name for name in available_timezones() if name != "Factory"}
    cities = [(plain.rpartition("/")[2], name) for plain, name in iana.items() if plain.count("/") == 1]
    count = Counter(city for city, _ in cities)
    names = {city: name for city, name in cities if count[city] == 1 and not city.startswith(("gmt", "uct", "utc"))}
    names |= iana
    for kind in ("standard", "daylight", "summer"):
        names |= {
            f"{name.removesuffix(' (mexico)')} {kind} time{' (mexico)' * name.endswith(' (mexico)')}": zone
            for name, zone in _table(WINDOWS)
        }
    names |= dict(_table(OTHERS))
    return {plain: name for plain, name in names.items() if plain not in AMBIGUOUS}


def _table(text: str) -> list[tuple[str, str]]:
    rows = (row.split(" = ") for line in text.strip().splitlines() for row in line.split("; "))
    return [(name.casefold(), zone) for name, zone in rows]
