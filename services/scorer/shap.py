"""Reasons for a churn risk: exact SHAP values of shallow trees, fast enough to compute for every customer.

They are path-dependent TreeSHAP values (Lundberg et al. 2020), equal to XGBoost's `pred_contribs`. XGBoost walks each
tree for each row, which takes three times as long as the rest of scoring. Here, a leaf is reached where all conditions
on its path hold, so the SHAP values of an ensemble are a weighted sum of products of conditions (conjunctions), and
the weights are computed once. A leaf has up to 2^depth conjunctions: suitable for trees of depth 2 or 3, not 6.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, zip_longest
from math import comb, inf, prod
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from services.scorer.calibration import Float64Array
from services.scorer.features import RISK_FACTS, RISK_FEATURES, Float32Array, fact_of, fact_offsets
from shared.messages import Reason

FACTS = tuple(RISK_FACTS)
FEATURE_TO_FACT = [FACTS.index(fact_of(feature)) for feature in RISK_FEATURES]
"""Index in `FACTS` of the fact that each feature encodes."""
FACT_OFFSETS = fact_offsets(RISK_FEATURES)
MAX_REASONS = 3


class Condition(NamedTuple):
    """Holds where a feature is in [`low`, `high`), or where it is missing and `missing` is true."""

    feature: int
    low: float = -inf
    high: float = inf
    missing: bool = True


Path = Mapping[int, tuple[Condition, float]]
"""From the root to a node: for each feature split on, the merged condition and the fraction of cover that meets it."""


def leaves(tree: Mapping[str, Sequence[Any]], node: int = 0, path: Path | None = None) -> Iterator[tuple[float, Path]]:
    """Value and path of each leaf below `node`. `tree` has the layout of XGBoost's JSON; cover is `sum_hessian`."""
    path = path or {}
    split_features, thresholds, cover = (tree[key] for key in ("split_indices", "split_conditions", "sum_hessian"))
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        yield thresholds[node], path
        return
    feature, threshold, default_left = split_features[node], thresholds[node], bool(tree["default_left"][node])
    condition, fraction = path.get(feature, (Condition(feature), 1.0))
    below = condition._replace(high=min(condition.high, threshold), missing=condition.missing and default_left)
    above = condition._replace(low=max(condition.low, threshold), missing=condition.missing and not default_left)
    for child, narrowed in ((left, below), (right, above)):
        yield from leaves(tree, child, {**path, feature: (narrowed, fraction * cover[child] / cover[node])})


def conjunction_weights(booster: Any, groups: Sequence[int]) -> dict[frozenset[Condition], Float64Array]:
    """What each conjunction adds, where it holds, to the SHAP value of each group of features [groups].

    Let the path to a leaf of value v have conditions on d features, and let each condition be met by a fraction r of
    the training data's cover. The conjunction of a subset S of k conditions has the product p of v and of the r outside
    S: it adds p / (d C(d-1, k-1)) to each feature in S, and -p / (d C(d-1, k)) to each other feature of the path. This
    is Shapley's sum (Lundberg et al. 2020, equation 8), multiplied out.
    """
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    weights: dict[frozenset[Condition], Float64Array] = defaultdict(lambda: np.zeros(max(groups) + 1))
    for value, path in (leaf for tree in trees for leaf in leaves(tree)):
        d = len(path)
        for k in range(d + 1):
            for subset in combinations(path, k):
                product = value * prod(fraction for feature, (_, fraction) in path.items() if feature not in subset)
                weight = weights[frozenset(path[feature][0] for feature in subset)]
                for feature in path:
                    divisor = comb(d - 1, k - 1) if feature in subset else -comb(d - 1, k)
                    weight[groups[feature]] += product / d / divisor
    return weights


class TreeExplainer:
    """SHAP values of a tree ensemble, summed over groups of features."""

    def __init__(self, booster: Any, groups: Sequence[int]) -> None:
        """`groups` holds the group of each feature."""
        weights = conjunction_weights(booster, groups)
        conditions = sorted({condition for conjunction in weights for condition in conjunction})
        features, low, high, missing = zip(*conditions, strict=True)
        self._features, self._missing = np.array(features), np.array(missing)[:, None]
        self._low, self._high = np.array([low, high], np.float32)[:, :, None]
        index = {condition: i for i, condition in enumerate(conditions)}
        factors = zip_longest(*(map(index.__getitem__, conjunction) for conjunction in weights), fillvalue=len(index))
        self._factors = np.array(list(factors))
        """Indices of the conditions of each conjunction [longest, conjunctions]."""
        self._weights = csr_array(np.stack(list(weights.values()), axis=1))
        """[groups, conjunctions]"""

    def __call__(self, rows: Float32Array) -> Float64Array:
        """SHAP values in log-odds [groups, n] of `rows` [n, features]. A row's values do not depend on other rows."""
        values = rows.T.take(self._features, axis=0)
        holds = np.ones((len(values) + 1, len(rows)), bool)  # the last row is always true: it pads shorter conjunctions
        holds[:-1] = (values >= self._low) & (values < self._high) | (np.isnan(values) & self._missing)
        shap_values: Float64Array = self._weights @ holds.take(self._factors, axis=0).all(axis=0)
        return shap_values


def top_reasons(rows: Float32Array, shap_values: Float64Array) -> list[tuple[Reason, ...]]:
    """The strongest SHAP values of each customer, strongest first; a missing fact is never a reason.

    `rows` is [n, features], `shap_values` [facts, n].
    """
    contributions = shap_values.T.round(3)
    contributions[np.isnan(rows[:, FACT_OFFSETS])] = 0
    strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :MAX_REASONS]
    values = contributions[np.arange(len(rows))[:, None], strongest]
    flat = map(_reason, strongest.ravel().tolist(), values.ravel().tolist())
    triples = zip(*[flat] * MAX_REASONS, strict=True)
    return [
        reasons if all_nonzero else tuple([reason for reason in reasons if reason.contribution])
        for reasons, all_nonzero in zip(triples, np.all(values, axis=1).tolist(), strict=True)
    ]


@lru_cache(maxsize=1 << 16)
def _reason(fact: int, contribution: float) -> Reason:
    """Cached: rounded to a thousandth there are few, and constructing one is the slowest step of `top_reasons`."""
    return Reason(feature=FACTS[fact], contribution=contribution)
