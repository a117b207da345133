import random

import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts

MAXIMA = {
    "tenure": 72,
    "monthly_charges": 120,
    "total_charges": 9000,
    "age": 95,
    "previous_contacts": 6,
    "days_since_campaign": 27,
}
"""Largest value of each numeric fact in the training data."""


@pytest.fixture(scope="session")
def model() -> ScorerModel:
    return ScorerModel.load(ARTIFACTS / "scorer")


@pytest.fixture(scope="session")
def customers() -> list[CustomerFacts]:
    """1,000 customers; each has its own share of known facts, chosen at random."""
    rng = random.Random(42)
    encodings = RISK_FACTS | ACCEPT_FACTS

    def value(fact: str) -> object:
        encoding = encodings[fact]
        return rng.choice(list(encoding)) if encoding else rng.randint(0, MAXIMA[fact])

    known_shares = [rng.random() for _ in range(1000)]
    return [
        CustomerFacts.model_validate({fact: value(fact) for fact in encodings if rng.random() < known_share})
        for known_share in known_shares
    ]
