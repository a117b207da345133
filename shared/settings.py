"""The settings, from environment variables such as `RETENTION_BUDGET`. No other module reads the environment."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import from_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.artifacts import ARTIFACTS
from shared.time_zones import time_zone_name

LOCAL_HASH_KEY = SecretStr("a key that everybody knows")
"""The default hash key. It is public, so it is for trying things out only."""


TOOLS = {"RETENTION_REQUIRE_EMULATORS"}
"""Variables with the prefix of the settings that are read elsewhere: this one by the tests."""
KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""Variables that Kubernetes sets in every container, for services whose names begin with the prefix."""
Item = TypeVar("Item")


def _items(value: object) -> object:
    """The items of a list that is written as in JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", '"')):
        return [item for item in map(str.strip, value.split(",")) if item]
    try:
        items = from_json(value)
    except ValueError as error:
        raise ValueError("neither a JSON list nor items separated by commas") from error
    return [items] if isinstance(items, str) else items


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise ValueError(f"{value} is not a port; choose 1 to 65535")
    return port


def _url(value: str) -> str:
    if not re.match(r"https?://[^/\s]", value):
        raise ValueError(f"{value!r} is not a URL; begin with http:// or https://")
    return value


def _url_of_service(value: str) -> str:
    try:
        _url(value.format(service="service"))
    except (LookupError, AttributeError) as error:
        raise ValueError(f"{value!r} has other braces than {{service}}, which is the name of the service") from error
    return value


Items = Annotated[tuple[Item, ...], NoDecode, BeforeValidator(_items)]
URL = Annotated[str, AfterValidator(_url)]


def _time_zone(text: str) -> str:
    if name := time_zone_name(text):
        return name
    raise ValueError(f"{text!r} is not a time zone; write its IANA name, such as Europe/Madrid, or UTC+05:30")


def _time_of_day(value: object) -> object:
    """A time such as 22:00, 22 or 9 pm, at a quarter of an hour."""
    if isinstance(value, time):
        return value
    if match := re.fullmatch(r"(\d{1,2})(?:[:.](00|15|30|45)(?::00)?)? ?(am|pm)?", str(value).strip().casefold()):
        hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
        if half and 1 <= hour <= 12:
            return time(hour % 12 + 12 * (half == "pm"), minute)
        if not half and (hour <= 23 or (hour, minute) == (24, 0)):
            return time(hour % 24, minute)
    raise ValueError(f"{value!r} is not a time; write one at a quarter of an hour, such as 22:00 or 21:30")


def _zone_hours(value: object) -> object:
    """The prefix, start and end in a text such as America/=21:00-08:00."""
    if not isinstance(value, str):
        return value
    prefix, _, hours = value.partition("=")
    start, dash, end = hours.partition("-")
    if not prefix.strip() or not dash:
        raise ValueError(f"{value!r} is not a zone with its quiet hours; write them as America/=21:00-08:00")
    if not any(name.casefold().startswith(prefix.strip().casefold()) for name in available_timezones()):
        raise ValueError(f"no time zone's name begins with {prefix.strip()!r}; write America/ or Europe/Madrid")
    if _time_of_day(start) == _time_of_day(end):
        raise ValueError(f"{value!r} has no quiet hours; they end at another time than they begin")
    return prefix.strip(), start, end


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]


class Settings(BaseSettings):
    """The settings, each with a default that runs the system on one machine. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="RETENTION_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may be a secret
    )

    project: str = "retention-local"
    """Id of the Google Cloud project. The gateway takes publish requests for this project only."""
    artifacts: Path = ARTIFACTS
    """Folder of the trained models."""
    state: Path = Path("state/retention.sqlite")
    """SQLite file in which `python -m services` stores its state."""
    data: Path = ARTIFACTS.parent.parent / "shared" / "data"
    """Folder with copies of the public data sets. Training looks here first, and downloads what is missing."""
    kaggle_username: str | None = Field(default=None, validation_alias="KAGGLE_USERNAME")
    """User name at Kaggle, with which the Telco data set is downloaded from there."""
    kaggle_key: SecretStr | None = Field(default=None, validation_alias="KAGGLE_KEY")
    """API key at Kaggle; the file `~/.kaggle/kaggle.json` can be used instead of both variables."""
    port: Annotated[int, BeforeValidator(_port)] = 8080
    """Port of the gateway of `python -m services`."""
    hash_key: SecretStr = Field(default=LOCAL_HASH_KEY, min_length=16)
    """Secret key, at least 16 characters, that replaces customer ids by hashes in logs and in the list of customers who
    opted out. Set it before the first start: it can never be changed."""
    pubsub_emulator_host: str | None = Field(default=None, validation_alias="PUBSUB_EMULATOR_HOST")
    """Host and port of the Pub/Sub emulator (`PUBSUB_EMULATOR_HOST`), which Google's clients read too. Where it is set,
    the command `dead-letters` uses the emulator."""
    push_url: Annotated[str, AfterValidator(_url_of_service)] = "http://{service}:8080/"
    """URL that Pub/Sub pushes messages to; `{service}` is replaced by the name of the service."""
    push_account: str | None = None
    """Service account whose identity token Pub/Sub sends with each push. Without it, anybody can push."""
    push_audience: str = "retention"
    """Audience of that token. On Cloud Run with authentication, set it as a custom audience of the services."""
    certs_url: URL = "https://www.googleapis.com/oauth2/v1/certs"
    """URL of the certificates that verify Google's identity tokens."""
    api_keys: Items[Annotated[SecretStr, Field(min_length=16)]] = ()
    """API keys, separated by commas, each at least 16 characters, accepted by the gateway in the header `X-API-Key`.
    Without `RETENTION_API_KEYS` and `RETENTION_CALLERS`, anybody can use the gateway."""
    callers: Items[str] = ()
    """Google accounts, separated by commas, whose identity tokens the gateway accepts in the header
    `Authorization: Bearer`."""
    callers_audience: str = "retention"
    """Audience of the callers' tokens."""
    rate: float = Field(default=1000, gt=0)
    """Requests per second that each caller may send to each instance of the gateway; more are answered with 429."""

    policy: Literal["ppo", "baseline", "index"] = "ppo"
    """Policy that decides: `ppo` (the trained network), `index` (a dynamic program for each customer, at the current
    price of the budget) or `baseline` (the best single contact)."""
    explore: float = Field(default=0, ge=0, le=1)
    """Share of decisions, 0 to 1, that are sampled instead of taking the best action. The probability of each action is
    in the decision's metadata."""
    writer: Literal["template", "local", "vllm"] = "local"
    """Writer of the messages: `template` (fixed texts), `local` (the trained model, on this machine's processor) or
    `vllm` (a model on a vLLM server)."""
    writer_seconds: float = Field(default=2, gt=0, le=60)
    """Seconds that the model may take to write a batch of messages, above 0 and up to 60; then templates are used."""
    writer_candidates: int = Field(default=2, ge=1, le=16)
    """Candidates that the model writes for each message, 1 to 16. The best that breaks no safety rule is sent."""
    vllm_url: URL = "http://localhost:8000"
    """URL of the vLLM server."""
    vllm_model: str = "messenger"
    """Name of the model on the vLLM server: of the merged weights, or of the LoRA module."""

    budget: float = Field(default=5_000, ge=0, le=1e12)
    """Budget for discounts, in your currency."""
    budget_days: int = Field(default=90, ge=1, le=3650)
    """Days over which the budget is spent, 1 to 3,650, from the first start; then they start again with what is left.
    The shadow price of the budget rises when spending is ahead of plan, and falls when it is behind."""
    budget_shards: int | None = Field(default=None, ge=1, le=400)
    """Number of Firestore documents that the budget is split into, 1 to 400: at least the number of offers per second.
    By default one for each 200 of the budget, but no more than 256."""
    cooldown_days: float = Field(default=14, ge=0, le=3650)
    """Days between two contacts of the same customer, 0 to 3,650."""
    fatigue_cap: int = Field(default=3, ge=0)
    """Most contacts of the same customer within the fatigue window; 0 forbids all contact."""
    fatigue_window_days: float = Field(default=90, gt=0, le=3650)
    """Length of the fatigue window, in days, above 0 and up to 3,650."""
    bounce_limit: int = Field(default=3, ge=0, le=20)
    """Messages in a row that bounce, 1 to 20, until contact with a customer pauses; 0 turns this off."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Share of customers, 0 to 1, in the control group. They are never contacted, so that the effect of contact can be
    measured."""
    holdout_salt: str = "retention"
    """Text that the choice of the control group depends on; another text chooses other customers."""
    offer_days: int = Field(default=14, ge=1, le=365)
    """Days that a customer has to accept an offer, 1 to 365."""
    unread_reply_days: float = Field(default=30, gt=0, le=3650)
    """Days that an unclear reply waits for a person to read it, above 0 and up to 3,650; then it counts as a request to
    stop."""
    keep_days: float = Field(default=365, gt=0, le=3650)
    """Days after their last change when decisions and the state of customers are deleted, above 0 and up to 3,650."""
    time_zones: Annotated[Items[Annotated[str, AfterValidator(_time_zone)]], Field(min_length=1)] = (
        "America/New_York",
        "America/Los_Angeles",
        "Pacific/Honolulu",
    )
    """Time zones where your customers live, separated by commas. A customer whose time zone is unknown gets
    messages only when all of them are outside quiet hours."""
    quiet_from: TimeOfDay = time(22)
    """Local time of the customer from which no message is sent. The rules of the United States ask for 21:00."""
    quiet_until: TimeOfDay = time(8)
    """Local time of the customer until which no message is sent."""
    quiet_hours_by_zone: Items[Annotated[tuple[str, TimeOfDay, TimeOfDay], BeforeValidator(_zone_hours)]] = ()
    """Other quiet hours for time zones whose names begin alike, separated by commas, such as
    `America/=21:00-08:00,Europe/Paris=20:00-10:00`. The longest beginning counts. Where
    only an offset from UTC is known, all of these hours are quiet."""
    usual_bill: float = Field(default=65, gt=0, le=1e9)
    """Usual monthly bill of a customer, in your currency. A bill of more than a hundred times as much may be in cents:
    it is counted and not believed, so that customer gets no discount."""
    answer_seconds: float = Field(default=5, gt=0)
    """Seconds that `POST /retain` waits for the decision, above 0; then it answers where to ask for it."""

    @field_validator("quiet_until")
    @classmethod
    def _after_quiet_from(cls, value: time, info: ValidationInfo) -> time:
        if value == info.data.get("quiet_from"):
            raise ValueError("the same as RETENTION_QUIET_FROM; quiet hours end at another time than they begin")
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := _unknown_variables(os.environ):
            raise ValueError("; ".join(unknown))
        return self

    @classmethod
    def from_environment(cls) -> Self:
        """The settings. Where variables are wrong, prints a line about each and ends the program with status 2."""
        try:
            return cls()
        except ValidationError as error:
            lines = [*_problems(error), *_unknown_variables(os.environ)]
        print("\n".join(lines), file=sys.stderr)
        sys.exit(2)


def _variable(name: str) -> str:
    """The environment variable of a field."""
    return str(Settings.model_fields[name].validation_alias or f"RETENTION_{name.upper()}")


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line about each variable that looks like a setting and is none: the wrong budget is worse than no start."""
    known = {_variable(name) for name in Settings.model_fields}
    names = [name.removeprefix("RETENTION_") for name in known]
    lines = []
    for name, value in sorted(environment.items()):
        variable = name.upper()
        if not value or not variable.startswith("RETENTION_") or variable in known | TOOLS:
            continue
        if not KUBERNETES.fullmatch(variable):
            nearest = get_close_matches(variable.removeprefix("RETENTION_"), names, 1)
            hint = f"did you mean RETENTION_{nearest[0]}?" if nearest else "docs/operate.md lists them all"
            lines.append(f"{name}: there is no such setting; {hint}")
    return lines


def _problems(error: ValidationError) -> Iterator[str]:
    """A line about each variable that is wrong. None quotes a secret."""
    problems: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        if detail["loc"]:
            location = str(detail["loc"][0])
            name = location if location in Settings.model_fields else _field_of(location)
            problems.setdefault(name, []).append(_problem(Settings.model_fields[name], detail["input"], detail))
    return (f"{_variable(name)}: {'; '.join(dict.fromkeys(texts))}" for name, texts in problems.items())


def _field_of(variable: str) -> str:
    return next(name for name in Settings.model_fields if _variable(name) == variable)


def _problem(field: FieldInfo, value: object, detail: Mapping[str, Any]) -> str:
    limits = {type(limit).__name__: getattr(limit, type(limit).__name__.lower(), None) for limit in field.metadata}
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{value} is out of range; choose {_range(limits)}"
        case "float_parsing" | "finite_number":
            return f"{value!r} is not a number; choose {_range(limits)}"
        case "int_parsing" | "int_from_float":
            return f"{value!r} is not a whole number; choose {_range(limits)}"
        case "literal_error":
            return f"{detail['msg']}, not {value!r}"
        case "string_too_short" | "too_short":
            least = detail["ctx"]["min_length"]
            return f"too short; give at least {least} {'characters' if least > 1 else 'of them'}"
        case _:
            return str(detail["msg"])


def _range(limits: Mapping[str, Any]) -> str:
    """What may be chosen, in words."""
    low = f"above {limits['Gt']:,}" if "Gt" in limits else f"{limits.get('Ge', 0):,}"
    if "Le" in limits:
        return f"{low} {'and up ' if 'Gt' in limits else ''}to {limits['Le']:,.0f}"
    return low if "Gt" in limits else f"{low} or more"
