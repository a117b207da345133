"""Let the first candidate pass that breaks no rule; hold it over quiet hours; withhold where none may be sent.

The verdict is kept under its event's id. A repeat finds it there and says it again, word for word.
"""

from collections.abc import Sequence

from services.shield.hours import deliver_after, known
from services.shield.rules import violations
from shared import telemetry
from shared.messages import Action, Decision, DraftedMessage, Message, Outcome, Safety
from shared.service import Clock
from shared.store import CUSTOMERS, Change, Document, Documents, Key, Store

VERDICTS = "verdicts"


async def check(
    drafts: Sequence[DraftedMessage], *, store: Store, zones: Sequence[str], clock: Clock
) -> list[list[Message]]:
    """`zones` are those where a customer may live whose own zone is unknown."""
    said: dict[str, Decision] = {}
    found = await store.update_all([(_keys(draft), _change(draft, said, zones, clock)) for draft in drafts])
    for draft, documents in zip(drafts, found, strict=True):
        if draft.event_id in said:
            _count(draft, said[draft.event_id])
        elif kept := documents[VERDICTS, draft.event_id]:
            said[draft.event_id] = Decision.model_validate_json(kept["decision"])
    return [_following(said[draft.event_id]) for draft in drafts]


def _keys(draft: DraftedMessage) -> tuple[Key, Key]:
    return (VERDICTS, draft.event_id), (CUSTOMERS, draft.customer_id)


def _change(draft: DraftedMessage, said: dict[str, Decision], zones: Sequence[str], clock: Clock) -> Change:
    verdict, customer = _keys(draft)

    def change(found: Documents) -> dict[Key, Document]:
        said.pop(draft.event_id, None)
        if found[verdict]:
            return {}
        opted_out = (found[customer] or {}).get("opted_out", False)  # read last: it may be newer than the decision
        decision = _withheld(draft, ["opted-out"], clock) if opted_out else _judged(draft, zones, clock)
        said[draft.event_id] = decision
        return {verdict: {"decision": decision.data.decode()}}

    return change


def _judged(draft: DraftedMessage, zones: Sequence[str], clock: Clock) -> Decision:
    broken: list[str] = []
    for candidate in draft.candidates:
        if not (wrong := violations(candidate.text, draft.brief)):
            own = known(draft.time_zone)
            now = clock()
            return Decision.after(
                draft,
                message=candidate.text,
                deliver_after=deliver_after(now, [draft.time_zone] if own and draft.time_zone else zones),
                metadata=draft.metadata.model_copy(update={"writer": candidate.writer, "rejected": tuple(broken)}),
                times={**draft.times, "checked_at": now},
            )
        broken += [f"{candidate.writer}: {rule}" for rule in wrong]
    return _withheld(draft, broken, clock)


def _withheld(draft: DraftedMessage, broken: Sequence[str], clock: Clock) -> Decision:
    kept = 1 - draft.metadata.churn_risk
    return Decision.after(
        draft,
        decision=Action(contact=False, estimated_retention_prob=kept),
        metadata=draft.metadata.model_copy(update={"reserved": 0.0, "expected_value": 0.0}),
        safety=Safety(passed=False, violations=tuple(broken)),
        times={**draft.times, "checked_at": clock()},
    )


def _count(draft: DraftedMessage, decision: Decision) -> None:
    """What should be seen of a new verdict."""
    if not decision.decision.contact:
        telemetry.count("withheld", event_id=draft.event_id, violations=decision.safety.violations)
    elif not known(draft.time_zone):
        telemetry.count("unknown_time_zone", event_id=draft.event_id)


def _following(decision: Decision) -> list[Message]:
    return [decision] if decision.decision.contact else [decision, Outcome.after(decision, outcome="withheld")]
