"""The messenger's template obeys the shield's rules for every customer."""

from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.handler import draft
from services.messenger.writers import TemplateWriter
from services.policy.customer.brief import brief as policy_brief
from services.shield.rules import BANNED_PHRASES, violations
from shared.messages import OFFERS, Action, Brief, Customer, Metadata, PlannedContact
from tests.shield.builders import drafted
from tests.support.clock import NOON

NAMES = [
    *(None, "Sam", "Jo", "I", "A", "N" * 30, "Élodie", "Zoë", "Łukasz", "Nguyễn", "O'Brien", "D’Arcy", "Anne-Marie"),
    *("محمد", "مُحَمَّد", "अर्जुन", "李雷", "Ольга", "Γιώργος", "สมชาย", "יוסף", "MARIA", "maria", "May", "December", "Keep"),
]
TENURES = [None, 1, 2, 9, 12, 72, 999, 100_000]
PLANS = [None, "Pro", "Sam", "Free for life", "Fiber optic 1000"]


async def texts(brief: Brief) -> list[str]:
    """The template's texts, as the messenger drafts them, but for the one without the name."""
    plan = PlannedContact(
        **drafted("").model_dump(include={"id", "event_id", "customer_id"}),
        decision=Action(contact=True, estimated_retention_prob=0.5),
        metadata=Metadata(churn_risk=0.5, accept_prob=0.5, expected_value=1, propensity=1, policy="baseline"),
        brief=brief,
    )
    [[message]] = await draft([plan], writer=TemplateWriter(), clock=lambda: NOON)
    return [candidate.text for candidate in message.candidates[: -1 if brief.first_name else None]]


def expiry(percent: int, month: int = 9, day: int = 30) -> date | None:
    return date(2026, month, day) if percent else None


@pytest.mark.parametrize("percent", OFFERS)
@pytest.mark.parametrize("name", NAMES)
async def test_the_template_passes_for_every_name_tenure_plan_and_offer(percent: int, name: str | None) -> None:
    for tenure, plan in product(TENURES, PLANS):
        brief = Brief(
            offer_percentage=percent,
            expires_on=expiry(percent),
            first_name=name,
            tenure_months=tenure,
            plan=plan,
        )
        for text in await texts(brief):
            assert violations(text, brief) == []
            assert 50 <= len(text) <= 200


@pytest.mark.parametrize("percent", OFFERS[1:])
async def test_the_template_passes_on_every_day_of_the_year(percent: int) -> None:
    for month, day in product(range(1, 13), (1, 2, 5, 10, 12, 15, 22, 28)):
        brief = Brief(
            offer_percentage=percent, expires_on=expiry(percent, month, day), first_name="Sam", tenure_months=12
        )
        for text in await texts(brief):
            assert violations(text, brief) == []


@given(
    name=st.text(st.characters(categories=["L", "M"]) | st.sampled_from("'’- "), max_size=40),
    plan=st.none() | st.text(st.characters(categories=["L", "M", "N"]) | st.sampled_from("+- "), max_size=40),
    percent=st.sampled_from(OFFERS),
    tenure=st.integers(0, 100_000),
)
async def test_the_template_passes_for_any_name_and_plan_that_a_publisher_sends(
    name: str, plan: str | None, percent: int, tenure: int
) -> None:
    """Except a name that is itself a banned phrase: it may be a joke, and no message should repeat it."""
    brief = policy_brief(Customer(name=name, plan=plan, tenure=float(tenure)), percent, expiry(percent))
    if (brief.first_name or "").lower() in BANNED_PHRASES:
        return
    for text in await texts(brief):
        assert violations(text, brief) == []
