"""Golden messages: one of each type, which must always parse. Never change one; new fields have defaults."""

import json
from pathlib import Path

import pytest

from shared.messages import MESSAGE_TYPES

GOLDEN = Path(__file__).parent


def test_there_is_a_golden_message_of_each_type() -> None:
    assert {f.stem for f in GOLDEN.glob("*.json")} == set(MESSAGE_TYPES)


@pytest.mark.parametrize("topic", MESSAGE_TYPES)
def test_the_golden_message_parses_without_loss(topic: str) -> None:
    golden = json.loads((GOLDEN / f"{topic}.json").read_text())
    message = MESSAGE_TYPES[topic].parse(json.dumps(golden).encode(), "golden")
    assert contains(json.loads(message.model_dump_json()), golden)
    assert MESSAGE_TYPES[topic].parse(message.model_dump_json().encode(), "golden") == message


def contains(value: object, expected: object) -> bool:
    """Whether `value` has all fields of `expected`, at any depth; it may have more."""
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(k in value and contains(value[k], v) for k, v in expected.items())
    return value == expected
