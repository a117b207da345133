"""The days of a quarter, hour by hour: events for the service's handlers, and in the evening what became of them."""

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid5

import numpy as np

from services.policy.handlers.decide import PolicyContext, decide
from services.policy.handlers.settle import settle
from shared.messages import ID_NAMESPACE, Decision, Outcome, PlannedContact, ScoredCustomer
from training.policy.simulation.audit import Audit, Offer
from training.policy.simulation.campaign import HOURS, CampaignSimulator
from training.policy.simulation.town import CustomerSimulator

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    now = FIRST

    def __call__(self) -> datetime:
        return self.now


class ServiceSimulation:
    """The service at `desk`, the town it decides about, and who watches."""

    def __init__(self, quarter: CampaignSimulator, context: PolicyContext, clock: Clock, budget: float) -> None:
        self.town, self.audit, self.context, self.clock = (
            CustomerSimulator(quarter),
            Audit(quarter, budget),
            context,
            clock,
        )
        self.rng, self.decisions, self.seconds = quarter.rng, 0, 0.0
        self.open: list[Offer] = []
        """What was offered and is not answered, oldest first."""

    async def day(self, day: int, answer_days: int) -> float:
        """The mean price of its hours."""
        prices, active = [], self.rng.permutation(np.flatnonzero(self.town.active))
        for hour, who in enumerate(np.array_split(active, HOURS), day * HOURS):
            self.clock.now = FIRST + timedelta(hours=hour)
            await self._hour(hour, [self.town.event(each, _event_id(day, each)) for each in who.tolist()])
            prices.append(await self.context.pacer.price(self.clock.now))
        await self._evening(day, answer_days)
        return float(np.mean(prices))

    async def end(self) -> None:
        """What is open is answered."""
        await self._settle([self._answered(offer) for offer in self.open])

    async def _hour(self, hour: int, events: list[ScoredCustomer]) -> None:
        start = time.perf_counter()
        answers = await decide(events, context=self.context)
        self.seconds += time.perf_counter() - start
        for (said,) in answers:
            assert isinstance(said, Decision | PlannedContact)
            self.decisions += 1
            if said.decision.contact:
                who, level = int(said.customer_id), said.decision.offer_level
                offer = Offer(said.event_id, who, level, hour, self.town.contact(who, level, hour // HOURS))
                self.audit.contacted(offer)
                self.open.append(offer)
        self.audit.batch()

    async def _evening(self, day: int, answer_days: int) -> None:
        """Offers of so many days ago are answered; who then leaves says so, and answers no more."""
        due = [offer for offer in self.open if offer.hour // HOURS <= day - answer_days]
        outcomes = [self._answered(offer) for offer in due]
        left, later = set(self.town.end_of_day()), self.open[len(due) :]
        outcomes += [_outcome(_event_id(day, who), who, "churned") for who in left]
        outcomes += [self._answered(offer, left=True) for offer in later if offer.who in left]
        self.open = [offer for offer in later if offer.who not in left]
        await self._settle(outcomes)

    def _answered(self, offer: Offer, left: bool = False) -> Outcome:
        accepted = offer.accepted and not left
        self.audit.reported(offer, accepted)
        return _outcome(offer.event_id, offer.who, "churned" if left else "accepted" if accepted else "declined")

    async def _settle(self, outcomes: list[Outcome]) -> None:
        start = time.perf_counter()
        await settle(outcomes, context=self.context)
        self.seconds += time.perf_counter() - start


def _event_id(day: int, who: int) -> str:
    return f"{day:03}/{who:06}"


def _outcome(event_id: str, who: int, word: str) -> Outcome:
    fields = {
        "id": uuid5(ID_NAMESPACE, f"{event_id}/{word}"),
        "event_id": event_id,
        "customer_id": str(who),
        "outcome": word,
    }
    return Outcome.model_validate(fields)
