"""Feature encoding: facts of a customer to one row of numbers, in a named order. Independent of the models."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, cycle
from math import nan
from operator import getitem, itemgetter

import numpy as np
from numpy.typing import NDArray

from shared.messages import CustomerFacts

Float32Array = NDArray[np.float32]

Encoding = None | Mapping[str, float] | tuple[str, ...]
"""How a fact is encoded: None passes a number through, a mapping is ordinal, a tuple of categories is one-hot."""

YES_NO = {"No": 0, "Yes": 1, "No internet service": 0, "No phone service": 0}
CONTRACT = {"Month-to-month": 0, "One year": 1, "Two year": 2}
EDUCATION = {
    level: rank
    for rank, level in enumerate(
        ("illiterate", "basic.4y", "basic.6y", "basic.9y", "high.school", "professional.course", "university.degree")
    )
}
JOBS = (
    "admin.",
    "blue-collar",
    "entrepreneur",
    "housemaid",
    "management",
    "retired",
    "self-employed",
    "services",
    "student",
    "technician",
    "unemployed",
)

RISK_FACTS: dict[str, Encoding] = {
    "tenure": None,
    "monthly_charges": None,
    "total_charges": None,
    "contract": CONTRACT,
    "payment_method": ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
    "internet_service": ("No", "DSL", "Fiber optic"),
    "gender": {"Female": 0, "Male": 1},
    "paperless_billing": YES_NO,
    "senior_citizen": YES_NO,
    "partner": YES_NO,
    "dependents": YES_NO,
    "phone_service": YES_NO,
    "multiple_lines": YES_NO,
    "online_security": YES_NO,
    "online_backup": YES_NO,
    "device_protection": YES_NO,
    "tech_support": YES_NO,
    "streaming_tv": YES_NO,
    "streaming_movies": YES_NO,
}
"""Encoding of each input fact of the churn model; numeric facts first."""

ACCEPT_FACTS: dict[str, Encoding] = {
    "age": None,
    "previous_contacts": None,
    "days_since_campaign": None,
    "job": JOBS,
    "marital": ("divorced", "married", "single"),
    "education": EDUCATION,
    "credit_default": YES_NO,
    "housing_loan": YES_NO,
    "personal_loan": YES_NO,
    "contact_channel": {"telephone": 0, "cellular": 1},
    "previous_outcome": ("failure", "nonexistent", "success"),
}
"""Encoding of each input fact of the acceptance model; numeric facts first. The offer level follows them."""


def feature_names(facts: Mapping[str, Encoding]) -> tuple[str, ...]:
    """Names of the features that encode `facts`, such as `contract` and `payment_method=Mailed check`."""
    return tuple(
        name
        for fact, encoding in facts.items()
        for name in ([f"{fact}={category}" for category in encoding] if isinstance(encoding, tuple) else [fact])
    )


def fact_of(feature: str) -> str:
    """The fact that a feature encodes."""
    return feature.partition("=")[0]


def fact_offsets(features: Sequence[str]) -> list[int]:
    """Index of the first feature of each fact."""
    facts = [fact_of(feature) for feature in features]
    return [facts.index(fact) for fact in dict.fromkeys(facts)]


OFFER_LEVEL = "offer_level"
"""The one feature that is not a fact: the policy chooses the offer, so it is always known."""
RISK_FEATURES = feature_names(RISK_FACTS)
ACCEPT_FEATURES = (*feature_names(ACCEPT_FACTS), OFFER_LEVEL)


class CategoryCodes(dict[str | None, bytes]):
    """The float32 features of each category of one fact, as bytes; NaN for a missing or unknown category.

    Spellings that differ from the training data's only in case or outer white space are recognised. Categories that
    remain unknown are counted by fact and never by their text, which a publisher may choose freely.
    """

    def __init__(self, fact: str, encoding: Mapping[str, float] | tuple[str, ...], unknown: Counter[str]) -> None:
        self.fact, self.unknown = fact, unknown
        width = len(encoding) if isinstance(encoding, tuple) else 1
        self[None] = np.full(width, nan, np.float32).tobytes()
        for category in encoding:
            if isinstance(encoding, tuple):
                code: list[float] = [category == other for other in encoding]
            else:
                code = [encoding[category]]
            self[category] = self[category.casefold()] = np.array(code, np.float32).tobytes()

    def __missing__(self, text: str) -> bytes:
        if (code := self.get(text.strip().casefold())) is None:
            self.unknown[self.fact] += 1
            return self[None]
        return code


def encoder(facts: Mapping[str, Encoding], unknown: Counter[str]) -> Callable[[Sequence[CustomerFacts]], Float32Array]:
    """A function from n customers to rows [n, `feature_names(facts)`], NaN where a fact is missing.

    It counts unknown categories in `unknown`, by fact. About 2 µs per customer: the facts of all customers go through
    one chain of iterators, so that no line of Python runs for each customer.
    """
    numeric_facts = itemgetter(*(fact for fact, encoding in facts.items() if encoding is None))
    categorical_facts = itemgetter(*(fact for fact, encoding in facts.items() if encoding is not None))
    codes = [CategoryCodes(fact, encoding, unknown) for fact, encoding in facts.items() if encoding is not None]

    def encode(customers: Sequence[CustomerFacts]) -> Float32Array:
        categories = chain.from_iterable(map(categorical_facts, map(vars, customers)))
        encoded = np.frombuffer(b"".join(map(getitem, cycle(codes), categories)), np.float32)
        numbers = np.array(list(map(numeric_facts, map(vars, customers))), np.float32)
        return np.concatenate([numbers, encoded.reshape(len(customers), -1)], axis=1)

    return encode
