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
from tests.policy.builders import MaxOfferPolicy, context, decided, outcome, scored


async def erased(service: PolicyContext, customer_id: str = "customer-1") -> int:
    return await erase(customer_id, service.store, service.ledger, service.pseudonyms)


def everything(service: PolicyContext) -> str:
    """All that is stored, as text."""
    assert isinstance(service.store, SQLiteStore)
    return str(service.store.snapshot())


async def test_all_documents_of_a_customer_are_deleted_and_no_others() -> None:
    service = await context()
    await decide([scored(), scored(event_id="again"), scored("other", name="Angua")], context=service)
    with pytest.raises(NotReadyError):
        await settle([outcome(scored(event_id="never decided"), "accepted")], context=service)
    others = {(collection, "x"): {"customer_id": "customer-1"} for collection in (VERDICTS, DECISIONS, DEAD_LETTERS)}
    await service.store.update(list(others), lambda _: (others, None))

    assert len(await service.store.by_customer(EARLY_OUTCOMES, "customer-1")) == 1
    assert await erased(service) == 7
    assert await customer_documents(service.store, "customer-1") == []
    assert "customer-1" not in everything(service)
    assert "Sam" not in everything(service)
    assert "Angua" in everything(service)


async def test_erasing_again_deletes_nothing() -> None:
    service = await context()
    await decide([scored()], context=service)

    assert [await erased(service), await erased(service)] == [2, 0]


async def test_reserved_money_is_released_and_committed_money_stays_committed() -> None:
    service = await context(shards=2, policy=MaxOfferPolicy(), cooldown=timedelta(0))
    spent = scored(event_id="spent")
    await decide([scored(event_id="open"), spent, scored("other")], context=service)
    await settle([outcome(spent, "accepted")], context=service)
    before = await service.ledger.balance()
    assert (before.reserved, before.committed) == (3_000, 1_500)

    await erased(service)

    assert await service.ledger.balance() == Shard(
        allotment=100_000, reserved=1_500, expected_cost=1_050, committed=1_500
    )


async def test_an_opt_out_outlives_the_erasure() -> None:
    service = await context()
    await decide([scored()], context=service)
    await settle([outcome(scored(), "opted-out")], context=service)
    await erased(service)

    [message] = await decided([scored(event_id="next")], service)
    assert message.metadata.gate == ("opted-out",)


async def test_an_erased_customer_is_a_new_one() -> None:
    service = await context()
    await decide([scored()], context=service)
    await erased(service)

    [message] = await decided([scored(event_id="next")], service)
    assert message.metadata.gate == ()


async def test_more_documents_than_a_batch_are_deleted() -> None:
    service = await context(budget=1e6, policy=MaxOfferPolicy(), cooldown=timedelta(0), fatigue_cap=1_000)
    await decide([scored(event_id=str(n)) for n in range(BATCH_SIZE + 20)], context=service)
    assert (await service.ledger.balance()).reserved == 1_500 * (BATCH_SIZE + 20)

    assert await erased(service) == BATCH_SIZE + 20 + 1
    assert (await service.ledger.balance()).reserved == 0


async def test_erasure_may_come_as_an_outcome_and_is_logged_without_the_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="retention")
    service = await context()
    await decide([scored()], context=service)

    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "erased"}', "m")], context=service)

    assert await customer_documents(service.store, "customer-1") == []
    [record] = caplog.records
    assert record.__dict__["fields"] == {"customer": service.pseudonyms.of("customer-1"), "documents": 2}
