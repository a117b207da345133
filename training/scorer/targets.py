"""What each of the scorer's models learns from."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from services.scorer.features import ACCEPT, ACCEPT_FEATURES, RISK, RISK_FEATURES, encoder, fact
from shared.messages import Facts
from training.data import bank, telco
from training.data.sources import BANK, TELCO, read

DEMO = ("tenure", "monthly_charges", "contract", "payment_method")
"""The facts that the first example of an event carries."""


@dataclass(frozen=True)
class Target:
    """`rows` [n, features] with NaN where missing, `labels` [n] of 0 and 1."""

    name: str
    features: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    monotone: Mapping[str, int]
    """-1 where the probability may never rise with the feature, 1 where it may never fall."""
    auc_floor: float
    views: Mapping[str, tuple[str, ...]]
    """Named sets of facts: the model is also measured on customers of whom no more is known."""

    @property
    def facts(self) -> list[str]:
        return list(dict.fromkeys(map(fact, self.features)))


def risk(data: Path) -> Target:
    """Telco: has the customer left?"""
    source = read(TELCO, data)
    return Target(
        name="risk",
        features=RISK_FEATURES,
        rows=encoder(RISK, Counter())([Facts.model_validate(telco.facts(r)) for r in source]),
        labels=np.array([telco.churned(r) for r in source], int),
        monotone={"tenure": -1, "contract": -1},
        auc_floor=0.78,
        views={"demo": DEMO, "id_only": ()},
    )


def accept(data: Path) -> Target:
    """Bank Marketing: did the customer say yes, at the level that stands in for an offer?"""
    source = read(BANK, data)
    facts = encoder(ACCEPT, Counter())([Facts.model_validate(bank.facts(r)) for r in source])
    return Target(
        name="accept",
        features=ACCEPT_FEATURES,
        rows=np.column_stack([facts, [bank.offer_level(r) for r in source]]).astype(np.float32),
        labels=np.array([bank.accepted(r) for r in source], int),
        monotone={"offer_level": 1},
        auc_floor=0.70,
        views={"id_only": ()},
    )


def sample(target: Target, size: int | None, seed: int) -> Target:
    """`size` rows drawn at random, in their old order; all of them if None."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(target.labels))[:size])
    return replace(target, rows=target.rows[chosen], labels=target.labels[chosen])


def limited(target: Target, known: np.ndarray) -> np.ndarray:
    """The rows without what is not `known` [n or 1, facts]; the features of a fact go together.

    The level of an offer is ours to choose, hence always known.
    """
    keep = known[:, [target.facts.index(fact(feature)) for feature in target.features]]
    return np.where(keep | (np.array(target.features) == "offer_level"), target.rows, np.float32(np.nan))


def masked(target: Target, rng: np.random.Generator) -> np.ndarray:
    """The rows with random facts missing: of each row a share drawn evenly between none and all."""
    shape = (len(target.rows), len(target.facts))
    return limited(target, rng.random(shape) < rng.random((len(target.rows), 1)))
