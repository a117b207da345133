"""The facts that a message may mention. A name or a plan that may be something else is left out."""

from collections.abc import Mapping, Sequence
from datetime import date

from services.policy.customer.names import first_name, plan_name
from shared.messages import Brief, Concern, Customer, Reason

CONCERNS: Mapping[str, Concern] = {
    **dict.fromkeys("monthly_charges total_charges payment_method paperless_billing".split(), "price"),
    **dict.fromkeys(
        "internet_service online_security online_backup device_protection tech_support streaming_tv streaming_movies"
        " phone_service multiple_lines".split(),
        "service",
    ),
    **dict.fromkeys("contract tenure".split(), "contract"),
}
"""The concern that a fact is about. Personal facts, such as age and family, have none: no message may refer to them."""


def brief(customer: Customer, offer_percentage: int, expires_on: date | None, reasons: Sequence[Reason] = ()) -> Brief:
    return Brief(
        offer_percentage=offer_percentage,
        expires_on=expires_on,
        first_name=first_name(customer.name),
        tenure_months=int(customer.tenure) if customer.tenure else None,
        plan=plan_name(customer.plan),
        concern=_concern(reasons),
    )


def _concern(reasons: Sequence[Reason]) -> Concern | None:
    """The concern of the strongest reason that raises the risk."""
    raising = [reason for reason in reasons if reason.contribution > 0 and reason.feature in CONCERNS]
    return CONCERNS[max(raising, key=lambda reason: reason.contribution).feature] if raising else None
