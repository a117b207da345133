"""Known vulnerabilities of what requirements.lock pins, by PyPI's advisories: any of them fails.

Where the advisories cannot be had it passes, since work goes on without a network, and says so.
"""

import json
import subprocess
import sys

COMMAND = (
    "pip_audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off --format json"
)


def verdict(report: str, trouble: str) -> tuple[bool, list[str]]:
    """Whether it passes, and what is to be said; from what pip-audit wrote to its output, and to its errors."""
    try:
        dependencies = json.loads(report)["dependencies"]
    except ValueError:
        why = trouble.strip().rpartition("\n")[2]
        return True, [f"!!! NOT AUDITED: no dependency was looked up for vulnerabilities: {why}"]
    lines = [f"{d['name']} {d['version']} is vulnerable: {v['id']}" for d in dependencies for v in d.get("vulns", ())]
    passes = not lines
    if skipped := sum("skip_reason" in d for d in dependencies):
        lines.append(
            f"!!! NOT AUDITED: PyPI here has no advisories about {skipped} of {len(dependencies)} dependencies"
        )
    return passes, lines or [f"none of {len(dependencies)} dependencies is known to be vulnerable"]


if __name__ == "__main__":
    done = subprocess.run([sys.executable, "-m", *COMMAND.split()], capture_output=True, text=True)
    passes, lines = verdict(done.stdout, done.stderr)
    print("\n".join(lines))
    sys.exit(not passes)
