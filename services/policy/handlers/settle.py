"""Settle a decision by its outcomes: commit or release the money, update the customer, and record what they reply.

Outcomes of one decision may arrive in any order and any number of times: the result depends only on the set of them.
What a customer says about being contacted is recorded first and needs no decision; any other outcome waits until its
decision is stored.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from pydantic_core import from_json

from services.policy.budget.ledger import Shard
from services.policy.context import DecisionKeys, PolicyContext, SettleContext
from services.policy.customer.gate import is_unreachable
from services.policy.customer.state import DAY, Bounce, CustomerState
from services.policy.handlers.erase import erase
from services.policy.handlers.replies import Reply, close, record, waiting
from services.policy.replies.reader import ReplyKind
from services.policy.response.model import RESPONSE_MODEL
from shared import telemetry
from shared.consent import Statement
from shared.messages import Message, Outcome
from shared.service import NotReadyError, UnprocessableError
from shared.store import CUSTOMERS, EARLY_OUTCOMES, Document, Documents, Key

RELEASING_OUTCOMES = {"declined", "churned", "opted-out", "bounced", "expired"}
"""Outcomes that release the money reserved; `expired` comes from a review, not from a message."""
SIGNS_OF_LIFE = {"delivered", "accepted", "declined", "replied"}
"""Outcomes that show that messages reach the customer."""
STATEMENTS: Mapping[ReplyKind, Statement] = {"stop": "stop", "resume": "resume", "unclear": "unclear"}
"""The kinds of replies that are about being contacted."""
MEANINGS: Mapping[ReplyKind, str] = {"stop": "opted-out", "keep": "accepted"}
"""The outcomes that replies report besides `replied`."""
MAX_WAIT_FOR_DECISION = timedelta(hours=1)
"""How long an outcome is retried until its decision is stored; then it becomes a dead letter."""


class ParsedOutcome(NamedTuple):
    """An outcome whose text has been read and whose event has been looked up."""

    id: str
    event_id: str
    """Empty if no event is known."""
    customer_id: str
    outcomes: frozenset[str]
    """The outcomes that it reports: the one it names, and what the text means (accepted or opted-out)."""
    statement: Statement | None
    """What it says about being contacted, if anything; then it needs no decision."""
    occurred_at: datetime | None
    """When it happened; None if that is unknown or later than now."""
    keep_written_at: datetime | None
    """When the customer wrote KEEP, if only this text reports the acceptance; it may be too late."""


class Unsettled(NamedTuple):
    """An outcome that could not be settled."""

    outcome: ParsedOutcome
    shortage: int = 0
    """Cents that the customer's shard must have free and has not; 0 if the decision is missing."""


class Settlement(NamedTuple):
    """What came of an outcome."""

    unsettled: Unsettled | None = None
    pauses_contact: bool = False
    """Whether it is the bounce after which contact pauses."""


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
    if replies := [reply for _, reply in parsed if reply]:
        await record(replies, context, now)  # first, whatever becomes of the rest
    await _settle_all([outcome for outcome, _ in parsed], context, now)
    return [[] for _ in outcomes]


async def settle_reply(reply_id: str, kind: ReplyKind, *, context: PolicyContext | SettleContext) -> None:
    """Settle a reply that waits for a person as if the customer had said this; nothing if it waits no longer.

    Raises as `settle` does, and the reply then still waits.
    """
    if (reply := await waiting(reply_id, context)) is None:
        return
    written_at, statement = datetime.fromisoformat(reply["at"]), STATEMENTS.get(kind)
    outcome = ParsedOutcome(
        reply_id,
        reply["event_id"],
        reply["customer_id"],
        _reported("replied", kind),
        statement,
        written_at,
        keep_written_at=written_at if kind == "keep" else None,
    )
    await _settle_all([outcome], context, context.clock())
    await close(reply_id, reply["customer_id"], statement, context)


async def _settle_all(outcomes: Sequence[ParsedOutcome], context: PolicyContext | SettleContext, now: datetime) -> None:
    unsettled = await _commit(outcomes, context, now)
    for item in [item for item in unsettled if item.shortage]:
        unsettled += await _borrow_and_settle(item, context, now)
    for item in [item for item in unsettled if not item.shortage]:
        await _wait_for_decision(item.outcome, context, now)


async def _borrow_and_settle(
    unsettled: Unsettled, context: PolicyContext | SettleContext, now: datetime
) -> list[Unsettled]:
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


async def _parse(
    outcomes: Sequence[Outcome], context: PolicyContext, now: datetime
) -> list[tuple[ParsedOutcome, Reply | None]]:
    """Read the texts of outcomes. One without an event is taken to be about the customer's last contact, if any."""
    keys = [(CUSTOMERS, outcome.customer_id) for outcome in outcomes if not outcome.event_id]
    customers = await context.store.read(keys) if keys else {}
    return [
        _parse_one(outcome, CustomerState.from_document(customers.get((CUSTOMERS, outcome.customer_id))), context, now)
        for outcome in outcomes
    ]


def _parse_one(
    outcome: Outcome, state: CustomerState, context: PolicyContext, now: datetime
) -> tuple[ParsedOutcome, Reply | None]:
    """The outcome, and what the customer says in it about being contacted."""
    text, kind = outcome.text or "", _kind(outcome, context)
    statement, message_id = STATEMENTS.get(kind), context.pseudonyms.of_message(outcome)
    event_id = outcome.event_id or (state.contacts[-1].event_id if state.contacts else "")
    occurred_at = outcome.occurred_at if outcome.occurred_at and outcome.occurred_at <= now else None
    keep_written_at = (outcome.occurred_at or now) if kind == "keep" and outcome.outcome != "accepted" else None
    reported, customer_id = _reported(outcome.outcome, kind), outcome.customer_id
    parsed = ParsedOutcome(message_id, event_id, customer_id, reported, statement, occurred_at, keep_written_at)
    return parsed, Reply(message_id, customer_id, event_id, statement, text, occurred_at) if statement else None


def _kind(outcome: Outcome, context: PolicyContext) -> ReplyKind:
    if outcome.outcome == "opted-out":
        return "stop"
    kind = context.reader.read(outcome.text) if outcome.text else "other"
    # Beside another outcome, a text may be the caller's own: it lifts no opt-out, and need not be clear.
    return "other" if outcome.outcome != "replied" and kind in ("resume", "unclear") else kind


def _reported(outcome: str, kind: ReplyKind) -> frozenset[str]:
    return frozenset({outcome, MEANINGS.get(kind, outcome)})


async def _commit(
    outcomes: Sequence[ParsedOutcome], context: PolicyContext | SettleContext, now: datetime
) -> list[Unsettled]:
    updates = []
    for outcome in outcomes:
        keys = DecisionKeys.of(outcome.event_id, outcome.customer_id, context)
        change = partial(_settle, outcome=outcome, keys=keys, context=context, now=now)
        updates.append(([*([keys.plan] if outcome.event_id else ()), keys.customer, keys.shard], change))
    settlements = await context.store.update_all(updates)
    for outcome, settlement in zip(outcomes, settlements, strict=True):
        if settlement.pauses_contact:
            telemetry.count("bounced", event_id=outcome.event_id, customer=context.pseudonyms.of(outcome.customer_id))
    return [settlement.unsettled for settlement in settlements if settlement.unsettled]


def _settle(
    documents: Documents,
    *,
    outcome: ParsedOutcome,
    keys: DecisionKeys,
    context: PolicyContext | SettleContext,
    now: datetime,
) -> tuple[dict[Key, Document], Settlement]:
    plan, state = documents.get(keys.plan), CustomerState.from_document(documents[keys.customer])
    expires_at = now + context.retention_period
    writes: dict[Key, Document] = {}
    if plan is None or plan["customer_id"] != outcome.customer_id:
        if plan and not outcome.statement:
            raise UnprocessableError(
                f"event_id {outcome.event_id!r} already belongs to another customer; use a unique id for each event, "
                "and the customer_id of its decision"
            )
        if outcome.event_id and not outcome.statement:
            return {}, Settlement(Unsettled(outcome))
        if documents[keys.customer] and SIGNS_OF_LIFE & outcome.outcomes:
            updated = state.with_sign_of_life(outcome.occurred_at or now)
            writes[keys.customer] = updated.to_document(outcome.customer_id, expires_at)
        return writes, Settlement()
    outcomes = _outcomes(outcome, plan)
    if outcomes != plan.get("outcomes"):
        shard, cents = Shard.from_document(documents[keys.shard]), plan["cents"]
        before, after = plan["status"], status_of(outcomes) if cents else "free"
        if after == "committed" and before == "released" and shard.free < cents:
            return {}, Settlement(Unsettled(outcome, shortage=cents))
        if before != after:
            writes[keys.shard] = shard.change_status(cents, plan.get("awaited", 0), before, after).to_document()
        due = plan["due"] if after == "reserved" else expires_at.timestamp()
        writes[keys.plan] = {**plan, "status": after, "outcomes": outcomes, "due": due}
    updated = _with_delivery(_updated_state(state, outcome.event_id, outcomes), outcome, plan)
    if updated != state:
        writes[keys.customer] = updated.to_document(outcome.customer_id, expires_at)
    pauses_contact = is_unreachable(updated, context.limits) and not is_unreachable(state, context.limits)
    return writes, Settlement(pauses_contact=pauses_contact)


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


def _with_delivery(state: CustomerState, outcome: ParsedOutcome, plan: Document) -> CustomerState:
    """The state of the customer after the bounce, or the sign of life, that the outcome may report."""
    if not outcome.outcomes & {"bounced", *SIGNS_OF_LIFE}:
        return state
    decided_at = datetime.fromisoformat(from_json(plan["message"])["times"]["decided_at"])
    if "bounced" in outcome.outcomes:
        state = state.with_bounce(Bounce(event_id=outcome.event_id, at=decided_at))
    if outcome.outcomes & SIGNS_OF_LIFE:
        state = state.with_sign_of_life(max(decided_at, outcome.occurred_at or decided_at))
    return state


async def _wait_for_decision(outcome: ParsedOutcome, context: PolicyContext | SettleContext, now: datetime) -> None:
    """Raise `NotReadyError`, so that the outcome is retried; `UnprocessableError` if it has waited for too long."""
    key = EARLY_OUTCOMES, outcome.id

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
