"""Let the first candidate pass that breaks no rule; hold it over quiet hours; withhold where none may be sent.

The verdict is kept under its event's id. A repeat finds it there and says it again, word for word.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from services.shield.hours import deliver_after, known
from services.shield.rules import violations
from shared import telemetry
from shared.messages import Action, Decision, DraftedMessage, Message, Outcome, Safety
from shared.pseudonyms import Pseudonyms
from shared.service import Clock
from shared.store import VERDICTS, Change, Document, Documents, Key, Store


class Shield(NamedTuple):
    """What judging takes."""

    store: Store
    pseudonyms: Pseudonyms
    zones: Sequence[str]
    """Where a customer may live whose own zone is unknown."""
    keep: timedelta
    """How long a verdict is kept."""
    clock: Clock


async def check(drafts: Sequence[DraftedMessage], *, shield: Shield) -> list[list[Message]]:
    said: dict[str, Decision] = {}
    changes = [(_keys(draft, shield), _change(draft, said, shield)) for draft in drafts]
    found = await shield.store.update_all(changes)
    for draft, documents in zip(drafts, found, strict=True):
        if draft.event_id in said:
            _count(draft, said[draft.event_id], shield.pseudonyms.of(draft.customer_id))
        elif kept := documents[VERDICTS, draft.event_id]:
            said[draft.event_id] = Decision.model_validate_json(kept["decision"])
    return [_following(said[draft.event_id]) for draft in drafts]


def _keys(draft: DraftedMessage, shield: Shield) -> tuple[Key, Key]:
    return (VERDICTS, draft.event_id), shield.pseudonyms.suppression_key(draft.customer_id)


def _change(draft: DraftedMessage, said: dict[str, Decision], shield: Shield) -> Change:
    verdict, suppression = _keys(draft, shield)

    def change(found: Documents) -> dict[Key, Document]:
        said.pop(draft.event_id, None)
        if found[verdict]:
            return {}
        opted_out, now = found[suppression] is not None, shield.clock()  # read last: it may be newer than the decision
        decision = _withheld(draft, ["opted-out"], now) if opted_out else _judged(draft, shield.zones, now)
        said[draft.event_id] = decision
        due = (now + shield.keep).timestamp()
        return {verdict: {"decision": decision.data.decode(), "customer_id": draft.customer_id, "due": due}}

    return change


def _judged(draft: DraftedMessage, zones: Sequence[str], now: datetime) -> Decision:
    broken: list[str] = []
    for candidate in draft.candidates:
        if not (wrong := violations(candidate.text, draft.brief)):
            own = known(draft.time_zone)
            return Decision.caused_by(
                draft,
                message=candidate.text,
                deliver_after=deliver_after(now, [draft.time_zone] if own and draft.time_zone else zones),
                metadata=draft.metadata.model_copy(update={"writer": candidate.writer, "rejected": tuple(broken)}),
                times={**draft.times, "checked_at": now},
            )
        broken += [f"{candidate.writer}: {rule}" for rule in wrong]
    return _withheld(draft, broken, now)


def _withheld(draft: DraftedMessage, broken: Sequence[str], now: datetime) -> Decision:
    kept = 1 - draft.metadata.churn_risk
    return Decision.caused_by(
        draft,
        decision=Action(contact=False, estimated_retention_prob=kept),
        metadata=draft.metadata.model_copy(update={"reserved": 0.0, "expected_value": 0.0}),
        safety=Safety(passed=False, violations=tuple(broken)),
        times={**draft.times, "checked_at": now},
    )


def _count(draft: DraftedMessage, decision: Decision, customer: str) -> None:
    """What should be seen of a new verdict."""
    if not decision.decision.contact:
        telemetry.count("withheld", event_id=draft.event_id, customer=customer, violations=decision.safety.violations)
    elif not known(draft.time_zone):
        telemetry.count("unknown_time_zone", event_id=draft.event_id, customer=customer)


def _following(decision: Decision) -> list[Message]:
    return [decision] if decision.decision.contact else [decision, Outcome.caused_by(decision, outcome="withheld")]
