"""Columns that alone tell who left: what is filled in when a customer leaves, or ids and dates in order of leaving."""

from collections.abc import Iterable
from math import inf

import numpy as np
import pandas as pd

MIN_AUC = 0.98
"""AUC of a column by itself from which on it counts as a leak."""
MIN_ROWS_PER_VALUE = 10
"""Rows of a value that it takes to count by itself; rarer values count together, or an id would be perfect."""


def leaks(frame: pd.DataFrame, churned: "pd.Series[bool]", columns: Iterable[str]) -> dict[str, float]:
    """The AUC of each of `columns` that separates the classes almost perfectly, to three digits."""
    aucs = {column: separation(frame[column], churned.to_numpy(bool)) for column in columns}
    return {column: round(auc, 3) for column, auc in aucs.items() if auc >= MIN_AUC}


def separation(column: "pd.Series[object]", churned: np.ndarray) -> float:
    """The largest AUC of any order of the column's values: of numbers, of text, by share of churn, or blank or not."""
    texts = column.astype("object").map(lambda value: str(value).strip(), na_action="ignore").fillna("")
    common = texts.where(texts.groupby(texts).transform("size") >= MIN_ROWS_PER_VALUE, "rare")
    orders = [
        texts.eq("").astype(float),
        texts.rank(method="dense"),  # dates in ISO 8601, and ids, are in order as text
        pd.Series(churned, texts.index, dtype=float).groupby(common).transform("mean"),
    ]
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().any():
        orders += [numbers.fillna(-inf), numbers.fillna(inf)]
    return max(max(value, 1 - value) for value in (auc(order, churned) for order in orders))


def auc(order: "pd.Series[float]", positive: np.ndarray) -> float:
    """The AUC of values [n] for the labels `positive` [n], from ranks (Mann and Whitney 1947)."""
    positives, ranks = int(positive.sum()), order.rank().to_numpy()
    above = float(ranks[positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(positive) - positives))
