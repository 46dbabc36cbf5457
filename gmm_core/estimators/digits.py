"""Digits: whether float32 holds what was computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.mixture import Mixture

__all__ = ["holds", "narrowed"]


def holds(dtype: Any, mixture: Mixture, factors: Array, precisions: Array) -> bool:
    """Whether means, covariances, precisions and their factors keep their digits in `dtype`.

    Variances must be normal numbers there, and so must their reciprocals. What stands beside a
    diagonal is no larger than that is.

    >>> wide = Mixture([1.0], [[0.0]], [1e40], "spherical")
    >>> holds(np.float32, wide, np.array([1e-20]), np.array([1e-40]))
    False
    """
    limits, (k, d) = np.finfo(dtype), mixture.means.shape
    parts = (mixture.covariances, precisions, factors)
    sizes = [mixture.kind.variances(part, k, d) for part in parts]
    normal = all(limits.tiny <= size.min() and size.max() <= limits.max for size in sizes)
    return bool(normal and np.abs(mixture.means).max() <= limits.max)


def narrowed(values: Array, dtype: Any) -> NDArray[Any]:
    """The values in `dtype`, or as they are where one is too large for it.

    >>> narrowed(np.array([1.0]), np.float32).dtype, narrowed(np.array([1e39]), np.float32).dtype
    (dtype('float32'), dtype('float64'))
    """
    finite = values[np.isfinite(values)]
    if np.abs(finite).max(initial=0.0) > np.finfo(dtype).max:
        return values
    return values.astype(dtype, copy=False)
