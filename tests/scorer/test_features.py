from collections import Counter

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FACTS, ACCEPT_FEATURES, RISK_FACTS, RISK_FEATURES, encoder, feature_names
from shared.messages import CustomerFacts


def risk(unknown: Counter[str] | None = None, **facts: object) -> dict[str, float]:
    """The features of one customer by name."""
    [row] = encoder(RISK_FACTS, Counter() if unknown is None else unknown)([CustomerFacts.model_validate(facts)])
    return dict(zip(RISK_FEATURES, row.tolist(), strict=True))


def test_of_an_unknown_customer_everything_is_missing() -> None:
    assert np.isnan(list(risk().values())).all()


def test_numbers_are_taken_as_they_are() -> None:
    assert risk(tenure=12, monthly_charges=70.5)["monthly_charges"] == 70.5


@pytest.mark.parametrize(("contract", "code"), [("Month-to-month", 0), ("One year", 1), ("Two year", 2)])
def test_contracts_are_in_order_of_length(contract: str, code: int) -> None:
    assert risk(contract=contract)["contract"] == code


@pytest.mark.parametrize("spelling", ["Two year", "two year", "TWO YEAR", "  Two Year "])
def test_case_and_outer_white_space_do_not_matter(spelling: str) -> None:
    unknown: Counter[str] = Counter()
    assert risk(unknown, contract=spelling)["contract"] == 2
    assert not unknown


def test_one_category_of_several_is_one_and_the_others_zero() -> None:
    row = risk(payment_method="Mailed check")
    assert row["payment_method=Mailed check"] == 1
    assert row["payment_method=Electronic check"] == 0


def test_a_category_not_seen_in_training_counts_as_missing_and_is_counted() -> None:
    unknown: Counter[str] = Counter()
    row = risk(unknown, payment_method="Barter", contract="Weekly", tenure=3)
    assert np.isnan(
        [row["contract"], *(row[name] for name in RISK_FEATURES if name.startswith("payment_method"))]
    ).all()
    assert row["tenure"] == 3
    assert unknown == {"payment_method": 1, "contract": 1}


@pytest.mark.parametrize("fact", ["multiple_lines", "online_security", "streaming_tv"])
@pytest.mark.parametrize(("text", "code"), [("Yes", 1), ("No", 0), ("No internet service", 0), ("No phone service", 0)])
def test_without_the_service_the_answer_is_no(fact: str, text: str, code: int) -> None:
    assert risk(**{fact: text})[fact] == code


def test_true_and_one_are_yes() -> None:
    assert risk(partner=True)["partner"] == risk(senior_citizen=1)["senior_citizen"] == 1


def test_neither_the_length_of_a_call_nor_the_economy_tells_whether_an_offer_is_taken() -> None:
    known = set(CustomerFacts.model_fields)
    assert set(ACCEPT_FACTS) <= known
    assert (*feature_names(ACCEPT_FACTS), "offer_level") == ACCEPT_FEATURES
    assert not {"duration", "campaign", "euribor3m"} & set(ACCEPT_FACTS)


def test_many_rows_are_the_rows_one_by_one() -> None:
    customers = [
        CustomerFacts(tenure=3, contract="One year"),
        CustomerFacts(),
        CustomerFacts(gender="Female", contract="?"),
    ]
    rows = encoder(RISK_FACTS, Counter())
    np.testing.assert_array_equal(rows(customers), np.concatenate([rows([customer]) for customer in customers]))
