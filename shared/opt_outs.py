"""What customers say about being contacted, read from messages that are wrong in any other way.

Such a message becomes a dead letter; what is read from it is published first, as an outcome without an event.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from json import detect_encoding
from typing import Any
from urllib.parse import parse_qsl

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared import values
from shared.messages import (
    CustomerEvent,
    Outcome,
    ScoredCustomer,
    bare_name,
    has_opt_out,
    is_opt_out,
    outcome_word,
    reply_text,
)

TOPICS = (CustomerEvent.topic, ScoredCustomer.topic, Outcome.topic)
"""Topics of the messages that may contain what a customer says."""
MAX_TEXT_LENGTH = 10_000
"""Characters of a reply that are kept."""
MAX_BROKEN_LENGTH = 2**18
"""Characters that are searched of a message that is no JSON."""
MAX_NESTING = 3
"""How many times JSON may be encoded as a text within JSON."""
CUSTOMER_ID = bare_name("customer_id")
REPLY_WORDS = ("replied", "reply")
INBOUND = ("inbound", "received", "mo", *REPLY_WORDS)
"""Types of a message that a customer sent."""
REPLY_FIELDS = ("text", "body", "content", "message", "msg")

_field = re.compile(
    r"""(?<!\w)["']?(?P<name>[\w-]{1,40})["']?\s{0,20}[:=]\s{0,20}"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)(?P<end_double>"?)|'(?P<single>(?:[^'\\]|\\.)*)(?P<end_single>'?)"""
    r"""|(?P<bare>[^\s,;&{}\[\]"']+)(?:(?P<delimited>)(?=[\s,;&}\]]))?)""",
    re.S,
)
"""A name with its value, in JSON that may be broken, in Python's notation, or in that of forms."""
_time = TypeAdapter(AwareDatetime)


def read_opt_outs(data: bytes, message_id: str, attributes: Mapping[str, str] | None = None) -> list[Outcome]:
    """Opt-outs and replies in a message, at any depth, each as an outcome without an event; empty where there is none.

    Ids are derived from `message_id`, so reading the same message again gives the same outcomes. A customer's id counts
    for what stands beside it and below, and for all of the message if it is the only one.
    """
    documents: list[Any] = [*_documents(_text(data)), dict(attributes or {})]
    only_id = _only_id(documents)
    said: dict[bytes, None] = {}
    for document in documents:
        said |= dict.fromkeys(to_json(fields) for fields in _statements(document, only_id))
    return [Outcome.parse(fields, message_id) for fields in said]


def read_customer_id(data: bytes, attributes: Mapping[str, str]) -> str | None:
    """The customer that a message is about, if it names one and no other."""
    return _only_id([*_documents(_text(data)), dict(attributes)])


def _only_id(documents: list[Any]) -> str | None:
    ids = set(_customer_ids(documents))
    return next(iter(ids)) if len(ids) == 1 else None


def _text(data: bytes) -> str:
    """The message as text, whichever encoding it is in; a character that was cut off at its end is left out."""
    encoding = detect_encoding(data)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeError:
        return data.decode("cp1252", errors="replace")


def _documents(text: str, nesting: int = 0) -> list[Any]:
    """The JSON values in the text: one, one a line, or what can be read of a broken one."""
    try:
        return [_expanded(from_json(text), nesting)]
    except ValueError:
        text = text[:MAX_BROKEN_LENGTH]
    if not text.lstrip().startswith(("{", "[")) and not isinstance(decoded := _expanded(text, nesting), str):
        return [decoded]
    if _customer_id(form := dict(parse_qsl(text.strip()))):
        return [form]
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        return [document for line in lines for document in _documents(line, nesting)]
    return _fragments(text)


def _expanded(value: Any, nesting: int) -> Any:
    """The value with the JSON that is encoded as text within it, also in base64, as in Pub/Sub's requests."""
    if isinstance(value, dict):
        return {name: _expanded(item, nesting) for name, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, nesting) for item in value]
    if not isinstance(value, str) or nesting >= MAX_NESTING or not (text := value.strip()):
        return value
    if text[0] not in "{[":
        try:
            text = values.strip(_text(values.decode_base64(text)))
        except ValueError:
            return value
    return _documents(text, nesting + 1) if text.startswith(("{", "[")) else value


def _fragments(text: str) -> list[dict[str, Any]]:
    """The fields of broken JSON. Where they are of several customers, those between two braces belong together."""
    fields = _fields(text)
    if len(set(_customer_ids(fields))) <= 1:
        return _with_id(fields)
    return [field for part in text.split("}") for field in _with_id(_fields(part))]


def _with_id(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields, each with the id of the customer; as they are where there is no id, or more than one."""
    only_id = _only_id(fields)
    return [{**field, "customer_id": only_id} for field in fields] if only_id else fields


def _fields(text: str) -> list[dict[str, Any]]:
    """Each name and value in the text as a document of its own. Of values that are cut off, only texts are kept."""
    fields = []
    for match in _field.finditer(text):
        name, bare = match["name"], match["bare"]
        quoted = match["double"] if match["single"] is None else match["single"]
        is_complete = match["delimited"] is not None or bool(match["end_double"] or match["end_single"])
        try:
            value = from_json(bare) if quoted is None else from_json(f'"{quoted}"')
        except ValueError:
            value = bare if quoted is None else quoted
        if is_complete or (bare_name(name) != CUSTOMER_ID and (bare is None or isinstance(value, bool))):
            fields.append({name: value})
    return fields


def _customer_ids(document: Any) -> Iterator[str]:
    if isinstance(document, list):
        for item in document:
            yield from _customer_ids(item)
    elif isinstance(document, dict):
        if customer_id := _customer_id(document):
            yield customer_id
        for item in document.values():
            yield from _customer_ids(item)


def _customer_id(fields: dict[str, Any]) -> str | None:
    for name, value in fields.items():
        if bare_name(name) == CUSTOMER_ID:
            try:
                return values.identifier(value)
            except ValueError:
                return None
    return None


def _statements(document: Any, customer_id: str | None) -> Iterator[dict[str, str]]:
    """The fields of an outcome for each opt-out and each reply in the document."""
    if isinstance(document, list):
        for item in document:
            yield from _statements(item, customer_id)
    elif isinstance(document, dict):
        customer_id = _customer_id(document) or customer_id
        if customer_id:
            yield from _own_statements(document, customer_id)
        for item in document.values():
            yield from _statements(item, customer_id)


def _own_statements(fields: dict[str, Any], customer_id: str) -> Iterator[dict[str, str]]:
    bare = {bare_name(name): value for name, value in fields.items()}
    word = outcome_word(bare.get("outcome"))
    about = {"customer_id": customer_id, **_occurred_at(bare.get("occurredat"))}
    if has_opt_out(fields) or word == "opted-out":
        yield {**about, "outcome": "opted-out"}
    is_reply = isinstance(word, str) and word in REPLY_WORDS
    is_reply = is_reply or values.strip(str(bare.get("type"))).casefold() in INBOUND
    texts = [_reply(bare[name]) for name in (REPLY_FIELDS if is_reply else REPLY_FIELDS[:1]) if name in bare]
    if isinstance(unclear := bare.get("optedout"), str) and not is_opt_out(unclear) and not _is_truth(unclear):
        texts.append(unclear)  # a reply, for the policy to read
    for text in texts:
        if text.strip():
            yield {**about, "outcome": "replied", "text": text[:MAX_TEXT_LENGTH]}


def _reply(value: Any) -> str:
    """What a customer wrote, also in parts."""
    if isinstance(value, dict | list):
        return "\n".join(_reply(item) for item in (value.values() if isinstance(value, dict) else value))
    text = reply_text(value)
    return text if isinstance(text, str) else ""


def _is_truth(value: str) -> bool:
    try:
        values.truth(value)
    except ValueError:
        return False
    return True


def _occurred_at(value: Any) -> dict[str, str]:
    """The time as a field, if it is one."""
    try:
        return {"occurred_at": _time.validate_python(value).isoformat()}
    except (ValidationError, OverflowError):
        return {}
