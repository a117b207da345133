"""Decide what to do about a customer, once an event; and learn what became of it.

A decision is kept under its event's id in the commit that spends the budget and ages the customer. A repeat finds it
there and says it again, word for word.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from services.policy import gate
from services.policy.baseline import Choice, Policy
from services.policy.brief import brief
from services.policy.gate import Limits
from services.policy.ledger import Ledger, offer_cost, shard_in
from services.policy.state import CustomerState
from shared.messages import (
    KINDS,
    OFFERS,
    Action,
    Decision,
    Message,
    Metadata,
    Outcome,
    PlannedContact,
    ScoredCustomer,
)
from shared.service import Clock, Unprocessable
from shared.store import CUSTOMERS, Change, Document, Documents, Key, Store

PLANS = "plans"
"""What was decided for each event, as it was said, and what became of the money reserved for it."""


class Desk(NamedTuple):
    """What deciding takes."""

    store: Store
    ledger: Ledger
    policy: Policy
    limits: Limits
    offer_for: timedelta
    clock: Clock


async def decide(customers: Sequence[ScoredCustomer], *, desk: Desk) -> list[list[Message]]:
    said: dict[str, Message] = {}
    now = desk.clock()
    for short in await _commit(customers, said, desk, now, final=False):
        await desk.ledger.borrow(desk.ledger.shard_of(short.customer_id), _dearest(short))
        await _commit([short], said, desk, now, final=True)
    return [[said[customer.event_id]] for customer in customers]


async def _commit(
    customers: Sequence[ScoredCustomer], said: dict[str, Message], desk: Desk, now: datetime, *, final: bool
) -> list[ScoredCustomer]:
    """Decide, once each, and put what is to be said into `said`. Returns those whose shard is short of money."""
    keys = [_keys(customer, desk.ledger) for customer in customers]
    changes = [_change(customer, k, said, desk, now, final) for customer, k in zip(customers, keys, strict=True)]
    found = await desk.store.update_all(list(zip(keys, changes, strict=True)))
    for customer, (plan, *_), documents in zip(customers, keys, found, strict=True):
        if (kept := documents[plan]) and customer.event_id not in said:
            said[customer.event_id] = KINDS[kept["topic"]].model_validate_json(kept["message"])
    return [customer for customer in customers if customer.event_id not in said]


def _keys(message: Message, ledger: Ledger) -> tuple[Key, Key, Key]:
    """What was decided for the event, what is remembered of its customer, and the shard that pays for them."""
    return (PLANS, message.event_id), (CUSTOMERS, message.customer_id), ledger.shard_of(message.customer_id)


def _change(
    customer: ScoredCustomer,
    keys: tuple[Key, Key, Key],
    said: dict[str, Message],
    desk: Desk,
    now: datetime,
    final: bool,
) -> Change:
    plan_key, customer_key, shard_key = keys

    def change(found: Documents) -> dict[Key, Document]:
        said.pop(customer.event_id, None)
        if plan := found[plan_key]:
            if plan["customer_id"] != customer.customer_id:
                raise Unprocessable(f"event {customer.event_id!r} is of another customer")
            return {}
        state, shard = CustomerState.of(found[customer_key]), shard_in(found[shard_key])
        allowed = gate.allow(customer, state, shard.free, now, desk.limits)
        short = allowed.contact and shard.free < _dearest(customer)
        if short and not final and not desk.ledger.dry(_dearest(customer)):
            return {}  # it is decided when the shard has had its chance to borrow
        choice = desk.policy.choose(customer, allowed)
        cents = (choice.level and offer_cost(choice.level, customer.monthly_charges)) or 0
        message = _message(customer, choice, allowed, cents, desk, now)
        said[customer.event_id] = message
        written: dict[Key, Document] = {
            plan_key: {
                "topic": message.topic,
                "message": message.data.decode(),
                "customer_id": customer.customer_id,
                "cents": cents,
                "status": "reserved" if cents else "free",
            }
        }
        if choice.level is not None:
            memory = max(desk.limits.fatigue_window, desk.limits.cooldown)
            written[customer_key] = state.contacted(customer.event_id, now, memory).document()
        elif customer.opted_out and not state.opted_out:  # the shield may be about to let an earlier contact pass
            written[customer_key] = state.model_copy(update={"opted_out": True}).document()
        if cents:
            written[shard_key] = shard.reserve(cents)
        return written

    return change


def _dearest(customer: ScoredCustomer) -> int:
    """Cents that the highest offer may cost."""
    return offer_cost(len(OFFERS) - 1, customer.monthly_charges) or 0


def _message(
    customer: ScoredCustomer, choice: Choice, allowed: gate.Allowed, cents: int, desk: Desk, now: datetime
) -> Message:
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
            policy=desk.policy.name,
            gate=allowed.reasons,
            holdout="holdout" in allowed.reasons,
            reserved=cents / 100,
            assumed=("monthly_charges",) if customer.monthly_charges is None else (),
            reasons=customer.reasons,
        ),
        "versions": {**customer.versions, "policy": desk.policy.version},
        "times": {**customer.times, "decided_at": now},
    }
    if not contact:
        return Decision.after(customer, **deliberation)
    expires_on = (now + desk.offer_for).date() if OFFERS[level] else None
    return PlannedContact.after(
        customer, **deliberation, brief=brief(customer, OFFERS[level], expires_on), time_zone=customer.time_zone
    )


async def settle(outcomes: Sequence[Outcome], *, store: Store, ledger: Ledger) -> list[list[Message]]:
    """Commit or release what was reserved, once; forget a contact that never was; end contact on opt-out."""
    keys = [_keys(outcome, ledger) for outcome in outcomes]
    await store.update_all([(k, _settlement(outcome, k)) for outcome, k in zip(outcomes, keys, strict=True)])
    return [[] for _ in outcomes]


def _settlement(outcome: Outcome, keys: tuple[Key, Key, Key]) -> Change:
    plan_key, customer_key, shard_key = keys

    def change(found: Documents) -> dict[Key, Document]:
        plan = found[plan_key]
        if plan is None or plan["customer_id"] != outcome.customer_id:
            raise Unprocessable(f"no decision for event {outcome.event_id!r} of that customer")
        written: dict[Key, Document] = {}
        if plan["status"] == "reserved":
            shard, accepted = shard_in(found[shard_key]), outcome.outcome == "accepted"
            written[shard_key] = shard.commit(plan["cents"]) if accepted else shard.release(plan["cents"])
            written[plan_key] = plan | {"status": "committed" if accepted else "released"}
        state = CustomerState.of(found[customer_key])
        if outcome.outcome == "withheld":
            written[customer_key] = state.uncontacted(outcome.event_id).document()
        elif outcome.outcome == "opted-out":
            written[customer_key] = state.model_copy(update={"opted_out": True}).document()
        return written

    return change
