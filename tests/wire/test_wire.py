"""Yesterday's messages must parse for ever: a golden JSON of each kind. Never change one; new fields have defaults."""

import json
from pathlib import Path

import pytest

from shared.messages import MESSAGE_TYPES

GOLDEN = Path(__file__).parent


def test_there_is_a_golden_message_of_each_kind() -> None:
    assert {f.stem for f in GOLDEN.glob("*.json")} == set(MESSAGE_TYPES)


@pytest.mark.parametrize("topic", MESSAGE_TYPES)
def test_the_golden_message_parses_and_means_what_it_says(topic: str) -> None:
    golden = json.loads((GOLDEN / f"{topic}.json").read_text())
    message = MESSAGE_TYPES[topic].parse(json.dumps(golden).encode(), "golden")
    assert contains(json.loads(message.model_dump_json()), golden)
    assert MESSAGE_TYPES[topic].parse(message.model_dump_json().encode(), "golden") == message


def contains(whole: object, part: object) -> bool:
    """Whether all of `part` stands in `whole` still; `whole` may have more."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    return whole == part
