from datetime import timedelta

import pytest

from services.policy.budget.ledger import Shard
from services.policy.context import PolicyContext
from services.policy.handlers.decide import decide
from services.policy.handlers.erase import BATCH_SIZE, erase
from services.policy.handlers.settle import settle
from shared.messages import Decision, Outcome
from shared.service import NotReadyError
from shared.store import DEAD_LETTERS, DECISIONS, EARLY_OUTCOMES, VERDICTS, SQLiteStore, customer_documents
from tests.policy.builders import MaxOfferPolicy, context, outcome, scored


async def erased(at: PolicyContext, customer_id: str = "customer-1") -> int:
    return await erase(customer_id, at.store, at.ledger, at.pseudonyms)


def everything(at: PolicyContext) -> str:
    assert isinstance(at.store, SQLiteStore)
    return str(at.store.snapshot())


async def test_every_trace_goes_and_others_stay() -> None:
    at = await context()
    await decide([scored(), scored(event_id="again"), scored("other", name="Angua")], context=at)
    with pytest.raises(NotReadyError):
        await settle([outcome(scored(event_id="never decided"), "accepted")], context=at)
    elsewhere = {(place, "x"): {"customer_id": "customer-1"} for place in (VERDICTS, DECISIONS, DEAD_LETTERS)}
    await at.store.update(list(elsewhere), lambda _: (elsewhere, None))

    assert len(await at.store.by_customer(EARLY_OUTCOMES, "customer-1")) == 1
    assert await erased(at) == 7
    assert await customer_documents(at.store, "customer-1") == []
    assert "customer-1" not in everything(at)
    assert "Sam" not in everything(at)
    assert "Angua" in everything(at)


async def test_a_second_time_there_is_nothing() -> None:
    at = await context()
    await decide([scored()], context=at)

    assert [await erased(at), await erased(at)] == [2, 0]


async def test_what_was_promised_is_given_back_and_what_was_spent_stays_spent() -> None:
    at = await context(shards=2, policy=MaxOfferPolicy(), cooldown=timedelta(0))
    spent = scored(event_id="spent")
    await decide([scored(event_id="promised"), spent, scored("other")], context=at)
    await settle([outcome(spent, "accepted")], context=at)
    before = await at.ledger.balance()
    assert (before.reserved, before.committed) == (3_000, 1_500)

    await erased(at)

    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_500, expected_cost=1_050, committed=1_500)


async def test_who_opted_out_stays_opted_out() -> None:
    at = await context()
    await decide([scored()], context=at)
    await settle([outcome(scored(), "opted-out")], context=at)
    await erased(at)

    [[decision]] = await decide([scored(event_id="next")], context=at)
    assert isinstance(decision, Decision)
    assert decision.metadata.gate == ("opted-out",)


async def test_who_did_not_opt_out_is_a_new_customer() -> None:
    at = await context()
    await decide([scored()], context=at)
    await erased(at)

    [[message]] = await decide([scored(event_id="next")], context=at)
    assert message.metadata.gate == ()  # type: ignore[attr-defined]


async def test_many_documents_go_too() -> None:
    at = await context(budget=1e6, policy=MaxOfferPolicy(), cooldown=timedelta(0), fatigue_cap=1_000)
    await decide([scored(event_id=str(n)) for n in range(BATCH_SIZE + 20)], context=at)
    assert (await at.ledger.balance()).reserved == 1_500 * (BATCH_SIZE + 20)

    assert await erased(at) == BATCH_SIZE + 20 + 1
    assert (await at.ledger.balance()).reserved == 0


async def test_it_can_be_asked_for_as_an_outcome_and_said_without_a_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="retention")
    at = await context()
    await decide([scored()], context=at)

    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "erased"}', "m")], context=at)

    assert await customer_documents(at.store, "customer-1") == []
    [record] = caplog.records
    assert record.__dict__["fields"] == {"customer": at.pseudonyms.of("customer-1"), "documents": 2}
