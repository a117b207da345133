"""Strategies for malformed messages: the golden ones with some fields or bytes changed."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.messages import MESSAGE_TYPES
from tests.support.customers import SAM

EXAMPLES = int(os.environ.get("FUZZ", "25"))
"""Examples of each test: a few in `make test`, ten thousand in `make fuzz`."""
FUZZ_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=10_000,  # milliseconds, so that nothing hangs
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
WIRE = Path(__file__).parents[1] / "wire"
GOLDEN: dict[str, Any] = {topic: json.loads((WIRE / f"{topic}.json").read_text()) for topic in MESSAGE_TYPES}

NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 1e-320, 1e308, 2**53 + 1, 2**63, -(2**63) - 1, 10**400),
    *("", " ", "\0", "\x1b[2J", "\ud800", "é" * 64, "😀" * 128, "a" * 129, "a" * 10_000, "NaN", "null", "[NAME]", "{}"),
    *(
        "../../etc/passwd",
        "__x__",
        "..",
        "' OR 1=1 --",
        "<script>",
        "%s%n",
        "Europe/Madrid",
        "Mars/Phobos",
        "\u202egnp",
    ),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-02-30", "9999-12-31", "0001-01-01", "1e400"),
    *("5,340", "1.234,56", "$89.99", "89,99 €", "85%", "(5)", "1'234.50", "12.0", "n/a", "Y", "on", "９", "9" * 500),
    *("\ufeff12", " 12 ", "e\u0301", "\u200b", "OPTED_OUT", "Opted out", "unsubscribed", "STOP", "e30=", '{"a": 1}'),
    *("accepted", "withheld", "opted-out", "churned", [], {}, [[]], {"": ""}, float("nan"), float("inf")),
]
VALUES = st.sampled_from(NASTY) | st.integers() | st.floats() | st.text(max_size=20) | st.dates().map(str)


@st.composite
def mutated(draw: st.DrawFn, message: dict[str, Any]) -> dict[str, Any]:
    """`message` after up to three changes: a value replaced, swapped with another, deleted or added."""
    message = deepcopy(message)
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(message))
        container, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "swap", "delete", "add"])):
            case "replace":
                container[key] = deepcopy(draw(VALUES))
            case "swap":
                other_container, other_key = draw(st.sampled_from(places))
                container[key] = deepcopy(other_container[other_key])
            case "delete":
                del container[key]
            case "add" if isinstance(container, list):
                container.extend([deepcopy(container[key])] * draw(st.integers(1, 50)))
            case "add":
                container[draw(st.text(max_size=5) | st.sampled_from(sorted(message) or [""]))] = deepcopy(draw(VALUES))
        if not message:
            break
    return message


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    """Each dict or list inside `container`, at any depth, with each of its keys or indices."""
    for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
        yield container, key
        if isinstance(value, dict | list) and value:
            yield from _places(value)


@st.composite
def corrupted(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` truncated, or with some bytes replaced."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)) | st.just(len(data)))
    return data[:start] + draw(st.binary(max_size=8) | st.sampled_from([b"[" * 2000, b'{"a":' * 2000])) + data[end:]


def mutants(*messages: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Mostly mutated messages as JSON, some of them corrupted, and some random bytes."""
    encoded = st.sampled_from(messages).flatmap(mutated).map(lambda message: json.dumps(message).encode())
    return st.one_of(encoded, encoded, encoded, encoded.flatmap(corrupted), st.binary(max_size=50))


def pubsub_requests(data: st.SearchStrategy[bytes], /, **fields: Any) -> st.SearchStrategy[bytes]:
    """Requests of Pub/Sub's REST interface that carry `data`, sometimes mutated or corrupted themselves.

    `fields` are those of the request. The type `list` stands for a list of the message, `dict` for the message itself.
    """

    def request(data: bytes) -> dict[str, Any]:
        message = {"data": b64encode(data).decode(), "attributes": {"source": "crm"}, "messageId": "1"}
        return {
            name: [message] if value is list else message if value is dict else value for name, value in fields.items()
        }

    requests = data.map(request)
    return st.one_of(requests, requests, requests.flatmap(mutated)).map(
        lambda request: json.dumps(request).encode()
    ) | requests.flatmap(lambda request: corrupted(json.dumps(request).encode()))


def messages(topic: str) -> st.SearchStrategy[bytes]:
    return mutants(GOLDEN[topic], SAM) if topic == "customer-events" else mutants(GOLDEN[topic])
