"""Approves the first candidate that breaks no rule, delays it over quiet hours, or withholds the message.

The decision is stored under its event's id, so a redelivery gets the same decision, byte for byte.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import NamedTuple

from services.shield.quiet_hours import QUIET_RULES, QuietRules, deliver_after
from services.shield.rules import violations, without_names
from shared import telemetry
from shared.consent import Consent
from shared.messages import Action, Decision, DraftedMessage, Outcome, Safety
from shared.pseudonyms import Pseudonyms
from shared.service import Clock
from shared.store import VERDICTS, Change, Document, Documents, Key, Store
from shared.time_zones import time_zone_name

DecisionMessages = tuple[Decision, *tuple[Outcome, ...]]
"""The decision to publish about a draft, followed by an outcome `withheld` if no message may be sent."""


class ShieldContext(NamedTuple):
    """Dependencies of the handler."""

    store: Store
    pseudonyms: Pseudonyms
    time_zones: Sequence[str]
    """Where a customer without a known time zone may live."""
    retention_period: timedelta
    """How long a decision is stored."""
    clock: Clock
    quiet_rules: QuietRules = QUIET_RULES


class Verdict(NamedTuple):
    """The decision about a draft, final once it is stored."""

    decision: Decision
    is_new: bool
    """False if an earlier delivery of the draft has stored it."""


async def check(drafts: Sequence[DraftedMessage], *, context: ShieldContext) -> list[DecisionMessages]:
    """The messages to publish about each draft."""
    verdicts = await context.store.update_all([(_keys(draft, context), _change(draft, context)) for draft in drafts])
    for draft, verdict in zip(drafts, verdicts, strict=True):
        if verdict.is_new:
            _count(draft, verdict.decision, context.pseudonyms.of(draft.customer_id))
    return [_messages(verdict.decision) for verdict in verdicts]


def _keys(draft: DraftedMessage, context: ShieldContext) -> tuple[Key, Key]:
    return (VERDICTS, draft.event_id), context.pseudonyms.suppression_key(draft.customer_id)


def _change(draft: DraftedMessage, context: ShieldContext) -> Change[Verdict]:
    verdict_key, suppression_key = _keys(draft, context)

    def change(documents: Documents) -> tuple[dict[Key, Document], Verdict]:
        if stored := documents[verdict_key]:
            return {}, Verdict(Decision.model_validate_json(stored["decision"]), is_new=False)
        # The customer may have opted out, or sent an unclear reply, since the contact was planned.
        objections = Consent.from_document(documents[suppression_key]).objections
        now = context.clock()
        decision = _withhold(draft, objections, now) if objections else _decide(draft, context, now)
        due = (now + context.retention_period).timestamp()
        document = {"decision": decision.data.decode(), "customer_id": draft.customer_id, "due": due}
        return {verdict_key: document}, Verdict(decision, is_new=True)

    return change


def _decide(draft: DraftedMessage, context: ShieldContext, now: datetime) -> Decision:
    rejected: list[str] = []
    briefs = dict.fromkeys((draft.brief, without_names(draft.brief)))
    for brief, candidate in product(briefs, draft.candidates):
        if not (broken_rules := violations(candidate.text, brief)):
            zone = time_zone_name(draft.time_zone)
            return Decision.caused_by(
                draft,
                message=candidate.text,
                deliver_after=deliver_after(now, [zone] if zone else context.time_zones, context.quiet_rules),
                metadata=draft.metadata.model_copy(update={"writer": candidate.writer, "rejected": tuple(rejected)}),
                times={**draft.times, "checked_at": now},
            )
        if brief is draft.brief:
            rejected += [f"{candidate.writer}: {violation}" for violation in broken_rules]
    return _withhold(draft, rejected, now)


def _withhold(draft: DraftedMessage, reasons: Sequence[str], now: datetime) -> Decision:
    """The decision not to contact; the outcome `withheld` that follows it releases the reserved budget."""
    return Decision.caused_by(
        draft,
        decision=Action(contact=False, estimated_retention_prob=1 - draft.metadata.churn_risk),
        metadata=draft.metadata.model_copy(update={"reserved": 0.0, "expected_value": 0.0}),
        safety=Safety(passed=False, violations=tuple(reasons)),
        times={**draft.times, "checked_at": now},
    )


def _count(draft: DraftedMessage, decision: Decision, customer: str) -> None:
    """Count and log a new decision that an operator should know of."""
    if not decision.decision.contact:
        telemetry.count("withheld", event_id=draft.event_id, customer=customer, violations=decision.safety.violations)
    elif not time_zone_name(draft.time_zone):
        telemetry.count("unknown_time_zone", event_id=draft.event_id, customer=customer)


def _messages(decision: Decision) -> DecisionMessages:
    return (decision,) if decision.decision.contact else (decision, Outcome.caused_by(decision, outcome="withheld"))
