"""How much the divergence from the reference costs: β, so that the divergence is what is wanted."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class AdaptiveKL:
    """Ziegler et al. (2019), section 2.2: β ← β · (1 + clip(KL/target − 1, ±0.2) · n/horizon).

    Divergence begins at 0, so nothing is lowered before half of the target has been seen.
    """

    target: float
    """Nats a text."""
    beta: float = 0.1
    horizon: int = 250
    """Texts over which an error of 0.2 would change β by a fifth."""
    _warm: bool = field(default=False, init=False)

    def step(self, kl: float, texts: int) -> float:
        """β after `texts` that diverged by `kl` each."""
        self._warm = self._warm or kl > self.target / 2
        if self._warm:
            error = float(np.clip(kl / self.target - 1, -0.2, 0.2))
            self.beta *= 1 + error * texts / self.horizon
        return self.beta


@dataclass
class Factor:
    """The mission's rule: × 1.5 above the target, ÷ 1.5 below half of it.

    Applied as it stands after every batch it swings between extremes, because the policy answers late and divergence
    begins at 0. So it waits until half of the target has been seen, looks at a running mean, acts every few batches,
    and has bounds; `raw` is without all of that.
    """

    target: float
    beta: float = 0.1
    raw: bool = False
    patience: int = 5
    """Batches between two changes."""
    smoothing: float = 0.7
    bounds: tuple[float, float] = (0.005, 2.0)
    _mean: float = field(default=0.0, init=False)
    _batches: int = field(default=0, init=False)
    _warm: bool = field(default=False, init=False)

    def step(self, kl: float, texts: int) -> float:
        self._batches += 1
        self._mean = kl if self.raw else self.smoothing * self._mean + (1 - self.smoothing) * kl
        self._warm = self._warm or self.raw or self._mean > self.target / 2
        if self._warm and (self.raw or self._batches % self.patience == 0):
            if self._mean > self.target:
                self.beta *= 1.5
            elif self._mean < self.target / 2:
                self.beta /= 1.5
            if not self.raw:
                self.beta = float(np.clip(self.beta, *self.bounds))
        return self.beta
