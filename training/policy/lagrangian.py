"""Update rules of Lagrange multipliers: PID and gradient ascent.

A multiplier is the price of violating a constraint. Both rules take the error as a share of the constraint's limit, so
that their gains do not depend on its unit.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class PID:
    """PID control (Stooke, Achiam and Abbeel 2020, algorithm 2): the integral term finds the price, the others damp it.

    Unlike there it controls log(1 + λ), so that a price changes by factors, and the error is clipped to ±1, which
    limits the effect of one batch. Without proportional and derivative terms it is therefore not quite
    `GradientAscent`, but log(1 + λ) ← max(0, log(1 + λ) + K_I · error).
    """

    price: np.ndarray
    """Multipliers λ [constraints]; initial values at first."""
    integral_gain: float = 0.03
    proportional_gain: float = 0.3
    derivative_gain: float = 0.3
    smoothing: float = 0.9
    """Weight of the past in the moving average of the error, which the proportional and derivative terms take."""
    _integral: np.ndarray = field(init=False)
    _error: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._integral, self._error = np.log1p(self.price), np.zeros_like(self.price)

    def step(self, used: np.ndarray, limit: np.ndarray) -> np.ndarray:
        """Update λ after `used` of each `limit` [constraints]; return it."""
        error = np.clip((used - limit) / limit, -1, 1)
        previous, self._error = self._error, self.smoothing * self._error + (1 - self.smoothing) * error
        self._integral = np.maximum(0, self._integral + self.integral_gain * error)
        rise = np.maximum(0, self._error - previous)
        damping = self.proportional_gain * self._error + self.derivative_gain * rise
        self.price = np.expm1(np.maximum(0, self._integral + damping))
        return self.price


@dataclass
class GradientAscent:
    """Projected gradient ascent, λ ← max(0, λ + α · error), for comparison with PID."""

    price: np.ndarray
    """Multipliers λ [constraints]; initial values at first."""
    learning_rate: float = 0.05
    """Step size α."""

    def step(self, used: np.ndarray, limit: np.ndarray) -> np.ndarray:
        """Update λ after `used` of each `limit` [constraints]; return it."""
        self.price = np.maximum(0, self.price + self.learning_rate * (used - limit) / limit)
        return self.price
