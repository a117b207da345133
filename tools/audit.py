"""Check the dependencies in requirements.lock for known vulnerabilities, by PyPI's advisories; any of them fails.

Where the advisories cannot be downloaded the check passes, so that work goes on without a network, and says so.
"""

import json
import subprocess
import sys

COMMAND = (
    "pip_audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off --format json"
)


def verdict(report: str, errors: str) -> tuple[bool, list[str]]:
    """Whether the check passes, and lines to print, from what pip-audit wrote to its output and its error output."""
    try:
        dependencies = json.loads(report)["dependencies"]
    except ValueError:
        last_line = errors.strip().rpartition("\n")[2]
        return True, [f"!!! NOT AUDITED: no dependency was checked for vulnerabilities: {last_line}"]
    lines = [f"{d['name']} {d['version']} is vulnerable: {v['id']}" for d in dependencies for v in d.get("vulns", ())]
    passes = not lines
    if skipped := sum("skip_reason" in d for d in dependencies):
        lines.append(f"!!! NOT AUDITED: PyPI has no advisories about {skipped} of {len(dependencies)} dependencies")
    return passes, lines or [f"none of {len(dependencies)} dependencies has a known vulnerability"]


if __name__ == "__main__":
    audit = subprocess.run([sys.executable, "-m", *COMMAND.split()], capture_output=True, text=True)
    passes, lines = verdict(audit.stdout, audit.stderr)
    print("\n".join(lines))
    sys.exit(not passes)
