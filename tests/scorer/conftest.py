import random

import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts

NUMBERS = {
    "tenure": 72,
    "monthly_charges": 120,
    "total_charges": 9000,
    "age": 95,
    "previous_contacts": 6,
    "days_since_campaign": 27,
}
"""The largest of each number in the training data."""


@pytest.fixture(scope="session")
def model() -> ScorerModel:
    return ScorerModel.load(ARTIFACTS / "scorer")


@pytest.fixture(scope="session")
def customers() -> list[CustomerFacts]:
    """A thousand customers, of whom random facts are known."""
    draw = random.Random(42)

    def value(fact: str) -> object:
        encoding = (RISK_FACTS | ACCEPT_FACTS)[fact]
        return draw.choice(list(encoding)) if encoding else draw.randint(0, NUMBERS[fact])

    share = [draw.random() for _ in range(1000)]
    return [
        CustomerFacts.model_validate({f: value(f) for f in RISK_FACTS | ACCEPT_FACTS if draw.random() < s})
        for s in share
    ]
