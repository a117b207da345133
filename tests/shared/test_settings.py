import json
import logging

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
