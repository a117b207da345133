"""Settle a decision by its outcomes: commit or release the money, update the customer, and record opt-outs.

Outcomes of one decision may arrive in any order and any number of times: the result depends only on which there are.
An opt-out needs no decision; any other outcome waits until its decision is there.
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

REFUSALS = {"declined", "churned", "opted-out", "bounced", "expired"}
"""Outcomes that release the money reserved; `expired` comes from the calendar, not from a message."""
MAX_LEAD = timedelta(hours=1)
"""How long an outcome may wait for its decision."""


class ParsedOutcome(NamedTuple):
    """An outcome, its text read and its event known."""

    id: UUID
    event_id: str
    """Empty if it is about no event."""
    customer_id: str
    words: frozenset[str]
    """The outcomes that it reports."""
    keep_written_at: datetime | None
    """When the customer wrote KEEP, if that is the only sign that they accept."""


class Unsettled(NamedTuple):
    """An outcome that could not be settled."""

    outcome: ParsedOutcome
    shortage: int = 0
    """Cents that its shard would need free; 0 if the decision is missing."""


def status_of(outcomes: Collection[str]) -> str:
    """Status of the money after these outcomes: reserved, committed or released.

    A message that was withheld costs nothing. Otherwise an acceptance counts, whatever else was reported.
    """
    if "withheld" in outcomes:
        return "released"
    if "accepted" in outcomes:
        return "committed"
    return "released" if REFUSALS & set(outcomes) else "reserved"


async def settle(outcomes: Sequence[Outcome], *, context: PolicyContext) -> list[list[Message]]:
    """Settle what can be settled.

    Raises `NotReadyError` if a decision is not there yet, and `UnprocessableError` if one outcome can never be settled.
    The service then tries them one by one.
    """
    now = context.clock()
    for outcome in outcomes:
        if outcome.outcome == "erased":
            await erase(outcome.customer_id, context.store, context.ledger, context.pseudonyms)
    parsed = await _parse([outcome for outcome in outcomes if outcome.outcome != "erased"], context, now)
    unsettled = await _commit(parsed, context, now)
    for short in [item for item in unsettled if item.shortage]:
        unsettled += await _borrow_and_settle(short, context, now)
    for early in [item for item in unsettled if not item.shortage]:
        await _wait_for_decision(early.outcome, context, now)
    return [[] for _ in outcomes]


async def _borrow_and_settle(short: Unsettled, context: PolicyContext, now: datetime) -> list[Unsettled]:
    """Try again after the shard has borrowed. Raises `UnprocessableError` if it is still short."""
    outcome = short.outcome
    await context.ledger.borrow(context.ledger.shard_of(outcome.customer_id), short.shortage)
    unsettled = await _commit([outcome], context, now)
    if any(item.shortage for item in unsettled):
        raise UnprocessableError(f"the money for event {outcome.event_id!r}, given back before, is spent meanwhile")
    return unsettled


async def _parse(outcomes: Sequence[Outcome], context: PolicyContext, now: datetime) -> list[ParsedOutcome]:
    """An outcome without an event is taken to be about the customer's last contact, if there was one."""
    keys = [(CUSTOMERS, outcome.customer_id) for outcome in outcomes if not outcome.event_id]
    customers = await context.store.read(keys) if keys else {}
    return [
        _parse_one(outcome, CustomerState.from_document(customers.get((CUSTOMERS, outcome.customer_id))), now)
        for outcome in outcomes
    ]


def _parse_one(outcome: Outcome, state: CustomerState, now: datetime) -> ParsedOutcome:
    text, words = outcome.text or "", {outcome.outcome}
    keep_written_at = (outcome.occurred_at or now) if means_keep(text) and outcome.outcome != "accepted" else None
    if says_stop(text):
        words |= {"opted-out"}
    elif keep_written_at:
        words |= {"accepted"}
    event_id = outcome.event_id or (state.contacts[-1].event_id if state.contacts else "")
    return ParsedOutcome(outcome.id, event_id, outcome.customer_id, frozenset(words), keep_written_at)


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
    opts_out, plan = "opted-out" in outcome.words, documents.get(keys.plan)
    writes: dict[Key, Document] = {}
    if opts_out and not documents[keys.suppression]:
        writes[keys.suppression] = {"at": now.isoformat()}
    if plan is None or plan["customer_id"] != outcome.customer_id:
        if plan and not opts_out:
            raise UnprocessableError(f"event {outcome.event_id!r} is of another customer")
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
    """All outcomes of the plan by now. A KEEP that was written after the offer's end is none."""
    words = outcome.words
    if outcome.keep_written_at and plan["cents"] and outcome.keep_written_at.timestamp() > plan["until"]:
        telemetry.count("kept_too_late", event_id=outcome.event_id)
        words -= {"accepted"}
    return sorted({*plan.get("outcomes", ()), *words})


def _updated_state(state: CustomerState, event_id: str, outcomes: Collection[str]) -> CustomerState:
    """What is remembered of the customer after these outcomes of an event."""
    if "withheld" in outcomes:
        state = state.without_contact(event_id)
    elif "accepted" in outcomes:
        state = state.with_accepted_offer(event_id, RESPONSE_MODEL.effect_days)
    return state.with_review(None) if {"churned", "opted-out"} & set(outcomes) else state


async def _wait_for_decision(outcome: ParsedOutcome, context: PolicyContext, now: datetime) -> None:
    """Raises `NotReadyError`, or `UnprocessableError` if it has waited for too long."""
    key = EARLY_OUTCOMES, str(outcome.id)

    def first_seen(documents: Documents) -> tuple[dict[Key, Document], float]:
        if document := documents[key]:
            return {}, document["since"]
        since, due = now.timestamp(), (now + DAY).timestamp()
        return {key: {"since": since, "customer_id": outcome.customer_id, "due": due}}, since

    if now.timestamp() - await context.store.update([key], first_seen) > MAX_LEAD.total_seconds():
        raise UnprocessableError(f"no decision for event {outcome.event_id!r} of that customer")
    raise NotReadyError(f"no decision for event {outcome.event_id!r} yet")
