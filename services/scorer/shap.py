"""Why a risk is what it is: exact SHAP values of shallow trees, quick enough to tell every customer's.

They are the path-dependent ones of Lundberg et al. (2020). XGBoost's `pred_contribs` gives the same, but walks each
tree for each row, which takes three times as long as all the rest of a score. A leaf is reached where all the
conditions on its path hold, so the SHAP values of the trees are a weighted sum of products of conditions, and the
weights are worked out once. A leaf has up to 2^depth products: do this to trees of depth two or three, not of six.
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

from services.scorer.calibration import Doubles
from services.scorer.features import RISK, RISK_FEATURES, Floats, fact, starts
from shared.messages import Reason

FACTS = tuple(RISK)
FACT = [FACTS.index(fact(feature)) for feature in RISK_FEATURES]
"""Of which fact each feature is a part."""
FIRST = starts(RISK_FEATURES)
REASONS = 3


class Condition(NamedTuple):
    """A feature is at least `low` and below `high`, or it is missing and `missing` is true."""

    feature: int
    low: float = -inf
    high: float = inf
    missing: bool = True


Path = Mapping[int, tuple[Condition, float]]
"""To a leaf: for each feature on it the condition, and the share of the training weight that meets it."""


def leaves(tree: Mapping[str, Sequence[Any]], node: int = 0, path: Path | None = None) -> Iterator[tuple[float, Path]]:
    """The value of each leaf below `node`, and the path to it. `tree` is as XGBoost writes it in JSON."""
    path = path or {}
    feature, split, weight = (tree[name] for name in ("split_indices", "split_conditions", "sum_hessian"))
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        yield split[node], path
        return
    met, share = path.get(feature[node], (Condition(feature[node]), 1.0))
    below = met._replace(high=min(met.high, split[node]), missing=met.missing and bool(tree["default_left"][node]))
    above = met._replace(low=max(met.low, split[node]), missing=met.missing and not tree["default_left"][node])
    for child, condition in ((left, below), (right, above)):
        known = (condition, share * weight[child] / weight[node])
        yield from leaves(tree, child, {**path, feature[node]: known})


def products(booster: Any, groups: Sequence[int]) -> dict[frozenset[Condition], Doubles]:
    """What each product of conditions adds to the SHAP value of each group of features.

    For a leaf of value v behind conditions on d features, met by shares s of the training weight, the product of k of
    the conditions is multiplied by v and by the s of the others. The features of the k each get it over d C(d-1, k-1),
    the others over -d C(d-1, k): Shapley's sum (Lundberg et al. 2020, equation 8) multiplied out.
    """
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    added: dict[frozenset[Condition], Doubles] = defaultdict(lambda: np.zeros(max(groups) + 1))
    for value, path in (leaf for tree in trees for leaf in leaves(tree)):
        d = len(path)
        for k in range(d + 1):
            for inside in combinations(path, k):
                rest = value * prod(share for feature, (_, share) in path.items() if feature not in inside)
                to = added[frozenset(path[feature][0] for feature in inside)]
                for feature in path:
                    to[groups[feature]] += rest / d / (comb(d - 1, k - 1) if feature in inside else -comb(d - 1, k))
    return added


class Explainer:
    """The SHAP values of a model."""

    def __init__(self, booster: Any, groups: Sequence[int]) -> None:
        """`groups` says of which group each feature is a part; their values are summed."""
        added = products(booster, groups)
        conditions = sorted({condition for product in added for condition in product})
        features, low, high, missing = zip(*conditions, strict=True)
        self._features, self._missing = np.array(features), np.array(missing)[:, None]
        self._low, self._high = np.array([low, high], np.float32)[:, :, None]
        place = {condition: i for i, condition in enumerate(conditions)}
        factors = zip_longest(*(map(place.__getitem__, product) for product in added), fillvalue=len(conditions))
        self._factors = np.array(list(factors))
        self._weights = csr_array(np.stack(list(added.values()), axis=1))

    def __call__(self, rows: Floats) -> Doubles:
        """In log-odds: `rows` [n, features] to [groups, n]. A row's values do not depend on the others."""
        values = rows.T.take(self._features, axis=0)
        met = np.ones((len(values) + 1, len(rows)), bool)  # the last always is: it fills up shorter products
        met[:-1] = (values >= self._low) & (values < self._high) | (np.isnan(values) & self._missing)
        contributions: Doubles = self._weights @ met.take(self._factors, axis=0).all(axis=0)
        return contributions


def reasons(rows: Floats, contributions: Doubles) -> list[tuple[Reason, ...]]:
    """The strongest contributions to each risk, strongest first: `rows` [n, features], `contributions` [facts, n].

    What is missing is no reason.
    """
    by_fact = contributions.T.round(3)
    by_fact[np.isnan(rows[:, FIRST])] = 0
    strongest = np.argsort(-np.abs(by_fact), axis=1, kind="stable")[:, :REASONS]
    values = by_fact[np.arange(len(rows))[:, None], strongest]
    each = map(reason, strongest.ravel().tolist(), values.ravel().tolist())
    return [
        together if known else tuple([one for one in together if one.contribution])
        for together, known in zip(zip(*[each] * REASONS, strict=True), np.all(values, axis=1).tolist(), strict=True)
    ]


@lru_cache(maxsize=1 << 16)
def reason(index: int, contribution: float) -> Reason:
    """Kept, because there are few of them to a thousandth of log-odds and making one takes longer than the rest."""
    return Reason(feature=FACTS[index], contribution=contribution)
