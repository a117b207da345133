"""Sensitivity to the assumptions of the simulation: optimal decisions and the served policy's value if one is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel
from training.policy.bound import LagrangianBound
from training.policy.customers import to_customers
from training.policy.evaluation.benchmark import BenchmarkResult
from training.policy.simulation.campaign import NO_CONTACT, CampaignSimulator, Policy
from training.statistics import Estimate

COPIES = 4
"""Copies of each customer in a campaign."""
SEEDS = tuple(range(200, 206))
"""Seeds of the campaigns."""
LOG_HAZARD_NOISE = 0.5
"""Standard deviation of the noise in the log hazard where the scorer ranks badly; the mean hazard is unchanged."""
ALTERNATIVES: Mapping[str, Sequence[Any]] = {
    "effect": (0.25, 0.75),
    "held_days": (
        tuple(days // 2 for days in RESPONSE_MODEL.effect_days),
        tuple(days * 2 for days in RESPONSE_MODEL.effect_days),
    ),
    "annoyance": (0.0, 0.1, 0.15),
    "risk_days": (30, 180),
    "contact_cost": (0.0, 0.5),
    "value_days": (180, 730),
}
"""Other values of the response model's parameters, by their names in the report."""
FIELD_NAMES = {"held_days": "effect_days", "annoyance": "fatigue"}
"""Fields of the response model, by their names in the report, where the two differ."""


class Scenario(NamedTuple):
    """The simulation with one assumption changed."""

    name: str
    """Name of the assumption in the report."""
    value: str
    """Its changed value, as the report prints it."""
    response_model: ResponseModel
    predicted: Customers
    """Customers as scored, which policies observe."""
    actual: Customers
    """Customers as simulated."""


class SensitivityResult(NamedTuple):
    """Effect of a changed assumption, at the same budget in money; `name` and `value` are those of the scenario."""

    name: str
    value: str
    price: float
    """Shadow price of the budget in the scenario."""
    contact_rate: float
    """Share of the customers that the optimal policy of the scenario contacts on the first day."""
    mean_discount: float
    """Mean discount of these contacts."""
    agreement: float
    """Share of the customers with the same optimal decision on the first day as under the original assumptions."""
    share_of_bound: Estimate
    """Share of the scenario's bound that the policy for the original assumptions reaches."""


def scenarios(people: pd.DataFrame, resampled: pd.DataFrame, without_bank_facts: pd.DataFrame) -> Iterator[Scenario]:
    """The original assumptions first.

    `resampled` are the same customers with other bank facts, `without_bank_facts` the same scored without any.
    """

    def scenario(
        name: str,
        value: str,
        response_model: ResponseModel = RESPONSE_MODEL,
        table: pd.DataFrame = people,
        hazard_factor: Any = 1.0,
    ) -> Scenario:
        hazard, accept, bill = predicted = to_customers(table, response_model)
        return Scenario(name, value, response_model, predicted, Customers(hazard * hazard_factor, accept, bill))

    yield scenario("as assumed", "")
    for name, values in ALTERNATIVES.items():
        for value in values:
            yield scenario(name, str(value), RESPONSE_MODEL._replace(**{FIELD_NAMES.get(name, name): value}))
    yield scenario("lent bank facts", "drawn again", table=resampled)
    yield scenario("lent bank facts", "none", table=without_bank_facts)
    for factor in (0.5, 1.5):
        yield scenario("true hazard", f"scorer's × {factor}", hazard_factor=factor)
    rng = np.random.default_rng(SEEDS[0])
    noise = rng.normal(-(LOG_HAZARD_NOISE**2) / 2, LOG_HAZARD_NOISE, len(people))
    value = f"scorer's × noise, log-normal, σ {LOG_HAZARD_NOISE}"
    yield scenario("true hazard", value, hazard_factor=np.exp(noise))


def optimal_levels(customers: Customers, price: float, response_model: ResponseModel) -> np.ndarray:
    """The dynamic program's level on the first day at a shadow price of the budget [n], or NO_CONTACT."""
    *_, first_day = DynamicProgram(customers, response_model).solve(price)
    contact = first_day.contact[:, :, 0].max(axis=0) > first_day.wait[:, 0]
    return np.where(contact, first_day.contact[:, :, 0].argmax(axis=0), NO_CONTACT)


def evaluate_scenario(
    scenario: Scenario,
    original_levels: np.ndarray,
    policy: Policy,
    budget: float,
    copies: int = COPIES,
    seeds: Sequence[int] = SEEDS,
) -> SensitivityResult:
    """`original_levels` [n] are optimal under the original assumptions; `budget` is money for one copy of each."""
    name, value, response_model, predicted, actual = scenario
    dual = LagrangianBound(actual, response_model=response_model).at_budget(budget)
    levels = optimal_levels(actual, dual.price, response_model)
    campaigns = [CampaignSimulator(predicted, copies, seed, response_model, truth=actual) for seed in seeds]
    results = [campaign.run(policy, copies * budget) for campaign in campaigns]
    contacts = levels[levels > NO_CONTACT]
    return SensitivityResult(
        name,
        value,
        dual.price,
        contact_rate=len(contacts) / len(levels),
        mean_discount=float(DISCOUNTS[contacts].mean()) if len(contacts) else 0.0,
        agreement=float((levels == original_levels).mean()),
        share_of_bound=BenchmarkResult(results, copies * dual.upper_bound(budget)).share_of_bound,
    )
