"""Draft the words of a planned contact: candidates, best first, the last always the template."""

from collections.abc import Sequence

from services.messenger.prompt import fill
from services.messenger.writers import TemplateWriter, Writer
from shared.messages import Brief, Candidate, DraftedMessage, Message, PlannedContact
from shared.service import Clock


async def draft(plans: Sequence[PlannedContact], *, writer: Writer, clock: Clock) -> list[list[Message]]:
    written = await writer.write([plan.brief for plan in plans])
    return [[_drafted(plan, texts, writer.name, clock)] for plan, texts in zip(plans, written, strict=True)]


def _drafted(plan: PlannedContact, texts: Sequence[str], writer: str, clock: Clock) -> DraftedMessage:
    candidates = _filled(texts, plan.brief, writer)
    if writer != TemplateWriter.name:
        candidates += _filled(TemplateWriter.texts(plan.brief), plan.brief, TemplateWriter.name)
    return DraftedMessage.after(
        plan,
        candidates=tuple(candidates),
        versions={**plan.versions, "messenger": writer},
        times={**plan.times, "drafted_at": clock()},
    )


def _filled(texts: Sequence[str], brief: Brief, writer: str) -> list[Candidate]:
    """The texts whose facts are all known."""
    return [Candidate(text=text, writer=writer) for text in (fill(text, brief) for text in texts) if text]
