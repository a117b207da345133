"""The README says what the code says."""

import json
from pathlib import Path

import pytest

from services.policy.policies.network import Network
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts
from shared.topology import SUBSCRIPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: s.name)
def test_the_table_of_topics_is_the_topology(subscription) -> None:
    [row] = [line for line in README.splitlines() if line.startswith(f"| `{subscription.topic}` |")]
    _, _, _, _, listeners, *_ = row.split("|")
    assert subscription.service in listeners


def test_no_topic_stands_in_the_table_that_is_not_there() -> None:
    topics = {line.split("`")[1] for line in README.splitlines() if line.startswith("| `") and line.count("|") == 6}
    assert topics == {s.topic for s in SUBSCRIPTIONS}


def test_the_example_is_what_the_models_say() -> None:
    example = README.partition("```json")[2].partition("```")[0]
    model = ScorerModel.load(ARTIFACTS / "scorer")
    facts = {"tenure": 12, "monthly_charges": 89.99, "contract": "Month-to-month", "payment_method": "Electronic check"}
    [score] = model.score([CustomerFacts.model_validate(facts)])
    assert f'"scorer": "{model.version}"' in example
    assert f'"churn_risk": {score.churn_risk:.3f}' in example
    level = int(example.partition('"offer_level": ')[2][0])
    assert f'"accept_prob": {score.accept_probs[level]:.3f}' in example
    assert f'"policy": "{Network.load(ARTIFACTS / "policy").manifest.version}"' in example
    writer = json.loads((ARTIFACTS / "messenger" / "manifest.json").read_text())["version"]
    assert f'"messenger": "local/{writer}"' in example
    assert f'"contribution": {score.reasons[0].contribution}' in example
