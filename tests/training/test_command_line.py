from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from training.command_line import add_options, check_output, field_docstrings, from_options


@dataclass(frozen=True)
class BaseArgs:
    num_updates: int = 3
    """Number of updates,
    90 % of them useful."""


@dataclass(frozen=True)
class Args(BaseArgs):
    rule: Literal["fast", "slow"] = "fast"
    """Rule of the updates."""
    budgets: tuple[float, ...] = (0.1, 0.5)
    """Budgets."""
    masked: bool = True
    """Mask actions."""


def parser(with_defaults: bool = True) -> ArgumentParser:
    parser = ArgumentParser()
    add_options(parser, Args, with_defaults)
    return parser


def test_every_field_has_an_option_with_its_type_and_default() -> None:
    assert from_options(Args, parser().parse_args([])) == Args()

    arguments = "--num-updates 7 --rule slow --budgets 0.2 0.3 --no-masked".split()
    options = parser().parse_args(arguments)

    assert vars(options) == {"num_updates": 7, "rule": "slow", "budgets": [0.2, 0.3], "masked": False}


def test_without_defaults_only_the_given_options_are_set() -> None:
    assert vars(parser(with_defaults=False).parse_args([])) == {}
    assert vars(parser(with_defaults=False).parse_args(["--num-updates", "7"])) == {"num_updates": 7}


def test_a_value_outside_the_literal_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--rule", "odd"])

    assert "choose from 'fast', 'slow'" in capsys.readouterr().err


@pytest.mark.parametrize("with_defaults", [True, False])
def test_the_help_has_the_docstring_and_the_default_of_each_field(with_defaults: bool) -> None:
    text = " ".join(parser(with_defaults).format_help().split())

    assert "Number of updates, 90 % of them useful. (default: 3)" in text
    assert "Budgets. (default: 0.1 0.5)" in text


def test_docstrings_of_inherited_fields_are_found() -> None:
    assert list(field_docstrings(Args)) == ["num_updates", "rule", "budgets", "masked"]


@pytest.mark.parametrize("output", ["log.jsonl", "./folder/../log.jsonl", "symbolic", "hard", "nowhere/out.csv"])
def test_an_output_that_is_an_input_or_has_no_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    log = Path("log.jsonl")
    log.touch()
    Path("symbolic").symlink_to(log)
    Path("hard").hardlink_to(log)
    with pytest.raises(SystemExit, match="2"):
        check_output(ArgumentParser(), Path(output), (None, log))
    assert ("is not a folder" if "nowhere" in output else "would be overwritten") in capsys.readouterr().err
    for good in (None, Path("folder/log.jsonl"), Path("other")):
        check_output(ArgumentParser(), good, (None, log))
