"""The customers of `training.policy.benchmarks.export`, as a file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.policy.response.model import Customers

FACTS = ("hazard", "accept", "bill")


class People(NamedTuple):
    training: Customers
    held_out: Customers


def write(file: Path, people: People) -> None:
    named = zip(People._fields, people, strict=True)
    parts: dict[str, Any] = {
        f"{side}_{name}": part for side, them in named for name, part in zip(FACTS, them, strict=True)
    }
    np.savez(file, **parts)


def read(file: Path) -> People:
    with np.load(file, allow_pickle=False) as parts:
        return People(*(Customers(*(parts[f"{side}_{name}"] for name in FACTS)) for side in People._fields))
