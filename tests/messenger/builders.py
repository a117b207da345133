"""Builders of planned contacts, and writers with a fixed behaviour."""

import asyncio
from collections.abc import Sequence
from datetime import date
from itertools import product
from typing import Any, get_args
from uuid import uuid5

from shared.messages import ID_NAMESPACE, Action, Brief, Concern, Metadata, PlannedContact
from tests.support.briefs import FULL_BRIEF

BRIEFS = tuple(
    Brief(
        offer_percentage=offer,
        expires_on=date(2025, 12, 7) if offer else None,
        first_name=name,
        tenure_months=months,
        plan=plan,
        concern=concern,
    )
    for offer, name, months, plan, concern in product(
        (0, 10), (None, "Sam"), (None, 12), (None, "Pro"), (None, *get_args(Concern))
    )
)
"""One brief for each of the 64 prompts."""


class FixedWriter:
    """Writes the same texts for every brief, and records the briefs."""

    name = "fixed"
    version = "fixed/1"

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.briefs: list[Brief] = []

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        self.briefs += briefs
        return [self._texts for _ in briefs]


class SlowWriter(FixedWriter):
    def __init__(self, seconds: float, *texts: str) -> None:
        super().__init__(*texts)
        self._seconds = seconds

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        await asyncio.sleep(self._seconds)
        return await super().write(briefs)


class BrokenWriter(FixedWriter):
    """Fails while `broken`."""

    broken = True

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        written = await super().write(briefs)
        if self.broken:
            raise OSError("no such server")
        return written


def planned(brief: Brief = FULL_BRIEF, event_id: str = "event-1", **fields: Any) -> PlannedContact:
    return PlannedContact(
        id=uuid5(ID_NAMESPACE, event_id),
        event_id=event_id,
        customer_id="customer-1",
        decision=Action(
            contact=True, offer_level=2, offer_percentage=brief.offer_percentage, estimated_retention_prob=0.4
        ),
        metadata=Metadata(churn_risk=0.8, accept_prob=0.6, expected_value=17.5, propensity=1.0, policy="baseline"),
        brief=brief,
        **fields,
    )
