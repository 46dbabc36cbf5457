"""Guard: a refined mixture is kept only when it explains points better that it has not seen.

What is gained on the parts that a refinement worked on says little: on spiky data it can lose half a
nat elsewhere. So former and challenger are asked about the same fresh points of the pooled mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.refinement.parts import Model, Parts

__all__ = ["Gain", "differences", "gain", "gain_of"]


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


def gain(points: Parts, former: Model, challenger: Model) -> Gain:
    """The challenger's mean log-likelihood on points less the former's."""
    return gain_of(differences(points, former, challenger), points.weights)


def differences(points: Parts, former: Model, challenger: Model) -> Array:
    """(n,) log-density under the challenger less that under the former."""
    difference: Array = points.log_density(challenger) - points.log_density(former)
    return difference


def gain_of(difference: Array, weights: Array) -> Gain:
    """The gain of points' differences (n,), with weights (n,) that add up to 1."""
    mean = float(weights @ difference)
    return Gain(mean, float(np.linalg.norm(weights * (difference - mean))))
