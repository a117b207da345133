"""How decisions move when an assumption is wrong, and what a policy that was trained on it still reaches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel
from training.policy.customers import customers
from training.policy.evaluation.benchmark import BenchmarkResult
from training.policy.evaluation.bound import LagrangianBound
from training.policy.simulation.campaign import NO_CONTACT, CampaignSimulator, Policy
from training.statistics import Estimate, mean_interval

COPIES, SEEDS = 4, tuple(range(200, 206))
NOISE = 0.5
"""Of the logarithm of the hazard, where the scorer ranks badly; its mean stays as it is."""
WORLDS: Mapping[str, Sequence[Any]] = {
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
FIELDS = {"held_days": "effect_days", "annoyance": "fatigue"}
"""Of the response model, where the report calls them otherwise."""


class Case(NamedTuple):
    """An assumption that is otherwise."""

    name: str
    value: str
    response_model: ResponseModel
    seen: Customers
    """As the scorer says."""
    true: Customers


class Moved(NamedTuple):
    """What an otherwise world changes, at the same budget in money."""

    name: str
    value: str
    price: float
    """Of money, where the optimum is within the budget."""
    contacted: float
    """Share of the customers that the optimum contacts on the first day."""
    discount: float
    """Of whom it contacts, the mean."""
    same: float
    """Share of the customers about whom it decides as in the assumed world."""
    share: Estimate
    """Of this world's bound, by the policy of the assumed world."""


def cases(people: pd.DataFrame, redrawn: pd.DataFrame, unlent: pd.DataFrame) -> Iterator[Case]:
    """The assumed world first. `redrawn` are the same people with other lent facts, `unlent` with none."""

    def case(
        name: str,
        value: str,
        response_model: ResponseModel = RESPONSE_MODEL,
        who: pd.DataFrame = people,
        wrong: Any = 1.0,
    ) -> Case:
        hazard, accept, bill = seen = customers(who, response_model)
        return Case(name, value, response_model, seen, Customers(hazard * wrong, accept, bill))

    yield case("as assumed", "")
    for name, values in WORLDS.items():
        for value in values:
            yield case(name, str(value), RESPONSE_MODEL._replace(**{FIELDS.get(name, name): value}))
    yield case("lent bank facts", "drawn again", who=redrawn)
    yield case("lent bank facts", "none", who=unlent)
    for factor in (0.5, 1.5):
        yield case("true hazard", f"scorer's × {factor}", wrong=factor)
    noise = np.random.default_rng(SEEDS[0]).normal(-(NOISE**2) / 2, NOISE, len(people))
    yield case("true hazard", f"scorer's × noise, log-normal, σ {NOISE}", wrong=np.exp(noise))


def optimum(who: Customers, price: float, response_model: ResponseModel) -> np.ndarray:
    """The level [n] that is best on the first day where money has that price; NOTHING is to wait."""
    *_, first = DynamicProgram(who, response_model).solve(price)
    better = first.contact[:, :, 0].max(axis=0) > first.wait[:, 0]
    return np.where(better, first.contact[:, :, 0].argmax(axis=0), NO_CONTACT)


def moved(
    case: Case, before: np.ndarray, policy: Policy, budget: float, copies: int = COPIES, seeds: Sequence[int] = SEEDS
) -> Moved:
    """`before` is the optimum [n] in the assumed world; `budget` is money for one copy of each customer."""
    dual = LagrangianBound(case.true, response_model=case.response_model).at_budget(budget)
    level = optimum(case.true, dual.price, case.response_model)
    quarters = (CampaignSimulator(case.seen, copies, seed, case.response_model, truth=case.true) for seed in seeds)
    accounts = [quarter.run(policy, copies * budget) for quarter in quarters]
    reached = mean_interval(BenchmarkResult(accounts, copies * dual.upper_bound(budget)).shares_of_bound)
    chosen = level[level > NO_CONTACT]
    discount = float(DISCOUNTS[chosen].mean()) if len(chosen) else 0.0
    same = float((level == before).mean())
    return Moved(case.name, case.value, dual.price, len(chosen) / len(level), discount, same, reached)
