"""What is said of pip-audit's findings. The advisories themselves are not asked."""

import json

from tools.audit import verdict

SAFE = {"name": "safe", "version": "1", "vulns": []}
KNOWN = {"name": "known", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}


def report(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_known_vulnerability_fails() -> None:
    passes, lines = verdict(report(SAFE, KNOWN), "")
    assert not passes
    assert lines == ["known 2 is vulnerable: PYSEC-1", "known 2 is vulnerable: PYSEC-2"]


def test_where_all_was_looked_up_and_nothing_found_it_passes() -> None:
    assert verdict(report(SAFE, SAFE), "") == (True, ["none of 2 dependencies is known to be vulnerable"])


def test_what_was_not_audited_passes_and_is_said() -> None:
    passes, [line] = verdict(report(SAFE, SKIPPED), "")
    assert passes
    assert line == "!!! NOT AUDITED: PyPI here has no advisories about 1 of 2 dependencies"
    passes, [line] = verdict("", "Traceback\nConnectionError: no route\n")
    assert passes
    assert line.startswith("!!! NOT AUDITED")
    assert line.endswith("ConnectionError: no route")


def test_a_vulnerability_fails_although_others_were_not_audited() -> None:
    passes, lines = verdict(report(SKIPPED, KNOWN), "")
    assert not passes
    assert len(lines) == 3
