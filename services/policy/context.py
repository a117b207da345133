"""What the handlers share: the parts of the service, and the keys of the documents that a message is about."""

from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple, Self

from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer
from services.policy.customer.gate import ActionMask, Limits
from services.policy.customer.state import DAY, CustomerState
from services.policy.policies.base import DecisionContext, Policy
from services.policy.response.dynamic_program import Rules
from shared.messages import ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Clock
from shared.store import CUSTOMERS, PLANS, Key, Store

GRACE_PERIOD = timedelta(days=2)
"""After an offer's last day, which ends later in the customer's time zone; and an answer takes time to arrive."""


class PolicyContext(NamedTuple):
    """The parts of the service."""

    store: Store
    ledger: Ledger
    pacer: BudgetPacer
    policy: Policy
    limits: Limits
    offer_duration: timedelta
    """For which a customer may accept an offer."""
    clock: Clock
    pseudonyms: Pseudonyms
    retention_period: timedelta = timedelta(days=365)
    """How long decisions and customers are kept after their last change. No limit of the gate looks back further."""


class BatchContext(NamedTuple):
    """What the decisions of one batch have in common."""

    service: PolicyContext
    now: datetime
    price: float
    """Shadow price of the budget."""
    day: int
    """Day of the quarter that ends with the budget's calendar."""
    rules: Rules

    @classmethod
    async def begin(cls, service: PolicyContext) -> Self:
        now = service.clock()
        price = await service.pacer.price(now)
        return cls(service, now, price, service.pacer.day(now), contact_rules(service.limits))

    def decision_context(self, customer: ScoredCustomer, allowed: ActionMask, state: CustomerState) -> DecisionContext:
        return DecisionContext(
            customer,
            allowed,
            days_since_contact=state.days_since_contact(self.now),
            contacts=len(state.contacts_since(self.now - self.service.limits.fatigue_window)),
            offer_days_left=state.offer_days_left(self.now),
            price=self.price,
            day=self.day,
            rules=self.rules,
        )


def contact_rules(limits: Limits) -> Rules:
    """The limits in whole days, as policies use them. At a cap of 0 the gate masks everything, so 1 does no harm."""
    return Rules(cooldown=ceil(limits.cooldown / DAY), cap=max(limits.fatigue_cap, 1))


class DecisionKeys(NamedTuple):
    """The documents of a decision."""

    plan: Key
    """What was decided for the event, and what became of the money reserved for it."""
    customer: Key
    suppression: Key
    """Exists if the customer has opted out."""
    shard: Key
    """The customer's shard of the budget."""

    @classmethod
    def of(cls, event_id: str, customer_id: str, service: PolicyContext) -> Self:
        suppression = service.pseudonyms.suppression_key(customer_id)
        return cls((PLANS, event_id), (CUSTOMERS, customer_id), suppression, service.ledger.shard_of(customer_id))
