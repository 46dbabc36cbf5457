"""Guard: a refined mixture is kept only when it explains points better that it has not seen.

What is gained on the parts that a refinement worked on says little: on spiky data it can lose half a
nat elsewhere. So former and challenger are asked about the same fresh points of the pooled mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import log_density

__all__ = ["Gain", "Guard", "gain_of"]


@dataclass(frozen=True)
class Gain:
    """What a challenger gains over the former model, and how far chance can carry that figure.

    Parameters
    ----------
    mean : nats per point.
    error : standard error of `mean`, from the points' differences.
    """

    mean: float
    error: float

    def convinces(self, errors: float) -> bool:
        """Whether the gain is more than so many standard errors."""
        return self.mean > errors * self.error


def gain_of(difference: Array, weights: Array) -> Gain:
    """The gain of points' differences (n,), with weights (n,) that add up to 1."""
    mean = float(weights @ difference)
    return Gain(mean, float(np.linalg.norm(weights * (difference - mean))))


class Guard:
    """The model that is kept, and the points that a challenger must convince."""

    def __init__(self, points: Parts | None, model: Model, errors: float) -> None:
        """`points` that the model has not seen; with `None` every challenger is kept."""
        self.model, self._points, self._errors = model, points, errors
        self._density = None if points is None else log_density(points, model)

    def offer(self, challenger: Model) -> Gain | None:
        """What the challenger gains on the points; it is kept if that convinces."""
        if self._points is None or self._density is None:
            self.model = challenger
            return None
        density = log_density(self._points, challenger)
        gain = gain_of(density - self._density, self._points.weights)
        if gain.convinces(self._errors):
            self.model, self._density = challenger, density
        return gain
