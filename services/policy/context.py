"""What the handlers share: the dependencies of the service, and the keys of the documents of a decision."""

from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple, Self

from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer
from services.policy.customer.gate import ActionMask, Limits
from services.policy.customer.state import DAY, CustomerState
from services.policy.policies.base import DecisionContext, Policy
from services.policy.replies.reader import ReplyReader
from services.policy.response.dynamic_program import Rules
from shared.messages import ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Clock
from shared.store import CUSTOMERS, PLANS, Key, Store

GRACE_PERIOD = timedelta(days=2)
"""Time after an offer's last day (UTC) in which an acceptance still counts: the day ends later in some time zones, and
an answer takes time to arrive."""


class PolicyContext(NamedTuple):
    """Dependencies of the handlers."""

    store: Store
    ledger: Ledger
    pacer: BudgetPacer
    policy: Policy
    limits: Limits
    offer_duration: timedelta
    """How long a customer may accept an offer."""
    clock: Clock
    pseudonyms: Pseudonyms
    reader: ReplyReader
    retention_period: timedelta = timedelta(days=365)
    """How long decisions and customers are kept after their last change. No limit of the gate looks back further."""
    unread_reply_duration: timedelta = timedelta(days=30)
    """How long an unclear reply waits for a person, before it counts as a request to stop."""


class SettleContext(NamedTuple):
    """The dependencies that settling outcomes needs; a `PolicyContext` has them all."""

    store: Store
    ledger: Ledger
    limits: Limits
    clock: Clock
    pseudonyms: Pseudonyms
    retention_period: timedelta


class BatchContext(NamedTuple):
    """What the decisions of one batch have in common."""

    context: PolicyContext
    now: datetime
    price: float
    """Shadow price of the budget."""
    day: int
    """Day of the campaign that ends with the budget's calendar."""
    rules: Rules

    @classmethod
    async def begin(cls, context: PolicyContext) -> Self:
        now = context.clock()
        price = await context.pacer.price(now)
        return cls(context, now, price, context.pacer.day(now), contact_rules(context.limits))

    def decision_context(self, customer: ScoredCustomer, allowed: ActionMask, state: CustomerState) -> DecisionContext:
        return DecisionContext(
            customer,
            allowed,
            days_since_contact=state.days_since_contact(self.now),
            contacts=len(state.contacts_since(self.now - self.context.limits.fatigue_window)),
            offer_days_left=state.offer_days_left(self.now),
            price=self.price,
            day=self.day,
            rules=self.rules,
        )


def contact_rules(limits: Limits) -> Rules:
    """The limits in whole days, as policies use them. A cap of 0 becomes 1: the gate masks every contact anyway."""
    return Rules(cooldown_days=ceil(limits.cooldown / DAY), contact_cap=max(limits.fatigue_cap, 1))


class DecisionKeys(NamedTuple):
    """Keys of the documents that a decision reads and writes."""

    plan: Key
    """What was decided for the event, and whether its money is reserved, committed or released."""
    customer: Key
    """The state of the customer."""
    suppression: Key
    """What the customer said about being contacted."""
    shard: Key
    """The customer's shard of the budget."""

    @classmethod
    def of(cls, event_id: str, customer_id: str, context: PolicyContext | SettleContext) -> Self:
        suppression = context.pseudonyms.suppression_key(customer_id)
        return cls((PLANS, event_id), (CUSTOMERS, customer_id), suppression, context.ledger.shard_of(customer_id))
