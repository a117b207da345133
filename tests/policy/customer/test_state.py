from datetime import timedelta
from itertools import combinations_with_replacement, permutations
from typing import Literal

import pytest

from services.policy.customer.state import MAX_BOUNCES, Bounce, CustomerState
from tests.support.clock import NOON

Report = tuple[Literal["bounce", "sign"], int]
"""A bounce of the contact of this day, or a sign of life on it."""


def after(*reports: Report, state: CustomerState | None = None) -> CustomerState:
    """The state after these reports, as it is read back from its document."""
    state = state or CustomerState()
    for kind, day in reports:
        at = NOON + timedelta(days=day)
        state = (
            state.with_bounce(Bounce(event_id=f"e{day}", at=at)) if kind == "bounce" else state.with_sign_of_life(at)
        )
    return CustomerState.from_document(state.to_document("c", NOON))


@pytest.mark.parametrize(
    ("reports", "in_a_row"),
    [
        ([("bounce", 1), ("bounce", 2), ("bounce", 3)], 3),
        ([("bounce", 1), ("bounce", 1), ("bounce", 1)], 1),
        ([("bounce", 1), ("sign", 2), ("bounce", 3)], 1),
        ([("bounce", 1), ("bounce", 2), ("sign", 2)], 0),
        ([("sign", 1), ("bounce", 2), ("bounce", 3)], 2),
    ],
)
def test_bounces_are_counted_since_the_last_sign_of_life(reports: list[Report], in_a_row: int) -> None:
    for order in permutations(reports):
        assert len(after(*order).bounces) == in_a_row


@pytest.mark.parametrize(
    "reports",
    list(combinations_with_replacement([(kind, day) for kind in ("bounce", "sign") for day in (1, 2, 3)], 4)),
)
def test_bounces_do_not_depend_on_the_order_or_number_of_reports(reports: tuple[Report, ...]) -> None:
    states = [after(*order, *order[::-1]) for order in permutations(reports)]

    assert all(state == states[0] for state in states)


def test_no_more_bounces_are_stored_than_any_limit_needs() -> None:
    state = after(*[("bounce", day) for day in range(3 * MAX_BOUNCES)])

    assert [bounce.event_id for bounce in state.bounces] == [
        f"e{day}" for day in range(2 * MAX_BOUNCES, 3 * MAX_BOUNCES)
    ]


def test_a_state_of_the_previous_version_is_read() -> None:
    document = {
        "contacts": [{"event_id": "e", "at": "2025-11-23T12:00:00Z", "level": 2, "held_until": None}],
        "review": None,
        "customer_id": "c",
        "due": 0.0,
    }
    state = CustomerState.from_document(document)

    assert (state.bounces, state.last_sign_of_life) == ((), None)
    assert state.contacts[0].level == 2
