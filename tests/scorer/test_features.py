from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FACTS, ACCEPT_FEATURES, RISK_FACTS, RISK_FEATURES, encoder, feature_names
from shared.messages import CustomerEvent, CustomerFacts


def risk_features(facts: Mapping[str, object], unknown: Counter[str] | None = None) -> dict[str, float]:
    """The risk model's features of one customer, by name."""
    encode = encoder(RISK_FACTS, Counter() if unknown is None else unknown)
    [row] = encode([CustomerFacts.model_validate(facts)])
    return dict(zip(RISK_FEATURES, row.tolist(), strict=True))


def test_every_feature_of_an_unknown_customer_is_missing() -> None:
    assert np.isnan(list(risk_features({}).values())).all()


def test_numbers_are_passed_through() -> None:
    assert risk_features({"tenure": 12, "monthly_charges": 70.5})["monthly_charges"] == 70.5


@pytest.mark.parametrize(("contract", "code"), [("Month-to-month", 0), ("One year", 1), ("Two year", 2)])
def test_contracts_are_encoded_in_order_of_length(contract: str, code: int) -> None:
    assert risk_features({"contract": contract})["contract"] == code


@pytest.mark.parametrize("spelling", ["Two year", "two year", "TWO YEAR", "  Two Year "])
def test_case_and_outer_white_space_of_a_category_are_ignored(spelling: str) -> None:
    unknown: Counter[str] = Counter()
    assert risk_features({"contract": spelling}, unknown)["contract"] == 2
    assert not unknown


def test_nominal_categories_are_one_hot_encoded() -> None:
    row = risk_features({"payment_method": "Mailed check"})
    assert row["payment_method=Mailed check"] == 1
    assert row["payment_method=Electronic check"] == 0


def test_an_unknown_category_is_encoded_as_missing_and_counted() -> None:
    unknown: Counter[str] = Counter()
    row = risk_features({"payment_method": "Barter", "contract": "Weekly", "tenure": 3}, unknown)
    payment_methods = [row[name] for name in RISK_FEATURES if name.startswith("payment_method")]
    assert np.isnan([row["contract"], *payment_methods]).all()
    assert row["tenure"] == 3
    assert unknown == {"payment_method": 1, "contract": 1}


@pytest.mark.parametrize("fact", ["multiple_lines", "online_security", "streaming_tv"])
@pytest.mark.parametrize(("text", "code"), [("Yes", 1), ("No", 0), ("No internet service", 0), ("No phone service", 0)])
def test_a_yes_no_fact_of_a_service_that_the_customer_does_not_have_is_no(fact: str, text: str, code: int) -> None:
    assert risk_features({fact: text})[fact] == code


def test_true_and_1_are_encoded_as_yes() -> None:
    event = CustomerEvent.parse(b'{"customer_id": "c", "partner": true, "senior_citizen": 1}', "")
    features = risk_features(event.model_dump(include={"partner", "senior_citizen"}))
    assert features["partner"] == features["senior_citizen"] == 1


def test_the_acceptance_model_uses_no_fact_of_the_call_or_the_economy() -> None:
    assert set(ACCEPT_FACTS) <= set(CustomerFacts.model_fields)
    assert (*feature_names(ACCEPT_FACTS), "offer_level") == ACCEPT_FEATURES
    assert not {"duration", "campaign", "euribor3m"} & set(ACCEPT_FACTS)


def test_a_batch_is_encoded_as_its_customers_alone() -> None:
    customers = [
        CustomerFacts(tenure=3, contract="One year"),
        CustomerFacts(),
        CustomerFacts(gender="Female", contract="?"),
    ]
    encode = encoder(RISK_FACTS, Counter())
    np.testing.assert_array_equal(encode(customers), np.concatenate([encode([customer]) for customer in customers]))
