"""Learn what became of a decision: settle the money, remember what matters later, and end contact where asked to.

Outcomes of one decision may come in any order and any number of times: what is made of them depends on which there are.
Only a customer's wish to hear no more needs no decision; any other outcome waits until its decision is there.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.policy.budget.ledger import shard_in
from services.policy.customer.consent import means_keep, says_stop
from services.policy.customer.state import DAY, CustomerState
from services.policy.handlers.decide import PolicyContext, keys_of
from services.policy.handlers.erase import erase
from services.policy.response.model import RESPONSE_MODEL
from shared import telemetry
from shared.messages import Message, Outcome
from shared.service import NotReadyError, UnprocessableError
from shared.store import CUSTOMERS, EARLY_OUTCOMES, Change, Document, Documents, Key

REFUSALS = {"declined", "churned", "opted-out", "bounced", "expired"}
"""What gives back the money reserved; `expired` is the calendar's word."""
PATIENCE = timedelta(hours=1)
"""How long an outcome may be ahead of its decision."""


class ParsedOutcome(NamedTuple):
    """An outcome, once its text is read and it is known which event it is about: none is an empty id."""

    id: UUID
    event_id: str
    customer_id: str
    words: frozenset[str]
    kept_at: datetime | None
    """When the customer wrote KEEP, where it is only by this that they accept."""


class Unsettled(NamedTuple):
    """What could not be settled: whose decision is not there, and whose shard is short of so many cents."""

    early: dict[UUID, ParsedOutcome]
    short: dict[UUID, tuple[ParsedOutcome, int]]


def status_of(outcomes: Collection[str]) -> str:
    """Of the money. What was never sent costs nothing; else who accepts has the discount, whatever else they say."""
    if "withheld" in outcomes:
        return "released"
    if "accepted" in outcomes:
        return "committed"
    return "released" if REFUSALS & set(outcomes) else "reserved"


async def settle(outcomes: Sequence[Outcome], *, context: PolicyContext) -> list[list[Message]]:
    """Raises where one has to come again or can never be settled; one by one they then do what they can."""
    now, waiting = context.clock(), Unsettled({}, {})
    for outcome in outcomes:
        if outcome.outcome == "erased":
            await erase(outcome.customer_id, context.store, context.ledger, context.pseudonyms)
    heard = await _heard([outcome for outcome in outcomes if outcome.outcome != "erased"], context, now)
    await _commit(heard, waiting, context, now, final=False)
    for each, cents in list(waiting.short.values()):
        await context.ledger.borrow(context.ledger.shard_of(each.customer_id), cents)
        await _commit([each], waiting, context, now, final=True)
    for each in waiting.early.values():
        await _wait(each, context, now)
    return [[] for _ in outcomes]


async def _heard(outcomes: Sequence[Outcome], context: PolicyContext, now: datetime) -> list[ParsedOutcome]:
    """What is of no event is about the customer's last contact, if there was one."""
    unasked = [(CUSTOMERS, outcome.customer_id) for outcome in outcomes if not outcome.event_id]
    customers = await context.store.read(unasked) if unasked else {}
    heard = []
    for outcome in outcomes:
        text, words = outcome.text or "", {outcome.outcome}
        contacts = CustomerState.of(customers.get((CUSTOMERS, outcome.customer_id))).contacts
        kept_at = (outcome.occurred_at or now) if means_keep(text) and outcome.outcome != "accepted" else None
        words |= {"opted-out"} if says_stop(text) else {"accepted"} if kept_at else set()
        event_id = outcome.event_id or (contacts[-1].event_id if contacts else "")
        heard.append(ParsedOutcome(outcome.id, event_id, outcome.customer_id, frozenset(words), kept_at))
    return heard


async def _commit(
    heard: Sequence[ParsedOutcome], waiting: Unsettled, context: PolicyContext, now: datetime, *, final: bool
) -> None:
    updates = []
    for each in heard:
        keys = keys_of(each.event_id, each.customer_id, context)
        change = _settlement(each, keys, waiting, context, now, final)
        updates.append((keys if each.event_id else keys[1:], change))
    await context.store.update_all(updates)


def _settlement(
    heard: ParsedOutcome,
    keys: tuple[Key, Key, Key, Key],
    waiting: Unsettled,
    context: PolicyContext,
    now: datetime,
    final: bool,
) -> Change:
    plan_key, customer_key, suppression_key, shard_key = keys

    def change(found: Documents) -> dict[Key, Document]:
        waiting.early.pop(heard.id, None)
        waiting.short.pop(heard.id, None)
        stops, plan = "opted-out" in heard.words, found.get(plan_key)
        written: dict[Key, Document] = {}
        if stops and not found[suppression_key]:
            written[suppression_key] = {"at": now.isoformat()}
        if plan is None or plan["customer_id"] != heard.customer_id:
            if plan and not stops:
                raise UnprocessableError(f"event {heard.event_id!r} is of another customer")
            if heard.event_id and not stops:
                waiting.early[heard.id] = heard
            return written
        words = heard.words
        if heard.kept_at and plan["cents"] and heard.kept_at.timestamp() > plan["until"]:
            telemetry.count("kept_too_late", event_id=heard.event_id)
            words -= {"accepted"}
        outcomes = sorted({*plan.get("outcomes", ()), *words})
        if outcomes == plan.get("outcomes"):
            return written
        before, after = plan["status"], status_of(outcomes) if plan["cents"] else "free"
        shard, cents = shard_in(found[shard_key]), plan["cents"]
        if after == "committed" and before == "released" and shard.free < cents:
            if final:
                raise UnprocessableError(
                    f"the money for event {heard.event_id!r}, given back before, is spent meanwhile"
                )
            waiting.short[heard.id] = heard, cents
            return {}
        if before != after:
            written[shard_key] = shard.move(cents, plan.get("awaited", 0), before, after)
        due = plan["due"] if after == "reserved" else (now + context.keep).timestamp()
        written[plan_key] = {**plan, "status": after, "outcomes": outcomes, "due": due}
        state = CustomerState.of(found[customer_key])
        if (learnt := _learnt(state, heard.event_id, outcomes)) != state:
            written[customer_key] = learnt.document(heard.customer_id, now + context.keep)
        return written

    return change


def _learnt(state: CustomerState, event_id: str, outcomes: Collection[str]) -> CustomerState:
    """What these outcomes of an event change of what is remembered of its customer."""
    if "withheld" in outcomes:
        state = state.uncontacted(event_id)
    elif "accepted" in outcomes:
        state = state.accepted(event_id, RESPONSE_MODEL.effect_days)
    return state.reviewed(None) if {"churned", "opted-out"} & set(outcomes) else state


async def _wait(heard: ParsedOutcome, context: PolicyContext, now: datetime) -> None:
    """Raises `Early`, or once it has been for too long `Unprocessable`."""
    key = EARLY_OUTCOMES, str(heard.id)
    first: Document = {"since": now.timestamp(), "customer_id": heard.customer_id, "due": (now + DAY).timestamp()}
    found = (await context.store.update([key], lambda found: {} if found[key] else {key: first}))[key]
    if now.timestamp() - (found or first)["since"] > PATIENCE.total_seconds():
        raise UnprocessableError(f"no decision for event {heard.event_id!r} of that customer")
    raise NotReadyError(f"no decision for event {heard.event_id!r} yet")
