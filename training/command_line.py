"""Command-line options for the fields of a dataclass: the docstring under a field is the help of its option."""

import ast
import inspect
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, TypeVar, get_args, get_origin

from shared.json_files import is_same_file

A = TypeVar("A")


def add_options(parser: ArgumentParser, args_class: type, with_defaults: bool = True) -> None:
    """Add an option for each field of the dataclass.

    Without `with_defaults`, the parsed options hold only what the command line gives, so that the caller can choose
    among several sets of defaults.
    """
    docstrings = field_docstrings(args_class)
    for field in fields(args_class):
        default = field.default if field.default is not MISSING else None
        default_text = " ".join(map(str, default)) if isinstance(default, tuple) else default
        parser.add_argument(
            option_name(field.name),
            default=default if with_defaults else SUPPRESS,
            help=f"{docstrings.get(field.name, '')} (default: {default_text})".strip().replace("%", "%%"),
            **_option_type(field.type),
        )


def from_options(args_class: type[A], options: Namespace) -> A:
    """The dataclass with the parsed options as its fields."""
    return args_class(**{field.name: getattr(options, field.name) for field in fields(args_class)})  # type: ignore[arg-type]


def days(text: str) -> int:
    """The value of an option of days, 1 to a hundred years. Raises ValueError, as argparse expects."""
    if not 1 <= (number := int(text)) <= 36_500:
        raise ValueError
    return number


def check_output(parser: ArgumentParser, output: Path | None, inputs: Iterable[Path | None]) -> None:
    """Ends the command if `output` is also one of the inputs, or has no folder, before anything is read or written."""
    if output and any(file and is_same_file(output, file) for file in inputs):
        parser.error(f"{output} is read, too, and would be overwritten. Give another file to write.")
    if output and not output.parent.is_dir():
        parser.error(f"{output} cannot be written: {output.parent} is not a folder.")


def option_name(field_name: str) -> str:
    """`--num-updates` for `num_updates`."""
    return f"--{field_name.replace('_', '-')}"


def field_docstrings(args_class: type) -> dict[str, str]:
    """The docstring under each field, those of base classes included."""
    docstrings: dict[str, str] = {}
    for base in reversed([base for base in args_class.__mro__ if base is not object]):
        [definition] = ast.parse(dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, following in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                docstrings[field.target.id] = " ".join(str(following.value.value).split())
    return docstrings


def _option_type(field_type: Any) -> dict[str, Any]:
    """The arguments of `add_argument` for a field of this type."""
    if field_type is bool:
        return {"action": BooleanOptionalAction}
    if get_origin(field_type) is Literal:
        return {"choices": get_args(field_type)}
    if get_origin(field_type) is tuple:
        return {"type": get_args(field_type)[0], "nargs": "+"}
    return {"type": field_type}
