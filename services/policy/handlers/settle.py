"""Settle a decision by its outcomes: commit or release the money, update the customer, and record opt-outs.

Outcomes of one decision may arrive in any order and any number of times: the result depends only on the set of them.
An opt-out needs no decision; any other outcome waits until its decision is stored.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from services.policy.budget.ledger import Shard
from services.policy.context import DecisionKeys, PolicyContext
from services.policy.customer.consent import means_keep, says_stop
from services.policy.customer.state import DAY, CustomerState
from services.policy.handlers.erase import erase
from services.policy.response.model import RESPONSE_MODEL
from shared import telemetry
from shared.messages import Message, Outcome
from shared.service import NotReadyError, UnprocessableError
from shared.store import CUSTOMERS, EARLY_OUTCOMES, Document, Documents, Key

RELEASING_OUTCOMES = {"declined", "churned", "opted-out", "bounced", "expired"}
"""Outcomes that release the money reserved; `expired` comes from a review, not from a message."""
MAX_WAIT_FOR_DECISION = timedelta(hours=1)
"""How long an outcome is retried until its decision is stored; then it becomes a dead letter."""


class ParsedOutcome(NamedTuple):
    """An outcome whose text has been classified and whose event has been looked up."""

    id: UUID
    event_id: str
    """Empty if no event is known."""
    customer_id: str
    outcomes: frozenset[str]
    """The outcomes that it reports: the one it names, and what the text means (accepted or opted-out)."""
    keep_written_at: datetime | None
    """When the customer wrote KEEP, if only this text reports the acceptance; it may be too late."""


class Unsettled(NamedTuple):
    """An outcome that could not be settled."""

    outcome: ParsedOutcome
    shortage: int = 0
    """Cents that the customer's shard must have free and has not; 0 if the decision is missing."""


def status_of(outcomes: Collection[str]) -> str:
    """Status of the money after these outcomes: reserved, committed or released.

    A message that was withheld costs nothing. Otherwise an acceptance counts, whatever else was reported.
    """
    if "withheld" in outcomes:
        return "released"
    if "accepted" in outcomes:
        return "committed"
    return "released" if RELEASING_OUTCOMES & set(outcomes) else "reserved"


async def settle(outcomes: Sequence[Outcome], *, context: PolicyContext) -> list[list[Message]]:
    """Settle all outcomes that can be settled.

    Raises `NotReadyError` if a decision is not stored yet, and `UnprocessableError` if an outcome can never be settled.
    The service then retries them one by one.
    """
    now = context.clock()
    for outcome in outcomes:
        if outcome.outcome == "erased":
            await erase(outcome.customer_id, context.store, context.ledger, context.pseudonyms)
    parsed = await _parse([outcome for outcome in outcomes if outcome.outcome != "erased"], context, now)
    unsettled = await _commit(parsed, context, now)
    for item in [item for item in unsettled if item.shortage]:
        unsettled += await _borrow_and_settle(item, context, now)
    for item in [item for item in unsettled if not item.shortage]:
        await _wait_for_decision(item.outcome, context, now)
    return [[] for _ in outcomes]


async def _borrow_and_settle(unsettled: Unsettled, context: PolicyContext, now: datetime) -> list[Unsettled]:
    """Try again after the shard has borrowed. Raises `UnprocessableError` if it still has too little free."""
    outcome = unsettled.outcome
    await context.ledger.borrow(context.ledger.shard_of(outcome.customer_id), unsettled.shortage)
    remaining = await _commit([outcome], context, now)
    if any(item.shortage for item in remaining):
        raise UnprocessableError(
            f"late acceptance: the budget released for event {outcome.event_id!r} has since been spent. Raise "
            "RETENTION_BUDGET and replay this message to count it."
        )
    return remaining


async def _parse(outcomes: Sequence[Outcome], context: PolicyContext, now: datetime) -> list[ParsedOutcome]:
    """Classify the texts of outcomes. One without an event is taken to be about the customer's last contact, if any."""
    keys = [(CUSTOMERS, outcome.customer_id) for outcome in outcomes if not outcome.event_id]
    customers = await context.store.read(keys) if keys else {}
    return [
        _parse_one(outcome, CustomerState.from_document(customers.get((CUSTOMERS, outcome.customer_id))), now)
        for outcome in outcomes
    ]


def _parse_one(outcome: Outcome, state: CustomerState, now: datetime) -> ParsedOutcome:
    text, reported = outcome.text or "", {outcome.outcome}
    keep_written_at = (outcome.occurred_at or now) if means_keep(text) and outcome.outcome != "accepted" else None
    if says_stop(text):
        reported |= {"opted-out"}
    elif keep_written_at:
        reported |= {"accepted"}
    event_id = outcome.event_id or (state.contacts[-1].event_id if state.contacts else "")
    return ParsedOutcome(outcome.id, event_id, outcome.customer_id, frozenset(reported), keep_written_at)


async def _commit(outcomes: Sequence[ParsedOutcome], context: PolicyContext, now: datetime) -> list[Unsettled]:
    updates = []
    for outcome in outcomes:
        keys = DecisionKeys.of(outcome.event_id, outcome.customer_id, context)
        change = partial(_settle, outcome=outcome, keys=keys, now=now, expires_at=now + context.retention_period)
        updates.append((keys if outcome.event_id else keys[1:], change))
    return [result for result in await context.store.update_all(updates) if result]


def _settle(
    documents: Documents, *, outcome: ParsedOutcome, keys: DecisionKeys, now: datetime, expires_at: datetime
) -> tuple[dict[Key, Document], Unsettled | None]:
    opts_out, plan = "opted-out" in outcome.outcomes, documents.get(keys.plan)
    writes: dict[Key, Document] = {}
    if opts_out and not documents[keys.suppression]:
        writes[keys.suppression] = {"at": now.isoformat()}
    if plan is None or plan["customer_id"] != outcome.customer_id:
        if plan and not opts_out:
            raise UnprocessableError(
                f"event_id {outcome.event_id!r} already belongs to another customer; use a unique id for each event, "
                "and the customer_id of its decision"
            )
        return writes, Unsettled(outcome) if outcome.event_id and not opts_out else None
    outcomes = _outcomes(outcome, plan)
    if outcomes == plan.get("outcomes"):
        return writes, None
    shard, cents = Shard.from_document(documents[keys.shard]), plan["cents"]
    before, after = plan["status"], status_of(outcomes) if cents else "free"
    if after == "committed" and before == "released" and shard.free < cents:
        return {}, Unsettled(outcome, shortage=cents)
    if before != after:
        writes[keys.shard] = shard.change_status(cents, plan.get("awaited", 0), before, after).to_document()
    due = plan["due"] if after == "reserved" else expires_at.timestamp()
    writes[keys.plan] = {**plan, "status": after, "outcomes": outcomes, "due": due}
    state = CustomerState.from_document(documents[keys.customer])
    if (updated := _updated_state(state, outcome.event_id, outcomes)) != state:
        writes[keys.customer] = updated.to_document(outcome.customer_id, expires_at)
    return writes, None


def _outcomes(outcome: ParsedOutcome, plan: Document) -> list[str]:
    """All outcomes of the plan by now. A KEEP that was written after the offer's end does not count."""
    reported = outcome.outcomes
    if outcome.keep_written_at and plan["cents"] and outcome.keep_written_at.timestamp() > plan["until"]:
        telemetry.count("kept_too_late", event_id=outcome.event_id)
        reported -= {"accepted"}
    return sorted({*plan.get("outcomes", ()), *reported})


def _updated_state(state: CustomerState, event_id: str, outcomes: Collection[str]) -> CustomerState:
    """The state of the customer after these outcomes of an event."""
    if "withheld" in outcomes:
        state = state.without_contact(event_id)
    elif "accepted" in outcomes:
        state = state.with_accepted_offer(event_id, RESPONSE_MODEL.effect_days)
    return state.with_review(None) if {"churned", "opted-out"} & set(outcomes) else state


async def _wait_for_decision(outcome: ParsedOutcome, context: PolicyContext, now: datetime) -> None:
    """Raise `NotReadyError`, so that the outcome is retried; `UnprocessableError` if it has waited for too long."""
    key = EARLY_OUTCOMES, str(outcome.id)

    def first_arrival(documents: Documents) -> tuple[dict[Key, Document], float]:
        if document := documents[key]:
            return {}, document["since"]
        since, due = now.timestamp(), (now + DAY).timestamp()
        return {key: {"since": since, "customer_id": outcome.customer_id, "due": due}}, since

    if now.timestamp() - await context.store.update([key], first_arrival) > MAX_WAIT_FOR_DECISION.total_seconds():
        minutes = MAX_WAIT_FOR_DECISION / timedelta(minutes=1)
        raise UnprocessableError(
            f"event_id: no decision for event {outcome.event_id!r} of this customer within {minutes:.0f} minutes. "
            "Send the event_id and customer_id of the decision."
        )
    raise NotReadyError(f"no decision for event {outcome.event_id!r} yet")
