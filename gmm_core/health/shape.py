"""The shape of a mixture: whether its components are sound, apart, and held by enough rows.

A block is gone when its mixture is asked, and a window never had rows of its own. What needs rows is
therefore asked of rows drawn from the mixture, in units of the whole mixture's deviations: the same seed,
the same answer, and none of it depends on units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture, numeric_part

__all__ = ["shape", "silhouette"]

_DRAWS = 4_096


def shape(mixture: AnyMixture, rows: float, draws: int = _DRAWS, seed: int = 0) -> dict[str, float]:
    """Measures of a mixture of `rows` rows, by name (`gmm_core.health.catalogue`).

    Raises `InvalidInput` unless `rows` is above 0 and there is a draw at least.

    >>> from gmm_core import Mixture
    >>> found = shape(Mixture([0.5, 0.5], [[0.0], [40.0]], [1.0, 1.0], "spherical"), 100)
    >>> found["largest_weight"], found["empty_components"], found["silhouette"] > 0.9
    (0.5, 0.0, True)
    """
    if not rows > 0 or draws < 1:
        raise InvalidInput("rows and draws", got=(rows, draws), bound="above 0, and 1 or more")
    numeric, k = numeric_part(mixture), mixture.n_components
    drawn = mixture.sample(draws, seed)
    shares = mixture.responsibilities(drawn)
    deviation = np.sqrt(np.diagonal(numeric.covariance()))
    labels = shares.argmax(axis=1)
    numbers = drawn[:, : numeric.n_features] / deviation
    within = numeric.weights @ np.square(numeric.standard_deviations() / deviation)
    return {
        "largest_weight": float(mixture.weights.max()),
        "smallest_weight": float(mixture.weights.min()),
        "empty_components": float((mixture.weights * rows < 1).sum()),
        "worst_condition_number": float(numeric.condition_numbers().max()),
        "smallest_effective_rows": float(_effective(shares).min() * rows / draws),
        "responsibility_entropy": _entropy(shares) / float(np.log(k)) if k > 1 else 0.0,
        "within_component_share": float(within.mean()),
        **({"silhouette": silhouette(numbers, labels)} if k > 1 else {}),
    }


def silhouette(X: ArrayLike, labels: ArrayLike) -> float:
    """Mean silhouette of rows X (n, d) with labels (n,), by squared Euclidean distances: -1 to 1.

    Rousseeuw 1987. The mean squared distance of a row to a group is its squared distance to the group's
    mean plus the group's total variance, so n k distances are needed and not n^2. A row alone in its
    group counts 0, and one group alone has 0. Raises `InvalidInput` for labels that are not one per row.

    >>> round(silhouette([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]), 3)
    0.988
    """
    rows, named = as_rows(X), np.asarray(labels)
    if named.shape != (len(rows),):
        raise InvalidInput("labels", got=named.shape, bound=f"({len(rows)},), one per row")
    names, group = np.unique(named, return_inverse=True)
    if len(names) < 2:
        return 0.0
    return float(_silhouettes(rows.astype(np.float64), group, len(names)).mean())


def _silhouettes(rows: Array, group: NDArray[np.intp], k: int) -> Array:
    counts = np.bincount(group, minlength=k)
    distances = np.empty((len(rows), k))
    for one in range(k):
        own = rows[group == one]
        mean = own.mean(axis=0)
        distances[:, one] = np.square(rows - mean).sum(axis=1) + own.var(axis=0).sum()
    each = np.arange(len(rows))
    size = counts[group]
    # Of its own group a row is one of the size, at distance 0 of itself.
    inside = distances[each, group] * size / np.maximum(size - 1, 1)
    distances[each, group] = np.inf
    outside = distances.min(axis=1)
    larger = np.maximum(inside, outside)
    values = np.divide(outside - inside, larger, out=np.zeros(len(rows)), where=larger > 0)
    alone: Array = np.where(size > 1, values, 0.0)
    return alone


def _effective(shares: Array) -> Array:
    """(k,) Kish's effective number of rows of each component."""
    sums, squares = shares.sum(axis=0), np.square(shares).sum(axis=0)
    sizes: Array = np.divide(np.square(sums), squares, out=np.zeros_like(sums), where=squares > 0)
    return sizes


def _entropy(shares: Array) -> float:
    """Mean entropy of the rows' responsibilities, nats."""
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return float(-(shares * logs).sum(axis=1).mean())
