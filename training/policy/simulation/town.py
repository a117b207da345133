"""The customers of a quarter, as the policy service meets them: their events, their answers, and who leaves."""

from uuid import uuid5

import numpy as np

from services.policy.response.model import hazard_exposure, incremental_value
from shared.messages import ID_NAMESPACE, ScoredCustomer
from training.policy.simulation.campaign import CampaignSimulator
from training.policy.simulation.env import NEVER


class CustomerSimulator:
    """The customers of a quarter, and what becomes of them. Every array is [n]."""

    def __init__(self, quarter: CampaignSimulator) -> None:
        self.luck, self.churn_threshold, self.n = quarter.luck, quarter.churn_threshold, quarter.n
        self.customers, self.response_model = quarter.customers, quarter.response_model
        self.risk = -np.expm1(-self.customers.hazard * self.response_model.risk_days)
        self.days_since_contact, self.offer_days_left, self.contacts, self.cumulative_hazard = np.zeros((4, self.n))
        self.days_since_contact += NEVER
        self.active, self.gain = np.ones(self.n, dtype=bool), 0.0

    def event(self, who: int, event_id: str) -> ScoredCustomer:
        return ScoredCustomer(
            id=uuid5(ID_NAMESPACE, event_id),
            event_id=event_id,
            customer_id=str(who),
            churn_risk=self.risk[who],
            accept_probs=tuple(self.customers.accept[who]),
            monthly_charges=self.customers.bill[who],
        )

    def contact(self, who: int, level: int, day: int) -> bool:
        """Whether they accept."""
        one, left, contacts = (
            self.customers[who : who + 1],
            self.response_model.value_days - day,
            int(self.contacts[who]),
        )
        self.gain += float(
            incremental_value(one, np.array([level]), left, self.offer_days_left[who], contacts, self.response_model)[
                0
            ][0]
        )
        accepts = bool(self.luck[who, min(contacts, self.luck.shape[1] - 1)] < one.accept[0, level])
        self.offer_days_left[who] = max(self.offer_days_left[who], accepts * self.response_model.effect_days[level])
        self.days_since_contact[who] = 0
        self.contacts[who] += 1
        return accepts

    def end_of_day(self) -> list[int]:
        """Who leaves."""
        fatigue_days_left, before = (
            np.maximum(self.response_model.fatigue_days - self.days_since_contact, 0),
            self.active,
        )
        self.cumulative_hazard += (
            hazard_exposure(1, self.offer_days_left, fatigue_days_left, self.contacts, self.response_model)
            * self.customers.hazard
        )
        self.active = before & (self.cumulative_hazard < self.churn_threshold)
        self.days_since_contact += 1
        self.offer_days_left = np.maximum(self.offer_days_left - 1, 0)
        return np.flatnonzero(before & ~self.active).tolist()
