"""What is measured: rows from a known mixture, and one start for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from gmm_core import Mixture

__all__ = ["CASES", "Case", "rows_of", "start_of"]


@dataclass(frozen=True)
class Case:
    """One line of the table; `apart` is the standard deviation of the means, the rows' is about 1."""

    name: str
    n: int
    d: int
    k: int
    covariance_type: str
    dtype: str
    bar: float
    allowed: float = 1e-9
    apart: float = 3.0
    iterations: int = 10

    @property
    def multiply_adds(self) -> int:
        """Per row and component, in both steps of an iteration: the least that full ones need."""
        return self.d * (self.d + 1)


CASES = (
    Case("full, 200k x 10, k 10", 200_000, 10, 10, "full", "float64", 50),
    Case("the same, float32", 200_000, 10, 10, "full", "float32", 80, 1e-6),
    Case("diagonal, 200k x 10, k 10", 200_000, 10, 10, "diag", "float64", 25),
    Case("full, 1M x 2, k 5", 1_000_000, 2, 5, "full", "float64", 40),
    Case("full, 50k x 50, k 20", 50_000, 50, 20, "full", "float64", 8),
    Case("full, overlapping, 200k x 10", 200_000, 10, 10, "full", "float64", 25, apart=1.0),
)


def rows_of(case: Case) -> np.ndarray[Any, Any]:
    """Correlated Gaussians of axes from half to twice a unit, around means `apart`."""
    rng = np.random.default_rng(0)
    means = case.apart * rng.normal(size=(case.k, case.d))
    turns = np.linalg.qr(rng.normal(size=(case.k, case.d, case.d)))[0]
    roots = turns * np.exp(rng.uniform(-0.7, 0.7, size=(case.k, 1, case.d)))
    group = rng.integers(0, case.k, case.n)
    X = rng.normal(size=(case.n, case.d))
    for c in range(case.k):
        X[group == c] = X[group == c] @ roots[c].T + means[c]
    return X.astype(case.dtype)


def start_of(case: Case, X: np.ndarray[Any, Any]) -> Mixture:
    """The groups that scikit-learn's k-means finds among the first rows, as a mixture."""
    part = X[:20_000].astype(np.float64)
    labels = KMeans(case.k, n_init=1, random_state=0).fit_predict(part)
    groups = [part[labels == c] for c in range(case.k)]
    covariances = np.stack([np.cov(group.T) + 1e-6 * np.eye(case.d) for group in groups])
    weights = np.array([len(group) for group in groups]) / len(part)
    means = np.stack([group.mean(axis=0) for group in groups])
    return Mixture(weights, means, covariances).as_type(case.covariance_type)  # type: ignore[arg-type]
