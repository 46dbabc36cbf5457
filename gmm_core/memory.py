"""What a window costs to keep: stored values against blocks (Patist et al. 2006, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of

__all__ = ["MemoryModel", "memory_model"]


@dataclass(frozen=True)
class MemoryModel:
    """Stored values of a window of n rows in d features (Patist et al. 2006, section 3).

    p = `per_component` values a component: 1 + d + d(d+1)/2 for "full" and "tied" (which
    becomes "full" when pooled), 1 + 2d for "diag", 2 + d for "spherical".

    >>> memory_model(50_000, 10, 2, "full").optimal_blocks.__round__(2)
    61.55
    """

    n: int
    d: int
    k: int
    per_component: int

    def stored(self, b: float) -> float:
        """M(b) = b k p + d n / b: the block mixtures, and the rows of the block being fitted."""
        return b * self.k * self.per_component + self.d * self.n / b

    def compression(self, b: float) -> float:
        """R(b) = n d / M(b): how many times less than keeping all rows."""
        return self.n * self.d / self.stored(b)

    @property
    def optimal_blocks(self) -> float:
        """b_opt = sqrt(n d / (k p)), where M is least."""
        return float(np.sqrt(self.n * self.d / (self.k * self.per_component)))

    @property
    def best_compression(self) -> float:
        """R(b_opt)"""
        return self.compression(self.optimal_blocks)


def memory_model(n: int, d: int, k: int, covariance_type: CovarianceType) -> MemoryModel:
    """The memory model of a window of n rows; raises `InvalidInput` unless all are at least 1."""
    if min(n, d, k) < 1:
        raise InvalidInput("rows, features and components", got=(n, d, k), bound="each 1 or more")
    return MemoryModel(n, d, k, 1 + d + kind_of(covariance_type).stored(d))
