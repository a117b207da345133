"""Random splits of rows: 80 % train, 10 % valid, 10 % test, by a fixed seed."""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

SEED = 42
SPLITS = ("train", "valid", "test")


def split_by_label(rows: pd.DataFrame, label: str) -> dict[str, pd.DataFrame]:
    """Stratified random splits: each has the same share of each label."""
    train, rest = train_test_split(rows, test_size=0.2, stratify=rows[label], random_state=SEED)
    valid, test = train_test_split(rest, test_size=0.5, stratify=rest[label], random_state=SEED)
    return dict(zip(SPLITS, (train, valid, test), strict=True))


def split_by_group(rows: pd.DataFrame, groups: "pd.Series[str]") -> dict[str, pd.DataFrame]:
    """Random splits by group: all rows of a group are in one split."""
    sizes = groups.value_counts().sort_index().sample(frac=1, random_state=SEED)
    share_before = (sizes.cumsum() - sizes) / len(rows)
    split = groups.map(pd.Series(np.digitize(share_before, [0.8, 0.9]), index=sizes.index))
    return {name: rows[split == number] for number, name in enumerate(SPLITS)}
