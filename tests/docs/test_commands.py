"""Every command that README and docs show is tried: what is quick is run, in a copy of the project.

What trains for minutes, needs Docker or serves until it is stopped is not run here: its make target is expanded, and
the modules behind it are asked for their options. The stages themselves run, small, in tests/training and tests/system.
"""

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from shared.settings import Settings
from tests.docs.commands import PYTHON, ROOT, shown
from tests.support.emulators import free_port
from tests.support.processes import without_make

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 120
LINKED = (
    "services",
    "shared",
    "training",
    "tests",
    "tools",
    "deploy",
    "examples",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
)
SHOWN = shown()
MAKE = [command for command, words in SHOWN.items() if words[0] == "make"]
MODULES = [command for command, words in SHOWN.items() if words[:2] == [PYTHON, "-m"]]
ASKING = [command for command, words in SHOWN.items() if words[0] == "curl"]
STATE = ("services dead-letters list", "services replies list", "services erase")
"""Commands that are run on the state which a server leaves."""
SCENARIO = (
    "training.data list",
    "training.data telco-events",
    "services replay examples",
    "services replay telco.jsonl",
    "training.policy.ope.lift",
    "training.policy.ope.dataset",
    "training.policy.ope log.csv",
    "training.scorer.recalibrate",
)
"""Commands that are run, in this order: each takes what those before it left."""
REFUSES = "training.scorer.recalibrate"
"""The one that refuses here, with a reason and exit status 1: so few outcomes are nothing to recalibrate by."""
EVENTS = 1_000
"""Of the Telco file's events that are replayed."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which commands may write."""
    folder = tmp_path_factory.mktemp("project")
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(ROOT / "artifacts", folder / "artifacts")
    return folder


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**without_make(os.environ), "RETENTION_DATA": str(Settings().data), "RETENTION_POLICY": "ppo"}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


@functools.cache
def help_text(*words: str) -> str:
    """What a module, or a subcommand of it, prints for --help."""
    done = run([PYTHON, "-m", *words, "--help"], ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def unknown_options(words: Sequence[str]) -> list[str]:
    """Options in `PYTHON -m MODULE …` that neither the module nor the subcommand named in it has."""
    module, *arguments = words[2:]
    options = [word for word in arguments if word.startswith("--")]
    if not options:
        return []
    known = help_text(module)
    if re.fullmatch(r"[a-z][a-z-]*", arguments[0]) and arguments[0] in known:
        known += help_text(module, arguments[0])
    return [option for option in options if not re.search(rf"{option}\b", known)]


@pytest.mark.parametrize("command", MAKE)
def test_a_make_target_that_the_docs_show_exists_and_its_modules_take_its_options(
    command: str, workspace: Path
) -> None:
    done = run(["make", "-n", *SHOWN[command][1:]], workspace)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        words = shlex.split(line) if line.startswith(f"{PYTHON} -m") else []
        if words[2:3] and words[2].partition(".")[0] in LINKED:
            assert unknown_options(words) == []


@pytest.mark.parametrize("command", [c for c in MODULES if not any(part in c for part in (*SCENARIO, *STATE))])
def test_a_command_that_is_too_long_to_run_here_has_the_options_that_the_docs_show(
    command: str,
) -> None:
    assert unknown_options(SHOWN[command]) == []


@pytest.mark.skipif(not (Settings().data / "telco").is_dir(), reason="the Telco file is not here to replay")
def test_the_commands_for_files_of_events_and_decisions_run_one_after_the_other(workspace: Path) -> None:
    for part in SCENARIO:
        [command] = [command for command in MODULES if part in command]
        done = run(SHOWN[command], workspace)
        assert done.returncode == (part == REFUSES), f"{command}\n{done.stdout}\n{done.stderr}"
        if part == "training.data telco-events":
            events = (workspace / "telco.jsonl").read_text().splitlines()
            (workspace / "telco.jsonl").write_text("\n".join(events[:EVENTS]))
        if part == "services replay telco.jsonl":
            _report_outcomes(workspace)


def _report_outcomes(folder: Path) -> None:
    """All but the last decisions are a quarter old, and each has an outcome, as a user would report it."""
    decisions = [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]
    now = datetime.now(UTC)
    outcomes = []
    for number, decision in enumerate(decisions):
        decided_at = (now - timedelta(days=100 if number < len(decisions) - 10 else 0)).isoformat()
        decision["times"]["decided_at"] = decided_at
        replied = ("accepted", "declined", "churned") if decision["decision"]["contact"] else ("retained", "churned")
        outcomes.append(
            {
                "event_id": decision["event_id"],
                "customer_id": decision["customer_id"],
                "outcome": replied[number % len(replied)],
                "occurred_at": decided_at,
            }
        )
    for name, lines in (("decisions", decisions), ("outcomes", outcomes)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_commands_for_a_running_server_are_answered(workspace: Path) -> None:
    port = str(free_port())
    server = subprocess.Popen([PYTHON, "-m", "services"], cwd=workspace, env={**os.environ, "RETENTION_PORT": port})
    try:
        wait_until_ready(f"http://localhost:{port}/readyz")
        for command in ASKING:
            words = [word.replace("localhost:8080", f"localhost:{port}") for word in SHOWN[command]]
            done = run([*words, "--silent", "--show-error", "--fail"], workspace)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert isinstance(json.loads(done.stdout), dict)
    finally:
        server.terminate()
        server.wait(TIMEOUT_SECONDS)
    for part in STATE:
        [command] = [command for command in MODULES if part in command]
        done = run(SHOWN[command], workspace)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready within {TIMEOUT_SECONDS} s")


def test_every_command_that_the_docs_show_is_tried_here() -> None:
    elsewhere = (
        "docker compose",
        "export",
        f"{PYTHON} examples/",
        "curl",
    )  # test_compose, test_emulators, test_examples
    assert [c for c in SHOWN if c not in MAKE + MODULES + ASKING and not c.startswith(elsewhere)] == []
