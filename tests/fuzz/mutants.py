"""Messages as they must not be: the golden ones, spoilt in a few places, or in their bytes."""

import json
import os
from base64 import b64encode
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.messages import MESSAGE_TYPES
from tests.support.customers import SAM

EXAMPLES = int(os.environ.get("FUZZ", "25"))
"""At each door: a few in `make test`, ten thousand in `make fuzz`."""
DOOR = settings(
    max_examples=EXAMPLES,
    deadline=10_000,  # milliseconds: nothing hangs
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
    *("accepted", "withheld", "opted-out", "churned", [], {}, [[]], {"": ""}, float("nan"), float("inf")),
]
VALUES = st.sampled_from(NASTY) | st.integers() | st.floats() | st.text(max_size=20) | st.dates().map(str)


@st.composite
def spoilt(draw: st.DrawFn, message: dict[str, Any]) -> dict[str, Any]:
    """Up to three places hold another value, a value of another place, nothing, or one more."""
    message = deepcopy(message)
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(message))
        holder, name = draw(st.sampled_from(places))
        match draw(st.sampled_from(["another", "another", "swapped", "gone", "more"])):
            case "another":
                holder[name] = deepcopy(draw(VALUES))
            case "swapped":
                other, its = draw(st.sampled_from(places))
                holder[name] = deepcopy(other[its])
            case "gone":
                del holder[name]
            case "more" if isinstance(holder, list):
                holder.extend([deepcopy(holder[name])] * draw(st.integers(1, 50)))
            case "more":
                holder[draw(st.text(max_size=5) | st.sampled_from(sorted(message) or [""]))] = deepcopy(draw(VALUES))
        if not message:
            break
    return message


def _places(holder: Any) -> Any:
    for name, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
        yield holder, name
        if isinstance(value, dict | list) and value:
            yield from _places(value)


@st.composite
def torn(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, or with other bytes in a place."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)) | st.just(len(data)))
    return data[:start] + draw(st.binary(max_size=8) | st.sampled_from([b"[" * 2000, b'{"a":' * 2000])) + data[end:]


def mutants(*messages: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Mostly spoilt, some torn as well, a few nothing but noise."""
    written = st.sampled_from(messages).flatmap(spoilt).map(lambda m: json.dumps(m).encode())
    return st.one_of(written, written, written, written.flatmap(torn), st.binary(max_size=50))


def enveloped(written: st.SearchStrategy[bytes], /, **around: Any) -> st.SearchStrategy[bytes]:
    """A message as Pub/Sub's REST interface carries it, which is itself spoilt now and then; `around` says in what."""

    def envelope(data: bytes) -> dict[str, Any]:
        message = {"data": b64encode(data).decode(), "attributes": {"source": "crm"}, "messageId": "1"}
        return {
            name: [message] if value is list else message if value is dict else value for name, value in around.items()
        }

    whole = written.map(envelope)
    return st.one_of(whole, whole, whole.flatmap(spoilt)).map(lambda m: json.dumps(m).encode()) | whole.flatmap(
        lambda m: torn(json.dumps(m).encode())
    )


def messages(topic: str) -> st.SearchStrategy[bytes]:
    return mutants(GOLDEN[topic], SAM) if topic == "customer-events" else mutants(GOLDEN[topic])
