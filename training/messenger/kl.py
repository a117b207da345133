"""Controllers of the KL coefficient β: they steer the policy's divergence from the reference model to a target."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class AdaptiveKL:
    """Ziegler et al. (2019), section 2.2: β ← β · (1 + clip(KL/target − 1, ±0.2) · n/horizon).

    Divergence begins at 0, so β stays as it is until KL has first exceeded half of the target.
    """

    target: float
    """Nats per text."""
    beta: float = 0.1
    horizon: int = 250
    """Texts over which an error of 0.2 changes β by a fifth."""
    _warmed_up: bool = field(default=False, init=False)

    def step(self, kl: float, texts: int) -> float:
        """Update and return β after a batch of `texts` whose mean divergence was `kl`."""
        self._warmed_up = self._warmed_up or kl > self.target / 2
        if self._warmed_up:
            error = float(np.clip(kl / self.target - 1, -0.2, 0.2))
            self.beta *= 1 + error * texts / self.horizon
        return self.beta


@dataclass
class FactorKL:
    """Multiplies β by 1.5 above the target and divides it by 1.5 below half of the target.

    A rule like that of Schulman et al. (2017), section 4, which uses 2. Applied after every batch it oscillates,
    because the policy responds late and divergence begins at 0. So β stays as it is until the moving average of KL has
    exceeded half of the target; then it changes every `interval` batches, within `bounds`. `unsmoothed` turns all of
    that off.
    """

    target: float
    """Nats per text."""
    beta: float = 0.1
    unsmoothed: bool = False
    """Apply the rule to the KL of every batch, without bounds."""
    interval: int = 5
    """Batches between two changes."""
    smoothing: float = 0.7
    """Weight of the past in the moving average of KL."""
    bounds: tuple[float, float] = (0.005, 2.0)
    """Lowest and highest β."""
    _mean: float = field(default=0.0, init=False)
    _batches: int = field(default=0, init=False)
    _warmed_up: bool = field(default=False, init=False)

    def step(self, kl: float, texts: int) -> float:
        """Update and return β after a batch whose mean divergence was `kl`."""
        self._batches += 1
        self._mean = kl if self.unsmoothed else self.smoothing * self._mean + (1 - self.smoothing) * kl
        self._warmed_up = self._warmed_up or self.unsmoothed or self._mean > self.target / 2
        if self._warmed_up and (self.unsmoothed or self._batches % self.interval == 0):
            if self._mean > self.target:
                self.beta *= 1.5
            elif self._mean < self.target / 2:
                self.beta /= 1.5
            if not self.unsmoothed:
                self.beta = float(np.clip(self.beta, *self.bounds))
        return self.beta


@dataclass
class FixedKL:
    """A constant β."""

    target: float
    """Nats per text; not used, but every controller has one."""
    beta: float

    def step(self, kl: float, texts: int) -> float:
        return self.beta
