import json
import logging
import os
import subprocess
import sys
from datetime import time

import pytest
from pydantic import ValidationError

import shared
from shared import telemetry
from shared.settings import Settings


def test_settings_are_read_from_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_BUDGET", "20000")
    monkeypatch.setenv("RETENTION_TIME_ZONES", '["Europe/Madrid"]')
    assert Settings().budget == 20_000
    assert Settings().time_zones == ("Europe/Madrid",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("POLICY", "magic"), ("BUDGET", "-1"), ("TIME_ZONES", '["Mars/Phobos"]'), ("HOLDOUT_SHARE", "2")],
)
def test_an_invalid_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"RETENTION_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_package_shared_is_this_repositorys() -> None:
    assert shared.__file__ is not None
    assert shared.__file__.endswith("shared/__init__.py")


def test_a_log_line_is_json_with_its_severity_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.start()
    try:
        telemetry.log("ready", service="scorer")
        telemetry.log_failure("scorer", "e1", OSError("not now"))
    finally:
        logging.getLogger("retention").handlers = []
        logging.getLogger("retention").propagate = True
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first == {"severity": "INFO", "message": "ready", "service": "scorer"}
    assert second["severity"] == "ERROR"
    assert "not now" in second["exception"]


@pytest.mark.parametrize(
    ("value", "zones"),
    [
        ("Europe/Madrid", ["Europe/Madrid"]),
        (" Europe/Madrid , UTC,", ["Europe/Madrid", "UTC"]),
        ('["Europe/Madrid", "UTC"]', ["Europe/Madrid", "UTC"]),
        ('"Europe/Madrid"', ["Europe/Madrid"]),
        (' [\n"UTC"\n] ', ["UTC"]),
    ],
)
def test_a_list_is_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, value: str, zones: list[str]
) -> None:
    monkeypatch.setenv("RETENTION_TIME_ZONES", value)
    assert list(Settings().time_zones) == zones


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("a key of sixteen or more", ["a key of sixteen or more"]),
        ("first-key-of-sixteen,second-key-of-sixteen", ["first-key-of-sixteen", "second-key-of-sixteen"]),
        ('["with,a,comma,in,itself"]', ["with,a,comma,in,itself"]),
    ],
)
def test_keys_and_callers_are_lists_too(monkeypatch: pytest.MonkeyPatch, value: str, keys: list[str]) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", value)
    monkeypatch.setenv("RETENTION_CALLERS", "crm@example.com, app@example.com")
    assert [key.get_secret_value() for key in Settings().api_keys] == keys
    assert Settings().callers == ("crm@example.com", "app@example.com")


@pytest.mark.parametrize(
    "name", ["BUDGET", "PORT", "API_KEYS", "HASH_KEY", "PUSH_ACCOUNT", "STATE", "TIME_ZONES", "NEW"]
)
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = Settings()
    monkeypatch.setenv(f"RETENTION_{name}", "")
    assert Settings() == default


WRONG = [
    ("PORT", "80800", "80800 is not a port; choose 1 to 65535"),
    ("PORT", "0", "0 is not a port; choose 1 to 65535"),
    ("PORT", "-1", "-1 is not a port; choose 1 to 65535"),
    ("PORT", "http", "http is not a port; choose 1 to 65535"),
    ("PORT", "80.5", "80.5 is not a port; choose 1 to 65535"),
    ("BUDGET", "inf", "'inf' is not a number; choose 0 to 1,000,000,000,000"),
    ("BUDGET", "nan", "'nan' is not a number; choose 0 to 1,000,000,000,000"),
    ("BUDGET", "1e300", "1e300 is out of range; choose 0 to 1,000,000,000,000"),
    ("BUDGET", "5,000", "'5,000' is not a number; choose 0 to 1,000,000,000,000"),
    ("BUDGET", "-5", "-5 is out of range; choose 0 to 1,000,000,000,000"),
    ("BUDGET_DAYS", "0", "0 is out of range; choose 1 to 3,650"),
    ("BUDGET_DAYS", "1.5", "'1.5' is not a whole number; choose 1 to 3,650"),
    ("BUDGET_DAYS", "ninety", "'ninety' is not a whole number; choose 1 to 3,650"),
    ("RATE", "-inf", "'-inf' is not a number; choose above 0"),
    ("ANSWER_SECONDS", "0", "0 is out of range; choose above 0"),
    ("WRITER_SECONDS", "61", "61 is out of range; choose above 0 and up to 60"),
    ("FATIGUE_CAP", "-1", "-1 is out of range; choose 0 or more"),
    ("EXPLORE", "5%", "'5%' is not a number; choose 0 to 1"),
    ("POLICY", "magic", "Input should be 'ppo', 'baseline' or 'index', not 'magic'"),
    (
        "TIME_ZONES",
        "Mars/Phobos",
        "'Mars/Phobos' is not a time zone; write its IANA name, such as Europe/Madrid, or UTC+05:30",
    ),
    ("TIME_ZONES", "UTC;CET", "'UTC;CET' is not a time zone; write its IANA name, such as Europe/Madrid, or UTC+05:30"),
    ("TIME_ZONES", "[]", "too short; give at least 1 of them"),
    ("CALLERS", '["a', "neither a JSON list nor items separated by commas"),
    ("VLLM_URL", "localhost:8000", "'localhost:8000' is not a URL; begin with http:// or https://"),
    ("PUSH_URL", "http://{svc}/", "'http://{svc}/' has other braces than {service}, which is the name of the service"),
    ("BUGDET", "7", "there is no such setting; did you mean RETENTION_BUDGET?"),
    ("TIMEZONES", "UTC", "there is no such setting; did you mean RETENTION_TIME_ZONES?"),
    ("HOLDOUT", "0.1", "there is no such setting; did you mean RETENTION_HOLDOUT_SALT?"),
    ("XYZZY", "1", "there is no such setting; docs/operate.md lists them all"),
]


@pytest.mark.parametrize(("name", "value", "line"), WRONG)
def test_a_wrong_variable_is_one_line_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(f"RETENTION_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
    with pytest.raises(SystemExit, match="2"):
        Settings.from_environment()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    if name != "HOLDOUT":
        assert said == f"RETENTION_{name}: {line}\n"


def test_each_wrong_variable_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"PORT": "0", "BUDGET": "inf", "POLICY": "magic", "BUGDET": "9", "TIME_ZONES": "Mars,Venus,UTC"}
    for name, value in wrong.items():
        monkeypatch.setenv(f"RETENTION_{name}", value)
    with pytest.raises(SystemExit):
        Settings.from_environment()
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(f"RETENTION_{name}" for name in wrong)


@pytest.mark.parametrize("name", ["HASH_KEY", "API_KEYS"])
@pytest.mark.parametrize("secret", ["hunter2", '["hunter2"', '["hunter2"]', "hunter2,a-key-of-sixteen-or-more"])
def test_no_error_quotes_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, secret: str
) -> None:
    if name == "HASH_KEY" and len(secret) >= 16:
        return
    monkeypatch.setenv(f"RETENTION_{name}", secret)
    with pytest.raises(ValidationError) as error:
        Settings()
    with pytest.raises(SystemExit):
        Settings.from_environment()
    said = capsys.readouterr()
    assert f"RETENTION_{name}: " in said.err
    assert "hunter2" not in said.err + said.out + str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUIRE_EMULATORS", "1"),
        ("GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("GATEWAY_SERVICE_PORT_HTTP", "80"),
        ("GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("GATEWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_what_the_tests_or_kubernetes_set_is_no_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RETENTION_{name}", value)
    Settings.from_environment()


@pytest.mark.parametrize(
    "command",
    [
        ["services"],
        ["services", "dead-letters", "list"],
        ["services", "erase", "c"],
        ["services", "replay", "in.jsonl", "out.jsonl"],
        ["deploy.topology"],
        ["training.data", "list"],
        ["training.scorer.train"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_every_command_refuses_a_misspelt_setting_in_one_line(command: list[str]) -> None:
    environment = {**os.environ, "RETENTION_BUGDET": "20000"}
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr == "RETENTION_BUGDET: there is no such setting; did you mean RETENTION_BUDGET?\n"


@pytest.mark.slow
@pytest.mark.parametrize("service", ["scorer", "gateway"])
def test_every_container_refuses_wrong_settings_in_a_line_each(service: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", f"services.{service}.app:create", "--port", "0"]
    environment = {**os.environ, "RETENTION_BUGDET": "20000", "RETENTION_EXPLORE": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        "RETENTION_EXPLORE: 2 is out of range; choose 0 to 1",
        "RETENTION_BUGDET: there is no such setting; did you mean RETENTION_BUDGET?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("21:00", time(21)), ("21", time(21)), ("9pm", time(21)), ("9:30 PM", time(21, 30)), ("24:00", time(0))),
        *(("21.15", time(21, 15)), ("12am", time(0)), ("12 pm", time(12)), ("07:45:00", time(7, 45))),
    ],
)
def test_quiet_hours_are_written_in_the_usual_ways(monkeypatch: pytest.MonkeyPatch, text: str, expected: time) -> None:
    monkeypatch.setenv("RETENTION_QUIET_FROM", text)
    assert Settings().quiet_from == expected


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("QUIET_FROM", "late", "is not a time"),
        ("QUIET_FROM", "25:00", "is not a time"),
        ("QUIET_FROM", "21:10", "quarter of an hour"),
        ("QUIET_UNTIL", "22:00", "end at another time"),
        ("QUIET_HOURS_BY_ZONE", "America/", "write them as America/=21:00-08:00"),
        ("QUIET_HOURS_BY_ZONE", "America/=21:00-late", "is not a time"),
        ("QUIET_HOURS_BY_ZONE", "Europe/=8-8", "has no quiet hours"),
        ("QUIET_HOURS_BY_ZONE", "Europa/=21:00-08:00", "no time zone's name begins with 'Europa/'"),
    ],
)
def test_quiet_hours_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"RETENTION_{name}", value)
    with pytest.raises(SystemExit):
        Settings.from_environment()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"RETENTION_{name}: ")
    assert problem in line


def test_zones_have_quiet_hours_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_QUIET_HOURS_BY_ZONE", "America/=21:00-8, Europe/Paris=8pm-10:00")
    assert Settings().quiet_hours_by_zone == (
        ("America/", time(21), time(8)),
        ("Europe/Paris", time(20), time(10)),
    )
