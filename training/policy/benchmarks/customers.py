"""The file of customers that `training.policy.benchmarks.export` writes and the benchmarks read."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.policy.response.model import Customers

FIELDS = ("hazard", "accept", "bill")


class CustomerSplits(NamedTuple):
    training: Customers
    held_out: Customers


def write(file: Path, splits: CustomerSplits) -> None:
    arrays: dict[str, Any] = {
        f"{split}_{field}": array
        for split, customers in splits._asdict().items()
        for field, array in zip(FIELDS, customers, strict=True)
    }
    np.savez(file, **arrays)


def read(file: Path) -> CustomerSplits:
    with np.load(file, allow_pickle=False) as arrays:
        training, held_out = (
            Customers(*(arrays[f"{split}_{field}"] for field in FIELDS)) for split in CustomerSplits._fields
        )
    return CustomerSplits(training, held_out)
