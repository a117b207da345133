"""Learn what became of a decision: settle the money, and remember of the customer what matters later."""

from collections.abc import Sequence

from services.policy.handler import keys_of
from services.policy.ledger import Ledger, shard_in
from services.policy.state import CustomerState
from services.policy.world import WORLD
from shared.messages import Message, Outcome
from shared.service import Unprocessable
from shared.store import Change, Document, Documents, Key, Store


async def settle(outcomes: Sequence[Outcome], *, store: Store, ledger: Ledger) -> list[list[Message]]:
    """Commit or release what was reserved, once; forget a contact that never was; end contact on opt-out."""
    keys = [keys_of(outcome, ledger) for outcome in outcomes]
    await store.update_all([(k, _settlement(outcome, k)) for outcome, k in zip(outcomes, keys, strict=True)])
    return [[] for _ in outcomes]


def _settlement(outcome: Outcome, keys: tuple[Key, Key, Key]) -> Change:
    plan_key, customer_key, shard_key = keys

    def change(found: Documents) -> dict[Key, Document]:
        plan = found[plan_key]
        if plan is None or plan["customer_id"] != outcome.customer_id:
            raise Unprocessable(f"no decision for event {outcome.event_id!r} of that customer")
        written: dict[Key, Document] = {}
        if plan["status"] == "reserved":
            shard, accepted = shard_in(found[shard_key]), outcome.outcome == "accepted"
            settled = shard.commit if accepted else shard.release
            written[shard_key] = settled(plan["cents"], plan.get("awaited", 0))
            written[plan_key] = plan | {"status": "committed" if accepted else "released"}
        state = CustomerState.of(found[customer_key])
        if outcome.outcome == "withheld":
            written[customer_key] = state.uncontacted(outcome.event_id).document()
        elif outcome.outcome == "opted-out":
            written[customer_key] = state.model_copy(update={"opted_out": True}).document()
        elif outcome.outcome == "accepted" and plan["status"] != "released":
            written[customer_key] = state.accepted(outcome.event_id, WORLD.held_days).document()
        return written

    return change
