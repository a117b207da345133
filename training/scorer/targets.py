"""The labels that the scorer's models predict, with the rows, recipes and constraints they are fitted with."""

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

DEMO_FACTS = ("tenure", "monthly_charges", "contract", "payment_method")
"""The facts in the first example of an event in the documentation."""
CALL_CATEGORIES = ("month", "day_of_week")
"""Categories known before a call that no event has."""
CALL_NUMBERS = ("calls", "emp_var_rate", "cons_price_idx", "cons_conf_idx", "euribor3m", "nr_employed")
"""Numbers known before a call that no event has: calls of the campaign so far, and the state of the economy."""


@dataclass(frozen=True)
class ModelRecipe:
    """How a model is fitted."""

    trees: int
    """Number of trees."""
    parameters: Mapping[str, Any]
    """Other parameters of XGBoost."""
    copies: int = 0
    """Copies of each training customer with random facts missing, as an event may have any of the facts."""
    seed: int = 42


RISK_RECIPE = ModelRecipe(
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
ACCEPT_RECIPE = ModelRecipe(trees=60, parameters={"max_depth": 3, "eta": 0.15, "min_child_weight": 10}, copies=3)
ALL_RECIPE = ModelRecipe(
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
    """A label with the rows to predict it from."""

    name: str
    """Name of the target, and prefix of its metrics."""
    features: tuple[str, ...]
    rows: np.ndarray
    """[n, features], NaN where missing; in order of time if the data have one."""
    labels: np.ndarray
    """[n] of 0 and 1."""
    recipe: ModelRecipe
    monotone: Mapping[str, int]
    """Monotone constraints by feature: -1 if the probability must not rise with it, 1 if it must not fall."""
    known_fact_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Facts by name of the set: the model is also evaluated as if these alone were known. `id_only` has none."""
    min_auc: float = 0.5
    """Lowest AUC with which the model is served."""

    @property
    def facts(self) -> list[str]:
        return list(dict.fromkeys(map(fact_of, self.features)))


def risk_target(customers: pd.DataFrame) -> Target:
    """Whether the customer has left. `customers` has `features.RISK_FACTS` and `churned`."""
    return Target(
        name="risk",
        features=RISK_FEATURES,
        rows=encode_facts(RISK_FACTS, customers),
        labels=customers["churned"].to_numpy(int),
        recipe=RISK_RECIPE,
        monotone={"tenure": -1, "contract": -1},
        min_auc=0.78,
        known_fact_sets={"demo": DEMO_FACTS, "id_only": ()},
    )


def accept_target(calls: pd.DataFrame) -> Target:
    """Whether the call was accepted, from its offer level (see `training.data.bank`) and facts that an event can have.

    This model is served.
    """
    return Target(
        name="accept.serving",
        features=ACCEPT_FEATURES,
        rows=np.column_stack([encode_facts(ACCEPT_FACTS, calls), calls[OFFER_LEVEL]]).astype(np.float32),
        labels=calls["accepted"].to_numpy(int),
        recipe=ACCEPT_RECIPE,
        monotone={OFFER_LEVEL: 1},
        min_auc=0.70,
        known_fact_sets={"id_only": ()},
    )


def accept_all_target(calls: pd.DataFrame) -> Target:
    """Whether the call was accepted, from all that was known before it. This model is for comparison, not served."""
    dummies = pd.get_dummies(calls[[*CALL_CATEGORIES]], prefix_sep="=").astype(np.float32)
    served = accept_target(calls)
    return replace(
        served,
        name="accept",
        features=(*served.features, *CALL_NUMBERS, *dummies.columns),
        rows=np.column_stack([served.rows, calls[[*CALL_NUMBERS]], dummies]).astype(np.float32),
        recipe=ALL_RECIPE,
        known_fact_sets={},
    )


def encode_facts(facts: Mapping[str, Encoding], table: pd.DataFrame) -> np.ndarray:
    """Features [n, features] by the service's own encoder, each row as the `CustomerFacts` of an event."""
    records = table[[*facts]].astype(object).where(table[[*facts]].notna(), None).to_dict("records")
    return encoder(facts, Counter())([CustomerFacts.model_validate(record) for record in records])


def subset(target: Target, selected: np.ndarray) -> Target:
    """The rows `selected`, by index or mask."""
    return replace(target, rows=target.rows[selected], labels=target.labels[selected])


def with_known_facts(target: Target, known: np.ndarray) -> np.ndarray:
    """The rows with all facts missing that are not `known` [n or 1, facts]; the offer's level is always known."""
    known_features = known[:, [target.facts.index(fact_of(feature)) for feature in target.features]]
    is_level = np.array(target.features) == OFFER_LEVEL
    return np.where(known_features | is_level, target.rows, np.float32(np.nan))


def with_masked_facts(target: Target, rng: np.random.Generator) -> np.ndarray:
    """The rows with random facts missing: of each row a share that is uniform between none and all."""
    shape = (len(target.rows), len(target.facts))
    return with_known_facts(target, rng.random(shape) < rng.random((len(target.rows), 1)))


def rows_by_known_facts(target: Target) -> dict[str, np.ndarray]:
    """The rows as they are (`whole`), with random facts missing (`masked`), and by the target's `known_fact_sets`."""
    masked_rng = np.random.default_rng([target.recipe.seed, 1])
    return {
        "whole": target.rows,
        **({"masked": with_masked_facts(target, masked_rng)} if target.recipe.copies else {}),
        **{
            name: with_known_facts(target, np.isin(target.facts, known)[None])
            for name, known in target.known_fact_sets.items()
        },
    }
