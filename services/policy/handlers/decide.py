"""Decide what to do about a customer, once an event.

A decision is kept under its event's id in the commit that spends the budget and ages the customer. A repeat finds it
there and says it again, word for word.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from services.policy.budget.ledger import Ledger, offer_cost, shard_in
from services.policy.budget.pacing import BudgetPacer
from services.policy.customer import gate
from services.policy.customer.brief import brief
from services.policy.customer.gate import Limits
from services.policy.customer.state import DAY, Contact, CustomerState, Review
from services.policy.policies.base import DecisionContext, Policy, PolicyAction
from services.policy.policies.observation import observation_of
from services.policy.response.dynamic_program import Rules
from shared.messages import (
    MESSAGE_TYPES,
    OFFERS,
    Action,
    CustomerFacts,
    Decision,
    Message,
    Metadata,
    PlannedContact,
    ScoredCustomer,
)
from shared.pseudonyms import Pseudonyms
from shared.service import Clock, UnprocessableError
from shared.store import CUSTOMERS, PLANS, Change, Document, Documents, Key, Store

GRACE = timedelta(days=2)
"""After an offer's last day: it ends later where the customer lives, and an answer takes its time."""
STALE = timedelta(days=90)
"""After which a customer of whom nothing new was heard is not looked at again."""


class PolicyContext(NamedTuple):
    """What deciding takes."""

    store: Store
    ledger: Ledger
    pacer: BudgetPacer
    policy: Policy
    limits: Limits
    offer_for: timedelta
    clock: Clock
    pseudonyms: Pseudonyms
    keep: timedelta = timedelta(days=365)
    """How long decisions and customers are remembered after their last change; the gate looks back no further."""


class BatchContext(NamedTuple):
    """When a batch is decided, and what money costs then."""

    now: datetime
    price: float
    day: int


async def decide(customers: Sequence[ScoredCustomer], *, context: PolicyContext) -> list[list[Message]]:
    said: dict[str, Message] = {}
    now = context.clock()
    moment = BatchContext(now, await context.pacer.price(now), context.pacer.day(now))
    for short in await _commit(customers, said, context, moment, final=False):
        await context.ledger.borrow(context.ledger.shard_of(short.customer_id), max_offer_cost(short))
        await _commit([short], said, context, moment, final=True)
    return [[said[customer.event_id]] for customer in customers]


async def _commit(
    customers: Sequence[ScoredCustomer],
    said: dict[str, Message],
    context: PolicyContext,
    moment: BatchContext,
    *,
    final: bool,
) -> list[ScoredCustomer]:
    """Decide, once each, and put what is to be said into `said`. Returns those whose shard is short of money."""
    keys = [keys_of(customer.event_id, customer.customer_id, context) for customer in customers]
    changes = [_change(customer, k, said, context, moment, final) for customer, k in zip(customers, keys, strict=True)]
    found = await context.store.update_all(list(zip(keys, changes, strict=True)))
    context.pacer.saw({shard: documents[shard] for (*_, shard), documents in zip(keys, found, strict=True)})
    for customer, (plan, *_), documents in zip(customers, keys, found, strict=True):
        if (kept := documents[plan]) and customer.event_id not in said:
            said[customer.event_id] = MESSAGE_TYPES[kept["topic"]].model_validate_json(kept["message"])
    return [customer for customer in customers if customer.event_id not in said]


def keys_of(event_id: str, customer_id: str, context: PolicyContext) -> tuple[Key, Key, Key, Key]:
    """What was decided for the event, what is remembered of its customer, whether they opted out, and who pays."""
    state, suppression = (CUSTOMERS, customer_id), context.pseudonyms.suppression_key(customer_id)
    return (PLANS, event_id), state, suppression, context.ledger.shard_of(customer_id)


def _change(
    customer: ScoredCustomer,
    keys: tuple[Key, Key, Key, Key],
    said: dict[str, Message],
    context: PolicyContext,
    moment: BatchContext,
    final: bool,
) -> Change:
    plan_key, customer_key, suppression_key, shard_key = keys
    now = moment.now

    def change(found: Documents) -> dict[Key, Document]:
        said.pop(customer.event_id, None)
        if plan := found[plan_key]:
            if plan["customer_id"] != customer.customer_id:
                raise UnprocessableError(f"event {customer.event_id!r} is of another customer")
            return {}
        state, shard = CustomerState.of(found[customer_key]), shard_in(found[shard_key])
        opted_out = bool(customer.opted_out or found[suppression_key])
        allowed = gate.action_mask(customer, state, opted_out, shard.free, now, context.limits)
        short = allowed.contact and shard.free < max_offer_cost(customer)
        if short and not final and not context.ledger.exhausted(max_offer_cost(customer)):
            return {}  # it is decided when the shard has had its chance to borrow
        situation = _situation(customer, allowed, state, context.limits, moment)
        choice = context.policy.choose(situation)
        cents = (choice.level and offer_cost(choice.level, customer.monthly_charges)) or 0
        expected_cost = round(cents * customer.accept_probs[choice.level or 0])
        message = _message(situation, choice, cents, context, now)
        said[customer.event_id] = message
        written = {plan_key: _plan(message, cents, expected_cost, context, now)}
        if choice.level is not None:
            memory = max(context.limits.fatigue_window, context.limits.cooldown)
            state = state.contacted(Contact(event_id=customer.event_id, at=now, level=choice.level), memory)
        review = _review(customer, allowed, choice, now)
        if choice.level is not None or review or state.review:
            written[customer_key] = state.reviewed(review).document(customer.customer_id, now + context.keep)
        if customer.opted_out and not found[suppression_key]:  # the shield may be about to let an earlier contact pass
            written[suppression_key] = {"at": now.isoformat()}
        if cents:
            written[shard_key] = shard.reserve(cents, expected_cost)
        return written

    return change


def _plan(message: Message, cents: int, expected_cost: int, context: PolicyContext, now: datetime) -> Document:
    """What was decided, as it is said, and what becomes of the money reserved for it: due when the offer has ended."""
    until = now + context.offer_for + GRACE
    return {
        "topic": message.topic,
        "message": message.data.decode(),
        "customer_id": message.customer_id,
        "cents": cents,
        "awaited": expected_cost,
        "status": "reserved" if cents else "free",
        "outcomes": [],
        "until": until.timestamp(),
        "due": (until if cents else now + context.keep).timestamp(),
    }


def _review(customer: ScoredCustomer, allowed: gate.ActionMask, choice: PolicyAction, now: datetime) -> Review | None:
    """Where the policy wants to look again, may hope to do something then, and still knows something."""
    if not choice.delay_days or gate.PERMANENT & set(allowed.reasons):
        return None
    known_at = customer.times.get("occurred_at") or customer.times.get("scored_at") or now
    if now - known_at > STALE:
        return None
    facts = customer.model_dump(mode="json", include=set(CustomerFacts.model_fields), exclude_none=True)
    if customer.churn_risk_source == "model":
        del facts["churn_risk"]  # it is worked out anew
    facts["occurred_at"] = known_at.isoformat()
    return Review(at=now + choice.delay_days * DAY, event_id=customer.event_id, facts=facts)


def max_offer_cost(customer: ScoredCustomer) -> int:
    """Cents that the highest offer may cost."""
    return offer_cost(len(OFFERS) - 1, customer.monthly_charges) or 0


def _situation(
    customer: ScoredCustomer, allowed: gate.ActionMask, state: CustomerState, limits: Limits, moment: BatchContext
) -> DecisionContext:
    return DecisionContext(
        customer,
        allowed,
        days_since_contact=state.days_since_contact(moment.now),
        contacts=len(state.since(moment.now - limits.fatigue_window)),
        offer_days_left=state.days_held(moment.now),
        price=moment.price,
        day=moment.day,
    )


def rules_of(limits: Limits) -> Rules:
    """As a policy takes them. Where the cap is 0 the gate allows nothing, whatever is seen of it."""
    return Rules(cooldown=ceil(limits.cooldown / DAY), cap=max(limits.fatigue_cap, 1))


def _message(
    situation: DecisionContext, choice: PolicyAction, cents: int, context: PolicyContext, now: datetime
) -> Message:
    customer, gate_says = situation.customer, situation.allowed.reasons
    contact, level = choice.level is not None, choice.level or 0
    deliberation = {
        "decision": Action(
            contact=contact,
            offer_level=level,
            offer_percentage=OFFERS[level],
            delay_days=choice.delay_days,
            estimated_retention_prob=choice.retention,
        ),
        "metadata": Metadata(
            churn_risk=customer.churn_risk,
            churn_risk_source=customer.churn_risk_source,
            accept_prob=customer.accept_probs[level],
            accept_probs=customer.accept_probs,
            expected_value=choice.expected_value,
            propensity=choice.propensity,
            action_probs=choice.action_probs,
            observation=observation_of(situation, rules_of(context.limits)),
            policy=context.policy.name,
            price=situation.price,
            gate=gate_says,
            holdout="holdout" in gate_says,
            reserved=cents / 100,
            assumed=("monthly_charges",) if customer.monthly_charges is None else (),
            reasons=customer.reasons,
        ),
        "versions": {**customer.versions, "policy": context.policy.version},
        "times": {**customer.times, "decided_at": now},
    }
    if not contact:
        return Decision.caused_by(customer, **deliberation)
    expires_on = (now + context.offer_for).date() if OFFERS[level] else None
    return PlannedContact.caused_by(
        customer,
        **deliberation,
        brief=brief(customer, OFFERS[level], expires_on, customer.reasons),
        time_zone=customer.time_zone,
    )
