from datetime import timedelta

import pytest

from services.policy.budget.ledger import Shard
from services.policy.context import PolicyContext
from services.policy.handlers.decide import decide
from services.policy.handlers.erase import BATCH_SIZE, erase
from services.policy.handlers.settle import settle
from shared.messages import Outcome
from shared.service import NotReadyError
from shared.store import DEAD_LETTERS, DECISIONS, EARLY_OUTCOMES, VERDICTS, SQLiteStore, customer_documents
from tests.policy.builders import MaxOfferPolicy, decided, outcome, policy_context, scored


async def erased(context: PolicyContext, customer_id: str = "customer-1") -> int:
    return await erase(customer_id, context.store, context.ledger, context.pseudonyms)


def everything(context: PolicyContext) -> str:
    """All that is stored, as text."""
    assert isinstance(context.store, SQLiteStore)
    return str(context.store.snapshot())


async def test_all_documents_of_a_customer_are_deleted_and_no_others() -> None:
    context = await policy_context()
    await decide([scored(), scored(event_id="again"), scored("other", name="Angua")], context=context)
    with pytest.raises(NotReadyError):
        await settle([outcome(scored(event_id="never decided"), "accepted")], context=context)
    others = {(collection, "x"): {"customer_id": "customer-1"} for collection in (VERDICTS, DECISIONS, DEAD_LETTERS)}
    await context.store.update(list(others), lambda _: (others, None))

    assert len(await context.store.by_customer(EARLY_OUTCOMES, "customer-1")) == 1
    assert await erased(context) == 7
    assert await customer_documents(context.store, "customer-1") == []
    assert "customer-1" not in everything(context)
    assert "Sam" not in everything(context)
    assert "Angua" in everything(context)


async def test_erasing_again_deletes_nothing() -> None:
    context = await policy_context()
    await decide([scored()], context=context)

    assert [await erased(context), await erased(context)] == [2, 0]


async def test_reserved_money_is_released_and_committed_money_stays_committed() -> None:
    context = await policy_context(shards=2, policy=MaxOfferPolicy(), cooldown=timedelta(0))
    spent = scored(event_id="spent")
    await decide([scored(event_id="open"), spent, scored("other")], context=context)
    await settle([outcome(spent, "accepted")], context=context)
    before = await context.ledger.balance()
    assert (before.reserved, before.committed) == (3_000, 1_500)

    await erased(context)

    assert await context.ledger.balance() == Shard(
        allotment=100_000, reserved=1_500, expected_cost=1_050, committed=1_500
    )


async def test_an_opt_out_outlives_the_erasure() -> None:
    context = await policy_context()
    await decide([scored()], context=context)
    await settle([outcome(scored(), "opted-out")], context=context)
    await erased(context)

    [message] = await decided([scored(event_id="next")], context)
    assert message.metadata.gate == ("opted-out",)


async def test_an_erased_customer_is_a_new_one() -> None:
    context = await policy_context()
    await decide([scored()], context=context)
    await erased(context)

    [message] = await decided([scored(event_id="next")], context)
    assert message.metadata.gate == ()


async def test_more_documents_than_a_batch_are_deleted() -> None:
    context = await policy_context(budget=1e6, policy=MaxOfferPolicy(), cooldown=timedelta(0), fatigue_cap=1_000)
    await decide([scored(event_id=str(n)) for n in range(BATCH_SIZE + 20)], context=context)
    assert (await context.ledger.balance()).reserved == 1_500 * (BATCH_SIZE + 20)

    assert await erased(context) == BATCH_SIZE + 20 + 1
    assert (await context.ledger.balance()).reserved == 0


async def test_erasure_may_come_as_an_outcome_and_is_logged_without_the_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="retention")
    context = await policy_context()
    await decide([scored()], context=context)

    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "erased"}', "m")], context=context)

    assert await customer_documents(context.store, "customer-1") == []
    [record] = caplog.records
    assert record.__dict__["fields"] == {"customer": context.pseudonyms.of("customer-1"), "documents": 2}
