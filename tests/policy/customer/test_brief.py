from datetime import date
from typing import get_args

from services.policy.customer.brief import CONCERNS, brief
from services.policy.handlers.decide import decide
from services.scorer.shap import FACTS
from shared.messages import Brief, Concern, Customer, PlannedContact, Reason
from tests.policy.builders import MaxOfferPolicy, policy_context, scored


def test_a_brief_has_the_facts_that_a_message_may_mention_and_no_others() -> None:
    customer = Customer(name="Sam Vimes", plan="Pro", tenure=12.0, monthly_charges=89.99, time_zone="Europe/Madrid")

    assert brief(customer, 10, date(2025, 12, 7), [Reason(feature="tenure", contribution=0.2)]) == Brief(
        offer_percentage=10,
        expires_on=date(2025, 12, 7),
        first_name="Sam",
        tenure_months=12,
        plan="Pro",
        concern="contract",
    )


def test_unknown_facts_are_left_out() -> None:
    assert brief(Customer(), 0, None) == Brief(offer_percentage=0)


def concern(**contributions: float) -> Concern | None:
    reasons = [Reason(feature=feature, contribution=value) for feature, value in contributions.items()]
    return brief(Customer(), 0, None, reasons).concern


def test_the_concern_is_that_of_the_strongest_reason() -> None:
    assert concern(contract=0.4, monthly_charges=0.2, tech_support=0.1) == "contract"
    assert concern(contract=0.1, monthly_charges=0.2, tech_support=0.1) == "price"
    assert concern(contract=0.1, monthly_charges=0.2, tech_support=0.3) == "service"


def test_a_fact_that_lowers_the_risk_is_no_concern() -> None:
    assert concern(contract=-0.9, monthly_charges=0.1) == "price"
    assert concern(contract=-0.9, monthly_charges=0.0) is None


def test_personal_facts_are_no_concern() -> None:
    assert concern(senior_citizen=0.9, gender=0.5, tech_support=0.1) == "service"
    assert concern(partner=0.9, dependents=0.5) is None


def test_every_fact_of_the_scorer_has_a_concern_or_is_personal() -> None:
    assert set(FACTS) - CONCERNS.keys() == {"gender", "senior_citizen", "partner", "dependents"}
    assert CONCERNS.keys() <= set(FACTS)
    assert set(CONCERNS.values()) == set(get_args(Concern))


async def test_a_planned_contact_has_the_concern() -> None:
    customer = scored(reasons=[Reason(feature="internet_service", contribution=0.5)])

    [[message]] = await decide([customer], context=await policy_context(policy=MaxOfferPolicy()))

    assert isinstance(message, PlannedContact)
    assert message.brief.concern == "service"


def test_a_tenure_of_less_than_a_month_is_left_out() -> None:
    assert brief(Customer(tenure=0.0), 0, None).tenure_months is None
    assert brief(Customer(tenure=1.0), 0, None).tenure_months == 1
