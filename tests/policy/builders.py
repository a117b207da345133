"""Customers, limits, contexts, policies and stores for the tests."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any, cast
from uuid import uuid5

from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer
from services.policy.context import PolicyContext
from services.policy.customer.gate import ActionMask, Limits
from services.policy.handlers.decide import decide
from services.policy.policies.base import DecisionContext, Policy, PolicyAction
from services.policy.policies.one_step import OneStepPolicy
from services.policy.replies.reader import ReplyKind, ReplyReader
from shared.artifacts import ARTIFACTS
from shared.messages import ID_NAMESPACE, OFFERS, Decision, Outcome, PlannedContact, ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Clock
from shared.settings import LOCAL_HASH_KEY
from shared.store import Change, Document, Documents, Key, Result, SQLiteStore, Store, Update
from tests.support.clock import NOON, noon

LIMITS = Limits(
    cooldown=timedelta(days=14),
    fatigue_cap=3,
    fatigue_window=timedelta(days=90),
    holdout_share=0.0,
    holdout_salt="salt",
)
READER = ReplyReader.load(ARTIFACTS / "replies")
ALL_ALLOWED = ActionMask((True,) * len(OFFERS))


class MaxOfferPolicy:
    """Always contacts, at the highest level that is allowed."""

    name = "max-offer"
    version = "max-offer-1"

    def choose(self, context: DecisionContext) -> PolicyAction:
        levels = [level for level, is_allowed in enumerate(context.allowed.offers) if is_allowed]
        return PolicyAction(max(levels, default=None), expected_value=1.0, retention_prob=0.5, propensity=1.0)


class KeywordReader(ReplyReader):
    """Knows a few words; every other reply is about something else."""

    def __init__(self) -> None:
        pass

    def read(self, text: str) -> ReplyKind:
        kinds: dict[str, ReplyKind] = {"STOP": "stop", "START": "resume", "KEEP": "keep", "HM": "unclear"}
        return kinds.get(text.split(" ")[0], "other")


class TickingClock:
    """Moves on by a second each time it is read."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def scored(customer_id: str = "customer-1", event_id: str | None = None, **facts: Any) -> ScoredCustomer:
    """A customer at high risk and with a bill of 100, who is likelier to accept a higher discount."""
    event_id = event_id or f"event of {customer_id}"
    usual: Mapping[str, Any] = {
        "churn_risk": 0.8,
        "accept_probs": (0.1, 0.3, 0.6, 0.7),
        "monthly_charges": 100.0,
        "name": "Sam Vimes",
        "plan": "Pro",
        "tenure": 12.0,
    }
    return ScoredCustomer(
        id=uuid5(ID_NAMESPACE, event_id), event_id=event_id, customer_id=customer_id, **{**usual, **facts}
    )


def decision_context(
    customer: ScoredCustomer | None = None, allowed: ActionMask = ALL_ALLOWED, **facts: Any
) -> DecisionContext:
    """Of a customer who was never contacted, on the first day, at a shadow price of 0."""
    usual: Mapping[str, Any] = {"days_since_contact": inf, "contacts": 0, "offer_days_left": 0, "price": 0.0, "day": 0}
    return DecisionContext(customer or scored(), allowed, **{**usual, **facts})


def outcome(customer: ScoredCustomer, word: str) -> Outcome:
    return Outcome.model_validate(
        {
            "id": uuid5(ID_NAMESPACE, f"{customer.event_id}/{word}"),
            "event_id": customer.event_id,
            "customer_id": customer.customer_id,
            "outcome": word,
            "text": "Who is this?" if word == "replied" else None,
        }
    )


async def decided(customers: Sequence[ScoredCustomer], context: PolicyContext) -> list[Decision | PlannedContact]:
    """The message of each decision."""
    messages = [message for [message] in await decide(customers, context=context)]
    assert all(isinstance(message, Decision | PlannedContact) for message in messages)
    return cast(list[Decision | PlannedContact], messages)


async def policy_context(
    store: Store | None = None,
    *,
    budget: float = 1_000,
    shards: int = 1,
    policy: Policy | None = None,
    clock: Clock = noon,
    **limits: Any,
) -> PolicyContext:
    store = store or SQLiteStore()
    ledger = await Ledger.open(store, budget, shards, clock)
    return PolicyContext(
        store=store,
        ledger=ledger,
        pacer=await BudgetPacer.open(store, ledger, 90, NOON),
        policy=policy or OneStepPolicy(),
        limits=LIMITS._replace(**limits),
        offer_duration=timedelta(days=14),
        clock=clock,
        pseudonyms=Pseudonyms(LOCAL_HASH_KEY),
        reader=READER,
    )


class RetryingStore(SQLiteStore):
    """Runs every change first on the documents from before its batch, as an optimistic store does that has to retry."""

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        before = [await self.read(keys) for keys, _ in updates]
        retried = [(keys, _twice(change, old)) for (keys, change), old in zip(updates, before, strict=True)]
        return await super().update_all(retried)


def _twice(change: Change[Result], before: Documents) -> Change[Result]:
    def again(documents: Documents) -> tuple[Mapping[Key, Document | None], Result]:
        change(before)
        return change(documents)

    return again
