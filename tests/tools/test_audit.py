"""The verdict on pip-audit's reports, without asking for advisories."""

import json
from collections.abc import Mapping

from tools.audit import verdict

SAFE = {"name": "safe", "version": "1", "vulns": []}
VULNERABLE = {"name": "vulnerable", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}


def report(*dependencies: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_known_vulnerability_fails() -> None:
    passes, lines = verdict(report(SAFE, VULNERABLE), "")
    assert not passes
    assert lines == ["vulnerable 2 is vulnerable: PYSEC-1", "vulnerable 2 is vulnerable: PYSEC-2"]


def test_it_passes_where_no_dependency_has_a_known_vulnerability() -> None:
    assert verdict(report(SAFE, SAFE), "") == (True, ["none of 2 dependencies has a known vulnerability"])


def test_dependencies_that_could_not_be_checked_pass_and_are_reported() -> None:
    passes, [line] = verdict(report(SAFE, SKIPPED), "")
    assert passes
    assert line == "!!! NOT AUDITED: PyPI has no advisories about 1 of 2 dependencies"
    passes, [line] = verdict("", "Traceback\nConnectionError: no route\n")
    assert passes
    assert line.startswith("!!! NOT AUDITED")
    assert line.endswith("ConnectionError: no route")


def test_a_vulnerability_fails_although_others_could_not_be_checked() -> None:
    passes, lines = verdict(report(SKIPPED, VULNERABLE), "")
    assert not passes
    assert len(lines) == 3
