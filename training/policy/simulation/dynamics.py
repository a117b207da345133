"""State of simulated customers, and its two transitions: a contact, and the passing of days.

They are implemented here only: the Gymnasium environment (one customer), the vector environment (steps of several days,
in single precision), the campaign and the simulation through the policy service all call them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from services.policy.customer.gate import is_eligible
from services.policy.response.dynamic_program import Rules
from services.policy.response.model import Numbers, ResponseModel, hazard_exposure

NEVER_CONTACTED = 1_000
"""Days since the last contact of a customer who had none."""


@dataclass
class SimulationState:
    """State of n customers in a campaign: arrays [n], changed in place, so they may be views of a larger array."""

    days_since_contact: np.ndarray
    offer_days_left: np.ndarray
    """Days for which an accepted offer still lowers the hazard."""
    contacts: np.ndarray
    """Number of contacts in the campaign so far."""
    cumulative_hazard: np.ndarray
    churn_threshold: np.ndarray
    """Cumulative hazard at which the customer churns: a draw from Exp(1), or infinity for one who never does."""

    @classmethod
    def start(cls, churn_threshold: np.ndarray) -> Self:
        """Customers on the first day, who were never contacted."""
        days_since_contact, offer_days_left, contacts, cumulative_hazard = np.zeros((4, len(churn_threshold)))
        days_since_contact += NEVER_CONTACTED
        return cls(days_since_contact, offer_days_left, contacts, cumulative_hazard, churn_threshold)

    @property
    def active(self) -> np.ndarray:
        """Whether the customers have not churned [n]."""
        return self.cumulative_hazard < self.churn_threshold

    def eligible(self, rules: Rules) -> np.ndarray:
        """Whether the gate allows a contact [n]."""
        facts = self.days_since_contact, self.offer_days_left, self.contacts
        return np.asarray(is_eligible(*facts, rules.cooldown_days, rules.contact_cap))

    def fatigue_days_left(self, response_model: ResponseModel) -> np.ndarray:
        """Days for which the last contact still raises the hazard [n]."""
        return np.maximum(response_model.fatigue_days - self.days_since_contact, 0)

    def contact(self, rows: np.ndarray, level: np.ndarray, accepted: np.ndarray, response_model: ResponseModel) -> None:
        """Contact the customers `rows` [k] with the offer `level` [k], which they have `accepted` [k] or not.

        A customer never has two active offers: the longer one counts.
        """
        offer_days = accepted * np.array(response_model.effect_days)[level]
        self.offer_days_left[rows] = np.maximum(self.offer_days_left[rows], offer_days)
        self.days_since_contact[rows] = 0
        self.contacts[rows] += 1

    def advance(self, days: Numbers, hazard: np.ndarray, response_model: ResponseModel) -> np.ndarray:
        """Let `days` pass without a contact, a number or [n]; return the hazard that they add [n].

        `hazard` [n] is the daily one without offers and contacts. Several days at once are the same as day by day: an
        effect that ends within them counts for the days until its end.
        """
        fatigue_days_left = self.fatigue_days_left(response_model)
        exposure = hazard_exposure(days, self.offer_days_left, fatigue_days_left, self.contacts, response_model)
        added: np.ndarray = exposure * hazard
        self.cumulative_hazard += added
        self.days_since_contact += days
        self.offer_days_left -= np.minimum(days, self.offer_days_left)
        return added
