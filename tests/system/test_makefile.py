"""`make help` is complete, and what it lists can be made."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.processes import without_make

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = [target for target in re.findall(r"^([a-z][\w.%-]*):(?!=)", MAKEFILE, re.MULTILINE)]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=without_make(os.environ))


def test_help_lists_every_target_with_a_line_and_nothing_else() -> None:
    listed = re.findall(r"^  (\S+) +\S", make("help").stdout, re.MULTILINE)
    assert listed == TARGETS


def test_a_target_that_is_no_file_is_phony() -> None:
    phony = re.findall(r"[\w-]+", MAKEFILE.partition(".PHONY:")[2].partition("\n\n")[0].replace("\\\n", ""))
    assert set(phony) == {target for target in TARGETS if "%" not in target}


@pytest.mark.parametrize("target", [target.replace("%", "telco") for target in TARGETS])
def test_a_target_can_be_made(target: str) -> None:
    plan = make("--dry-run", target)
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ([], "--only risk"),
        (["DATA=customers.csv", "MAPPING=mapping.toml"], '--own "customers.csv" --mapping "mapping.toml"'),
        (["DATA=customers.csv"], '--own "customers.csv"'),
    ],
)
def test_the_risk_is_learnt_from_public_data_or_the_users_own(variables: list[str], arguments: str) -> None:
    [command] = [line for line in make("--dry-run", "train-risk", *variables).stdout.splitlines() if "scorer" in line]
    assert command.strip().endswith(f"training.scorer.train {arguments}")


def test_hooks_run_what_check_runs_and_download_nothing() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    check = make("--dry-run", "check").stdout
    assert all(hook["entry"].split("/")[-1] in check for hook in repository["hooks"])


@pytest.mark.slow
def test_targets_that_only_need_setup_import_no_torch() -> None:
    """`make setup` does not install it."""
    targets = [
        target for target, needs in re.findall(r"^([a-z-]+): (.*?) ##", MAKEFILE, re.MULTILINE) if needs == "setup"
    ]
    commands = "".join(make("--dry-run", "--old-file=.venv/ready", target).stdout for target in targets)
    modules = sorted(set(re.findall(r"^\.venv/bin/python -m (training[\w.]*)", commands, re.MULTILINE)))
    assert len(modules) > 3
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
