import time
from collections import Counter

import pytest

from services.messenger.handler import draft
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry
from shared.messages import Brief, Candidate, DraftedMessage, PlannedContact
from shared.service import UnprocessableError
from tests.messenger.builders import FixedWriter, planned
from tests.support.briefs import EMPTY_BRIEF, FULL_BRIEF
from tests.support.clock import NOON, noon


async def drafted(plan: PlannedContact, writer: Writer | None = None) -> DraftedMessage:
    [[message]] = await draft([plan], writer=writer or TemplateWriter(), clock=noon)
    return message


async def test_a_draft_carries_the_fields_of_the_plan() -> None:
    plan = planned(time_zone="Europe/Madrid", versions={"policy": "baseline-1"}, times={"decided_at": NOON})

    message = await drafted(plan)

    fields = ("event_id", "customer_id", "decision", "metadata", "brief", "time_zone")
    assert {name: getattr(message, name) for name in fields} == {name: getattr(plan, name) for name in fields}
    assert message.versions == {"policy": "baseline-1", "messenger": "template"}
    assert message.times == {"decided_at": NOON, "drafted_at": NOON}


async def test_the_template_offers_the_text_with_the_most_facts_first_and_one_without_the_name_last() -> None:
    message = await drafted(planned())

    assert message.candidates == (
        Candidate(
            text="Hi Sam, thank you for 12 months with us. To say so, we take 10% off your next bill"
            " if you reply KEEP by 7 December. Reply STOP to opt out.",
            writer="template",
        ),
        Candidate(
            text="Hi Sam, thank you for being with us. To say so, we take 10% off your next bill"
            " if you reply KEEP by 7 December. Reply STOP to opt out.",
            writer="template",
        ),
        Candidate(
            text="Hello, thank you for 12 months with us. To say so, we take 10% off your next bill"
            " if you reply KEEP by 7 December. Reply STOP to opt out.",
            writer="template",
        ),
    )


async def test_the_template_has_a_text_that_needs_no_facts() -> None:
    message = await drafted(planned(EMPTY_BRIEF))

    assert message.candidates == (
        Candidate(
            text="Hello, thank you for being with us. Is there anything we could do better for you?"
            " Reply to this message and tell us. Reply STOP to opt out.",
            writer="template",
        ),
    )


async def test_the_writers_candidates_come_first_and_the_templates_last() -> None:
    message = await drafted(planned(), FixedWriter("Hi [NAME]!", "[OFFER] for you."))

    assert [candidate.writer for candidate in message.candidates] == ["fixed", "fixed", *["template"] * 3]
    assert [candidate.text for candidate in message.candidates[:2]] == [
        "Hi Sam! Reply STOP to opt out.",
        "10% for you. Reply STOP to opt out.",
    ]
    assert message.candidates[2:] == (await drafted(planned())).candidates
    assert message.versions["messenger"] == "fixed/1"


async def test_texts_that_need_an_unknown_fact_or_are_empty_are_dropped() -> None:
    message = await drafted(planned(EMPTY_BRIEF), FixedWriter("Hi [NAME]!", "Hello!", "[OFFER] for you.", ""))

    texts = [candidate.text for candidate in message.candidates if candidate.writer == "fixed"]
    assert texts == ["Hello! Reply STOP to opt out."]
    assert message.candidates[-1].writer == "template"


async def test_the_template_is_the_fallback_of_a_writer_without_texts() -> None:
    message = await drafted(planned(), FixedWriter())

    assert {candidate.writer for candidate in message.candidates} == {"template"}


async def test_a_message_whose_every_text_needs_an_unknown_fact_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "counts", Counter())

    message = await drafted(planned(EMPTY_BRIEF), FixedWriter("Hi [NAME]!", "[PLAN]?"))
    await drafted(planned(), FixedWriter("Hi [NAME]!"))

    assert {candidate.writer for candidate in message.candidates} == {"template"}
    assert telemetry.counts == {"writer_fallback": 1}


async def test_the_plans_of_a_batch_are_written_in_one_call_each_for_its_own_customer() -> None:
    writer = FixedWriter("Hi [NAME]!")
    ana = FULL_BRIEF.model_copy(update={"first_name": "Ana"})

    messages = await draft([planned(), planned(ana, "event-2")], writer=writer, clock=noon)

    assert writer.briefs == [FULL_BRIEF, ana]
    assert [(message.event_id, message.candidates[0].text) for [message] in messages] == [
        ("event-1", "Hi Sam! Reply STOP to opt out."),
        ("event-2", "Hi Ana! Reply STOP to opt out."),
    ]


async def test_a_redelivered_plan_gives_the_same_draft() -> None:
    assert await drafted(planned()) == await drafted(planned())


async def test_an_offer_without_an_expiry_date_is_unprocessable() -> None:
    """The policy never plans one, and the template must not make an offer that never expires."""
    with pytest.raises(UnprocessableError, match="the brief lacks"):
        await drafted(planned(Brief(offer_percentage=10)))


async def test_drafting_costs_at_most_half_a_millisecond_of_processor_time_a_message() -> None:
    """Measured: 0.06 ms. The limit is a twentieth of what the fastest writer takes."""
    plans = [planned(event_id=f"event-{i}") for i in range(64)]
    fixed = FixedWriter("Hi [NAME]!", "[OFFER]!")
    writer = ResilientWriter(fixed, 1, CircuitBreaker(), batch_size=1, max_concurrency=64)

    async def processor_seconds() -> float:
        start = time.thread_time()
        await draft(plans, writer=writer, clock=noon)
        return time.thread_time() - start

    assert min([await processor_seconds() for _ in range(5)]) < 64 * 0.0005
