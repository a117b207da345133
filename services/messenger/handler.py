"""Drafts the message of a planned contact: candidate texts, best first; the template's come last.

The very last one has no name, for a customer whose name no message may contain.
"""

from collections.abc import Sequence

from services.messenger.prompt import render
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry
from shared.messages import Brief, Candidate, DraftedMessage, PlannedContact
from shared.service import Clock, UnprocessableError


async def draft(plans: Sequence[PlannedContact], *, writer: Writer, clock: Clock) -> list[list[DraftedMessage]]:
    """One drafted message for each plan."""
    written = await writer.write([plan.brief for plan in plans])
    return [[_drafted(plan, texts, writer, clock)] for plan, texts in zip(plans, written, strict=True)]


def _drafted(plan: PlannedContact, texts: Sequence[str], writer: Writer, clock: Clock) -> DraftedMessage:
    candidates = _candidates(texts, plan.brief, writer.name)
    if texts and not candidates:
        telemetry.count("writer_fallback", event_id=plan.event_id, reason="every text needs an unknown fact")
    if writer.name != TemplateWriter.name:
        candidates += _candidates(TemplateWriter.texts(plan.brief), plan.brief, TemplateWriter.name)
    if plan.brief.first_name:
        nameless = plan.brief.model_copy(update={"first_name": None})
        candidates += _candidates(TemplateWriter.texts(nameless), nameless, TemplateWriter.name)[:1]
    if not candidates:  # only an offer without an expiry date, which the policy never makes
        raise UnprocessableError(
            "the brief lacks expires_on, which every offer needs. Set it to the last day of the offer."
        )
    return DraftedMessage.caused_by(
        plan,
        candidates=tuple(candidates),
        versions={**plan.versions, "messenger": writer.version},
        times={**plan.times, "drafted_at": clock()},
    )


def _candidates(texts: Sequence[str], brief: Brief, writer: str) -> list[Candidate]:
    """Candidates of the texts, rendered; without those that need an unknown fact."""
    return [Candidate(text=text, writer=writer) for text in (render(text, brief) for text in texts) if text]
