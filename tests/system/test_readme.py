"""The README says what the code says."""

from pathlib import Path

import pytest

from shared.topology import SUBSCRIPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: s.name)
def test_the_table_of_topics_is_the_topology(subscription):
    [row] = [line for line in README.splitlines() if line.startswith(f"| `{subscription.topic}` |")]
    _, _, _, _, listeners, *_ = row.split("|")
    assert subscription.service in listeners


def test_no_topic_stands_in_the_table_that_is_not_there():
    topics = {line.split("`")[1] for line in README.splitlines() if line.startswith("| `") and line.count("|") == 6}
    assert topics == {s.topic for s in SUBSCRIPTIONS}
