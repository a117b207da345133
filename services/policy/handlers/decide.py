"""Decide what to do about a customer, once per event.

A decision is stored under its event's id, in the commit that spends the budget and records the contact. A redelivered
event is answered with the stored message, byte for byte.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from services.policy.budget.ledger import Shard
from services.policy.context import GRACE_PERIOD, BatchContext, DecisionKeys, PolicyContext
from services.policy.customer import gate
from services.policy.customer.billing import max_offer_cost, offer_cost
from services.policy.customer.brief import brief
from services.policy.customer.state import DAY, Contact, CustomerState, Review
from services.policy.policies.base import DecisionContext, PolicyAction
from shared import telemetry
from shared.consent import Consent
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
from shared.service import UnprocessableError
from shared.store import Document, Documents, Key

MAX_FACTS_AGE = timedelta(days=90)
"""Age of the facts about a customer from which no further review is planned."""


class DecisionResult(NamedTuple):
    """The result of the change that makes a decision."""

    message: Message | None
    """The decision or planned contact; None if the shard has too little free and may still borrow."""
    shard: Shard
    """The customer's shard of the budget after the decision."""


async def decide(customers: Sequence[ScoredCustomer], *, context: PolicyContext) -> list[list[Message]]:
    batch = await BatchContext.begin(context)
    for customer in customers:
        if gate.has_note(customer):
            telemetry.count("customer_note", event_id=customer.event_id)
        if gate.bill_in_doubt(customer, context.limits):
            telemetry.count("bill_in_doubt", event_id=customer.event_id)
    messages = await _commit(customers, batch, may_borrow=True)
    return [
        [message or await _borrow_and_decide(customer, batch)]
        for customer, message in zip(customers, messages, strict=True)
    ]


async def _borrow_and_decide(customer: ScoredCustomer, batch: BatchContext) -> Message:
    ledger = batch.context.ledger
    await ledger.borrow(ledger.shard_of(customer.customer_id), max_offer_cost(customer))
    [message] = await _commit([customer], batch, may_borrow=False)
    assert message
    return message


async def _commit(
    customers: Sequence[ScoredCustomer], batch: BatchContext, *, may_borrow: bool
) -> list[Message | None]:
    """The message of each decision, new or stored; None where the shard has too little free and may borrow."""
    updates = []
    for customer in customers:
        keys = DecisionKeys.of(customer.event_id, customer.customer_id, batch.context)
        updates.append((keys, partial(_decide, customer=customer, keys=keys, batch=batch, may_borrow=may_borrow)))
    results = await batch.context.store.update_all(updates)
    batch.context.pacer.observe({keys.shard: result.shard for (keys, _), result in zip(updates, results, strict=True)})
    return [result.message for result in results]


def _decide(
    documents: Documents, *, customer: ScoredCustomer, keys: DecisionKeys, batch: BatchContext, may_borrow: bool
) -> tuple[dict[Key, Document], DecisionResult]:
    context, shard = batch.context, Shard.from_document(documents[keys.shard])
    consent = Consent.from_document(documents[keys.suppression])
    if plan := documents[keys.plan]:
        if plan["customer_id"] != customer.customer_id:
            raise UnprocessableError(
                f"event_id {customer.event_id!r} already belongs to another customer; use a unique id for each event"
            )
        message = MESSAGE_TYPES[plan["topic"]].model_validate_json(plan["message"])
        return _opt_out(customer, consent, keys, batch), DecisionResult(message, shard)
    state = CustomerState.from_document(documents[keys.customer])
    opted_out, waits = bool(customer.opted_out or consent.opted_out), bool(consent.unread)
    allowed = gate.action_mask(customer, state, opted_out, shard.free, batch.now, context.limits, waits)
    if gate.bill_in_doubt(customer, context.limits):
        customer = customer.model_copy(update={"monthly_charges": None})
    max_cost = max_offer_cost(customer)
    if may_borrow and allowed.contact and shard.free < max_cost and not context.ledger.exhausted(max_cost):
        return {}, DecisionResult(None, shard)
    decision = batch.decision_context(customer, allowed, state)
    action = context.policy.choose(decision)
    cost = (action.level and offer_cost(action.level, customer.monthly_charges)) or 0
    expected_cost = round(cost * customer.accept_probs[action.level or 0])
    message = _message(decision, action, cost, batch)
    writes = {keys.plan: _plan(message, cost, expected_cost, batch), **_opt_out(customer, consent, keys, batch)}
    if document := _customer_document(state, decision, action, batch):
        writes[keys.customer] = document
    if cost:
        shard = shard.reserve(cost, expected_cost)
        writes[keys.shard] = shard.to_document()
    return writes, DecisionResult(message, shard)


def _opt_out(
    customer: ScoredCustomer, consent: Consent, keys: DecisionKeys, batch: BatchContext
) -> dict[Key, Document]:
    """The document to write if the event says that the customer opted out; the shield reads it for messages to send."""
    if not customer.opted_out:
        return {}
    message_id, occurred_at = batch.context.pseudonyms.of_message(customer), customer.times.get("occurred_at")
    stopped = consent.with_statement("stop", message_id, occurred_at, batch.now)
    return {keys.suppression: stopped.to_document()} if stopped != consent else {}


def _plan(message: Message, cost: int, expected_cost: int, batch: BatchContext) -> Document:
    """The stored decision, with the status of its money. It is due when the offer has ended."""
    accepted_until = batch.now + batch.context.offer_duration + GRACE_PERIOD
    return {
        "topic": message.topic,
        "message": message.data.decode(),
        "customer_id": message.customer_id,
        "cents": cost,
        "awaited": expected_cost,
        "status": "reserved" if cost else "free",
        "outcomes": [],
        "until": accepted_until.timestamp(),
        "due": (accepted_until if cost else batch.now + batch.context.retention_period).timestamp(),
    }


def _customer_document(
    state: CustomerState, decision: DecisionContext, action: PolicyAction, batch: BatchContext
) -> Document | None:
    """The state of the customer after the action, as it is stored; None if it is unchanged."""
    customer, limits, now = decision.customer, batch.context.limits, batch.now
    if action.level is not None:
        contact = Contact(event_id=customer.event_id, at=now, level=action.level)
        state = state.with_contact(contact, max(limits.fatigue_window, limits.cooldown))
    review = _review(decision, action, now)
    if action.level is None and not review and not state.review:
        return None
    return state.with_review(review).to_document(customer.customer_id, now + batch.context.retention_period)


def _review(decision: DecisionContext, action: PolicyAction, now: datetime) -> Review | None:
    """The review that the action asks for, if a contact may be possible then and the facts are not too old."""
    customer = decision.customer
    if not action.delay_days or gate.PERMANENT_REASONS & set(decision.allowed.reasons):
        return None
    known_at = customer.times.get("occurred_at") or customer.times.get("scored_at") or now
    if now - known_at > MAX_FACTS_AGE:
        return None
    facts = customer.model_dump(mode="json", include=set(CustomerFacts.model_fields), exclude_none=True)
    if customer.churn_risk_source == "model":
        del facts["churn_risk"]  # the scorer predicts it again at the review
    facts["occurred_at"] = known_at.isoformat()
    return Review(at=now + action.delay_days * DAY, event_id=customer.event_id, facts=facts)


def _message(decision: DecisionContext, action: PolicyAction, cost: int, batch: BatchContext) -> Message:
    customer, level = decision.customer, action.level or 0
    draft = {
        "decision": Action(
            contact=action.level is not None,
            offer_level=level,
            offer_percentage=OFFERS[level],
            delay_days=action.delay_days,
            estimated_retention_prob=action.retention_prob,
        ),
        "metadata": _metadata(decision, action, cost, batch.context.policy.name),
        "versions": {**customer.versions, "policy": batch.context.policy.version},
        "times": {**customer.times, "decided_at": batch.now},
    }
    if action.level is None:
        return Decision.caused_by(customer, **draft)
    expires_on = (batch.now + batch.context.offer_duration).date() if OFFERS[level] else None
    return PlannedContact.caused_by(
        customer,
        **draft,
        brief=brief(customer, OFFERS[level], expires_on, customer.reasons),
        time_zone=customer.time_zone,
    )


def _metadata(decision: DecisionContext, action: PolicyAction, cost: int, policy_name: str) -> Metadata:
    customer, reasons = decision.customer, decision.allowed.reasons
    return Metadata(
        churn_risk=customer.churn_risk,
        churn_risk_source=customer.churn_risk_source,
        accept_prob=customer.accept_probs[action.level or 0],
        accept_probs=customer.accept_probs,
        expected_value=action.expected_value,
        propensity=action.propensity,
        action_probs=action.action_probs,
        observation=decision.observation,
        policy=policy_name,
        price=decision.price,
        gate=reasons,
        holdout="holdout" in reasons,
        reserved=cost / 100,
        assumed=("monthly_charges",) if customer.monthly_charges is None else (),
        reasons=customer.reasons,
    )
