import time
from collections import Counter

import pytest

from services.messenger.handler import draft
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry
from shared.messages import Brief, Candidate, DraftedMessage, PlannedContact
from shared.service import UnprocessableError
from tests.messenger.builders import NOON, SAM, FixedWriter, noon, planned

NOBODY_KNOWN = Brief(offer_percentage=0)


async def drafted(plan: PlannedContact, writer: Writer | None = None) -> DraftedMessage:
    [[message]] = await draft([plan], writer=writer or TemplateWriter(), clock=noon)
    assert isinstance(message, DraftedMessage)
    return message


async def test_a_draft_carries_the_plan_on() -> None:
    plan = planned(time_zone="Europe/Madrid", versions={"policy": "baseline-1"}, times={"decided_at": NOON})

    message = await drafted(plan)

    carried = ("event_id", "customer_id", "decision", "metadata", "brief", "time_zone")
    assert {name: getattr(message, name) for name in carried} == {name: getattr(plan, name) for name in carried}
    assert message.versions == {"policy": "baseline-1", "messenger": "template"}
    assert message.times == {"decided_at": NOON, "drafted_at": NOON}


async def test_the_template_alone_says_its_richest_text_first() -> None:
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
    )


async def test_without_facts_there_is_still_something_to_say() -> None:
    message = await drafted(planned(NOBODY_KNOWN))

    assert message.candidates == (
        Candidate(
            text="Hello, thank you for being with us. Is there anything we could do better for you?"
            " Reply to this message and tell us. Reply STOP to opt out.",
            writer="template",
        ),
    )


async def test_another_writer_comes_first_and_the_template_last() -> None:
    message = await drafted(planned(), FixedWriter("Hi [NAME]!", "[OFFER] for you."))

    assert [c.writer for c in message.candidates] == ["fixed", "fixed", "template", "template"]
    assert [c.text for c in message.candidates[:2]] == [
        "Hi Sam! Reply STOP to opt out.",
        "10% for you. Reply STOP to opt out.",
    ]
    assert message.candidates[2:] == (await drafted(planned())).candidates
    assert message.versions["messenger"] == "fixed/1"


async def test_texts_that_need_a_missing_fact_are_left_out() -> None:
    message = await drafted(planned(NOBODY_KNOWN), FixedWriter("Hi [NAME]!", "Hello!", "[OFFER] for you.", ""))

    assert [c.text for c in message.candidates if c.writer == "fixed"] == ["Hello! Reply STOP to opt out."]
    assert message.candidates[-1].writer == "template"


async def test_where_a_writer_has_nothing_to_say_the_template_speaks() -> None:
    assert {c.writer for c in (await drafted(planned(), FixedWriter())).candidates} == {"template"}


async def test_a_message_for_which_every_text_needs_a_missing_fact_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "counts", Counter())

    message = await drafted(planned(NOBODY_KNOWN), FixedWriter("Hi [NAME]!", "[PLAN]?"))
    await drafted(planned(), FixedWriter("Hi [NAME]!"))

    assert {c.writer for c in message.candidates} == {"template"}
    assert telemetry.counts == {"writer_fallback": 1}


async def test_plans_that_wait_together_are_written_together_and_kept_apart() -> None:
    writer = FixedWriter("Hi [NAME]!")
    ana = SAM.model_copy(update={"first_name": "Ana"})

    messages = await draft([planned(), planned(ana, "event-2")], writer=writer, clock=noon)

    assert writer.shown == [SAM, ana]
    assert [(m.event_id, m.candidates[0].text) for [m] in messages if isinstance(m, DraftedMessage)] == [
        ("event-1", "Hi Sam! Reply STOP to opt out."),
        ("event-2", "Hi Ana! Reply STOP to opt out."),
    ]


async def test_a_repeat_drafts_the_same() -> None:
    assert await drafted(planned()) == await drafted(planned())


async def test_an_offer_without_its_expiry_is_refused() -> None:
    """It cannot come from the policy: an offer that never ends is not for a template to make."""
    with pytest.raises(UnprocessableError, match="the brief lacks"):
        await drafted(planned(Brief(offer_percentage=10)))


async def test_drafting_64_at_once_costs_little_beside_the_writer() -> None:
    """0.06 ms of processor a message; at most 0.5, a twentieth of what the quickest writer takes."""
    plans = [planned(event_id=f"event-{n}") for n in range(64)]
    writer = ResilientWriter(
        FixedWriter("Hi [NAME]!", "[OFFER]!"), 1, CircuitBreaker(), batch_size=1, max_concurrency=64
    )

    async def spent() -> float:
        start = time.thread_time()
        await draft(plans, writer=writer, clock=noon)
        return time.thread_time() - start

    assert min([await spent() for _ in range(5)]) < 64 * 0.0005
