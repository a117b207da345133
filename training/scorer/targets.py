"""What each of the scorer's models learns, from what, and how."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from services.scorer.features import (
    ACCEPT_FACTS,
    ACCEPT_FEATURES,
    OFFER_LEVEL,
    RISK_FACTS,
    RISK_FEATURES,
    Encoding,
    encoder,
    fact_of,
)
from shared.messages import CustomerFacts

DEMO = ("tenure", "monthly_charges", "contract", "payment_method")
"""The facts that the first example of an event carries."""
CATEGORIES = ("month", "day_of_week")
NUMBERS = ("calls", "emp_var_rate", "cons_price_idx", "cons_conf_idx", "euribor3m", "nr_employed")
"""What was known before a call and an event cannot carry: the campaign's calendar, its calls so far, the economy."""


@dataclass(frozen=True)
class Recipe:
    """How a model learns. `copies` of each customer have random facts missing, for events carry any of them."""

    trees: int
    parameters: Mapping[str, Any]
    copies: int = 0
    seed: int = 42


RISK_RECIPE = Recipe(
    trees=160,
    parameters={
        "max_depth": 3,
        "eta": 0.06,
        "min_child_weight": 5,
        "reg_lambda": 5,
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "colsample_bynode": 0.5,
    },
    copies=2,
)
ACCEPT_RECIPE = Recipe(trees=60, parameters={"max_depth": 3, "eta": 0.15, "min_child_weight": 10}, copies=3)
ALL_RECIPE = Recipe(
    trees=150,
    parameters={
        "max_depth": 6,
        "eta": 0.027,
        "min_child_weight": 5,
        "subsample": 0.9,
        "colsample_bytree": 0.8,
        "colsample_bynode": 0.8,
        "max_bin": 512,
    },
)


@dataclass(frozen=True)
class Target:
    """`rows` [n, features] with NaN where missing, in order of time if they have one; `labels` [n] of 0 and 1."""

    name: str
    features: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    recipe: Recipe
    monotone: Mapping[str, int]
    """-1 where the probability may never rise with the feature, 1 where it may never fall."""
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named sets of facts: the model is also measured on customers of whom no more is known."""
    auc_floor: float = 0.5

    @property
    def facts(self) -> list[str]:
        return list(dict.fromkeys(map(fact_of, self.features)))


def risk(customers: pd.DataFrame) -> Target:
    """Has the customer left? `customers` has the facts of `features.RISK_FACTS`, and `churned`."""
    return Target(
        name="risk",
        features=RISK_FEATURES,
        rows=encoded(RISK_FACTS, customers),
        labels=customers["churned"].to_numpy(int),
        recipe=RISK_RECIPE,
        monotone={"tenure": -1, "contract": -1},
        auc_floor=0.78,
        views={"demo": DEMO, "id_only": ()},
    )


def accept(calls: pd.DataFrame) -> Target:
    """Did they say yes, at the level that stands in for an offer? From what an event can carry: this one is served."""
    return Target(
        name="accept.serving",
        features=ACCEPT_FEATURES,
        rows=np.column_stack([encoded(ACCEPT_FACTS, calls), calls[OFFER_LEVEL]]).astype(np.float32),
        labels=calls["accepted"].to_numpy(int),
        recipe=ACCEPT_RECIPE,
        monotone={OFFER_LEVEL: 1},
        auc_floor=0.70,
        views={"id_only": ()},
    )


def accept_all(calls: pd.DataFrame) -> Target:
    """The same from all that was known before the call: how far the data reach. Nobody is scored by it."""
    dummies = pd.get_dummies(calls[[*CATEGORIES]], prefix_sep="=").astype(np.float32)
    served = accept(calls)
    return replace(
        served,
        name="accept",
        features=(*served.features, *NUMBERS, *dummies.columns),
        rows=np.column_stack([served.rows, calls[[*NUMBERS]], dummies]).astype(np.float32),
        recipe=ALL_RECIPE,
        views={},
    )


def encoded(facts: Mapping[str, Encoding], table: pd.DataFrame) -> np.ndarray:
    """As the service encodes them [n, features]: each row becomes the `Facts` of an event first."""
    records = table[[*facts]].astype(object).where(table[[*facts]].notna(), None).to_dict("records")
    return encoder(facts, Counter())([CustomerFacts.model_validate(record) for record in records])


def subset(target: Target, chosen: np.ndarray) -> Target:
    """The rows `chosen`, by index or mask."""
    return replace(target, rows=target.rows[chosen], labels=target.labels[chosen])


def limited(target: Target, known: np.ndarray) -> np.ndarray:
    """The rows without what is not `known` [n or 1, facts], but for the level; the features of a fact go together."""
    keep = known[:, [target.facts.index(fact_of(feature)) for feature in target.features]]
    return np.where(keep | (np.array(target.features) == OFFER_LEVEL), target.rows, np.float32(np.nan))


def masked(target: Target, rng: np.random.Generator) -> np.ndarray:
    """The rows with random facts missing: of each row a share drawn evenly between none and all."""
    shape = (len(target.rows), len(target.facts))
    return limited(target, rng.random(shape) < rng.random((len(target.rows), 1)))


def views(target: Target) -> dict[str, np.ndarray]:
    """The rows as they are, and with less known of them: of each customer at random, and by the target's views."""
    return {
        "whole": target.rows,
        **({"masked": masked(target, np.random.default_rng([target.recipe.seed, 1]))} if target.recipe.copies else {}),
        **{name: limited(target, np.isin(target.facts, known)[None]) for name, known in target.views.items()},
    }
