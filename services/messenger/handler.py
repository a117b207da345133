"""Draft the words of a planned contact: candidates, best first, the last always the template."""

from collections.abc import Sequence

from services.messenger.prompt import complete
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry
from shared.messages import Brief, Candidate, DraftedMessage, Message, PlannedContact
from shared.service import Clock, UnprocessableError


async def draft(plans: Sequence[PlannedContact], *, writer: Writer, clock: Clock) -> list[list[Message]]:
    written = await writer.write([plan.brief for plan in plans])
    return [[_drafted(plan, texts, writer, clock)] for plan, texts in zip(plans, written, strict=True)]


def _drafted(plan: PlannedContact, texts: Sequence[str], writer: Writer, clock: Clock) -> DraftedMessage:
    candidates = _completed(texts, plan.brief, writer.name)
    if texts and not candidates:
        telemetry.count("writer_fallback", event_id=plan.event_id, reason="all need a missing fact")
    if writer.name != TemplateWriter.name:
        candidates += _completed(TemplateWriter.texts(plan.brief), plan.brief, TemplateWriter.name)
    if not candidates:  # as of an offer that never ends: not the policy's
        raise UnprocessableError("the plan lacks what even the template has to say")
    return DraftedMessage.caused_by(
        plan,
        candidates=tuple(candidates),
        versions={**plan.versions, "messenger": writer.version},
        times={**plan.times, "drafted_at": clock()},
    )


def _completed(texts: Sequence[str], brief: Brief, writer: str) -> list[Candidate]:
    """The texts whose facts are all known."""
    return [Candidate(text=text, writer=writer) for text in (complete(text, brief) for text in texts) if text]
