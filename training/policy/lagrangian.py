"""Multipliers of constraints, one each: what breaking it costs, raised while it is broken and lowered while it is not.

The error is a share of the constraint's limit, so gains need no tuning to its unit; it is clipped, so one bad batch
cannot run away with the price. A price moves by factors, not by units: the controller works on log(1 + price).
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class PID:
    """Stooke, Achiam and Abbeel (2020), algorithm 2: the integral finds the price, proportion and derivative damp it.

    Unlike there it moves log(1 + λ), and on an error clipped to ±1. So with `proportion` and `derivative` 0 it is not
    quite `GradientAscent`: log(1 + λ) ← max(0, log(1 + λ) + α·error).
    """

    price: np.ndarray
    """[constraints], where it begins."""
    integral: float = 0.03
    proportion: float = 0.3
    derivative: float = 0.3
    smoothing: float = 0.9
    """Of the error, for proportion and derivative."""
    _sum: np.ndarray = field(init=False)
    _error: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._sum, self._error = np.log1p(self.price), np.zeros_like(self.price)

    def step(self, used: np.ndarray, limit: np.ndarray) -> np.ndarray:
        """The prices, after so much was used of each limit."""
        error = np.clip((used - limit) / limit, -1, 1)
        before, self._error = self._error, self.smoothing * self._error + (1 - self.smoothing) * error
        self._sum = np.maximum(0, self._sum + self.integral * error)
        damping = self.proportion * self._error + self.derivative * np.maximum(0, self._error - before)
        self.price = np.expm1(np.maximum(0, self._sum + damping))
        return self.price


@dataclass
class GradientAscent:
    """The mission's rule, λ ← max(0, λ + α · error), of the error as a share of the limit; kept to compare with."""

    price: np.ndarray
    rate: float = 0.05

    def step(self, used: np.ndarray, limit: np.ndarray) -> np.ndarray:
        self.price = np.maximum(0, self.price + self.rate * (used - limit) / limit)
        return self.price
