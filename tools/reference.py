"""Fill in the tables in docs that come from the code: python -m tools.reference

Each stands between `<!-- NAME -->` and `<!-- /NAME -->`; a test compares what stands there with the code.
"""

import ast
import inspect
import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from shared.messages import CustomerEvent, Decision, Message, Outcome
from shared.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


def settings_table() -> str:
    """Each setting's environment variable, default, and the sentence under it in `shared/settings.py`."""
    prefix, sentences = str(Settings.model_config["env_prefix"]), dict(_field_docstrings(Settings))
    rows = [
        f"| `{field.validation_alias or prefix + name.upper()}` | {_default(name, field)} | {sentences[name]} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def message_table(message: type[Message], derived: Collection[str] = ()) -> str:
    """Each field of a message but those that are `derived` on arrival; a field of an object is `object.field`."""
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *_message_rows(message, set(derived))])


TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("operate.md", "settings"): settings_table,
    ("topics.md", "CustomerEvent"): lambda: message_table(CustomerEvent, ["id"]),
    ("topics.md", "Decision"): lambda: message_table(Decision),
    ("topics.md", "Outcome"): lambda: message_table(Outcome, ["id"]),
}


def filled(text: str, name: str, table: str) -> str:
    """`text` with `table` between its two marks. Raises ValueError where they are missing."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise ValueError(f"the marks {start.strip()} and {end} are missing")
    before, _, rest = text.partition(start)
    return f"{before}{start}{table}\n{end}{rest.partition(end)[2]}"


def _field_docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, following in zip(body.body, body.body[1:], strict=False):
        match field, following:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, " ".join(text.split())


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        return "a public key, for local use only"
    if isinstance(value, Path):  # two of them are below the folder of the project, wherever that is
        return {"artifacts": "`artifacts`", "data": "`../shared/data`"}.get(name, f"`{value}`")
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return "none" if value is None else f"`{value}`"


def _message_rows(model: type[BaseModel], derived: set[str], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not prefix and name in derived:
            continue
        optional = {"event_id"} if derived else set[str]()  # without one, an event is known by the id of its message
        required = ", required" if field.is_required() and not prefix and name not in optional else ""
        description = " ".join((field.description or "").split())
        yield f"| `{prefix}{name}` | {_type_name(field.annotation)}{required} | {description} |"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _message_rows(field.annotation, derived, f"{prefix}{name}.")


def _type_name(annotation: object) -> str:
    """A type in the words of JSON."""
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return "object"
    names = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "AwareDatetime": "time with zone",
    }
    name = getattr(annotation, "__name__", str(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    return names.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def main() -> None:
    for (file, name), table in TABLES.items():
        path = DOCS / file
        path.write_text(filled(path.read_text(), name, table()))


if __name__ == "__main__":
    main()
