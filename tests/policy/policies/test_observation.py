from typing import Any

import numpy as np
import pytest

from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, daily_hazard

USUAL = {
    "risk": 0.3,
    "accept": (0.1, 0.2, 0.3, 0.4),
    "price": 0.0,
    "days_since_contact": 1000,
    "offer_days_left": 0,
    "contacts": 0,
}


def seen(**facts: Any) -> dict[str, float]:
    f = {**USUAL, **facts}
    out = np.empty((len(OBSERVATION), 1), np.float32)
    others = (
        np.array([f[name]], np.float32) for name in ("price", "days_since_contact", "offer_days_left", "contacts")
    )
    observe(out, daily_hazard(np.array([f["risk"]])), np.array(f["accept"])[:, None], *others, RESPONSE_MODEL, RULES)
    return dict(zip(OBSERVATION, out[:, 0].tolist(), strict=True))


def test_a_new_customer_is_seen_in_the_order_of_the_names() -> None:
    assert list(seen()) == [
        "churn_risk",
        *(f"accept_prob_{level}" for level in range(4)),
        "budget_remaining",
        "days_since_contact",
        "cooldown_active",
        "fatigue_count",
    ]
    assert list(seen().values()) == pytest.approx([0.3, 0.1, 0.2, 0.3, 0.4, 1, 1, 0, 0])


def test_an_offer_that_holds_lowers_the_risk() -> None:
    assert seen(offer_days_left=1)["churn_risk"] == pytest.approx(1 - 0.7 ** (1 - RESPONSE_MODEL.effect))


@pytest.mark.parametrize(
    ("days_since_contact", "offer_days_left", "active"),
    [(0, 0, 1), (13, 0, 1), (14, 0, 0), (14, 1, 1), (1000, 0, 0), (14, 0.5, 1)],
)
def test_the_cooldown_is_active_while_the_gate_forbids_contact_for_it_or_for_an_offer(
    days_since_contact: int, offer_days_left: float, active: int
) -> None:
    assert seen(days_since_contact=days_since_contact, offer_days_left=offer_days_left)["cooldown_active"] == active


def test_money_that_costs_more_is_scarcer_and_none_is_nought() -> None:
    assert [seen(price=price)["budget_remaining"] for price in (0, 1, 3, np.inf)] == [1, 0.5, 0.25, 0]


def test_days_and_contacts_are_shares_of_what_is_long_and_of_the_cap() -> None:
    assert seen(days_since_contact=15)["days_since_contact"] == pytest.approx(0.5)
    assert seen(days_since_contact=31)["days_since_contact"] == 1
    assert seen(contacts=2)["fatigue_count"] == pytest.approx(2 / 3)
    assert seen(contacts=4)["fatigue_count"] == 1
