"""Where the scikit-learn faces start: responsibilities by `init_params`, then one M-step.

The draws are scikit-learn's, in its order: the same `random_state` starts in the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans, kmeans_plusplus

from gmm_core.arrays import Array, frozen_array
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.estimators.precisions import covariances_of
from gmm_core.fitting.estep import Statistics
from gmm_core.fitting.rows import CHUNK
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture

__all__ = ["MANY", "Given", "responsibilities", "start_of", "statistics_of"]

Shares = Callable[[slice], Array]

MANY = 65_536  # rows from which k-means on all of them would take longer than the fit itself
_EMPTY = 10 * float(np.finfo(np.float64).eps)
_SUM_SLACK = {np.dtype(np.float32): 1e-6}
_TINY = float(np.finfo(np.float64).tiny)
_SYMMETRY_SLACK = 1e-5


class Given:
    """The initial parameters that a user gave, checked; what was not given is `None`.

    Parameters
    ----------
    weights : (k,) from 0 to 1, sum 1.
    means : (k, d)
    precisions : positive definite, in the shape of `kind`.

    Raises
    ------
    InvalidInput : one has another shape, or is no weight or precision.
    """

    def __init__(
        self,
        weights: ArrayLike | None,
        means: ArrayLike | None,
        precisions: ArrayLike | None,
        kind: CovarianceKind,
        k: int,
        d: int,
    ) -> None:
        self.weights = None if weights is None else _weights(weights, k)
        self.means = None if means is None else frozen_array(means, "means_init", (k, d))
        self.covariances = None if precisions is None else _covariances(precisions, kind, k, d)
        parts = (self.weights, self.means, self.covariances)
        self.nothing = all(part is None for part in parts)
        self.everything = all(part is not None for part in parts)

    def over(self, start: Mixture | None, kind: CovarianceKind) -> Mixture:
        """The given parameters, and those of `start` for the others."""
        weights = start.weights if self.weights is None and start else self.weights
        means = start.means if self.means is None and start else self.means
        covariances = start.covariances if self.covariances is None and start else self.covariances
        if weights is None or means is None or covariances is None:
            raise InvalidInput("initial parameters are incomplete", bound="a start for the others")
        return Mixture(weights, means, covariances, kind.name)


def start_of(
    rows: NDArray[Any],
    weight: Array | None,
    k: int,
    kind: CovarianceKind,
    added: Array,
    init_params: str,
    rng: np.random.RandomState,
) -> Mixture:
    """The mixture that `init_params` gives for rows (n, d): responsibilities, then one M-step.

    Variance `added` (d,) is added to each component's.

    Raises `FitFailed` where a component has no width, as one of a single row has without
    `reg_covar`.
    """
    shift = rows[0].astype(np.float64)
    shares = responsibilities(rows, weight, k, init_params, rng)
    statistics = statistics_of(rows, weight, k, kind, shares, shift)
    total = np.maximum(statistics.weight, _EMPTY)
    covariances = kind.with_added(kind.from_scatter(statistics.scatter, total), added)
    try:
        return Mixture(total / total.sum(), statistics.mean + shift, covariances, kind.name)
    except InvalidInput as error:
        raise FitFailed(
            f"no usable start of {k} component{'s' * (k > 1)}: {error.problem}",
            got=error.got,
            remedy="raise reg_covar, lower n_components, or drop features that depend on others",
        ) from None


def responsibilities(
    rows: NDArray[Any], weight: Array | None, k: int, init_params: str, rng: np.random.RandomState
) -> Shares:
    """Initial responsibilities (m, k) of a part of the rows; to be asked for in order, once."""
    if init_params == "random":
        return lambda part: _proportions(rng.uniform(size=(part.stop - part.start, k)))
    label = np.full(len(rows), -1)
    if init_params == "kmeans":
        means = KMeans(n_clusters=k, n_init=1, random_state=rng)
        label = means.fit(_squarable(rows), sample_weight=weight).labels_
    elif init_params == "k-means++":
        _, index = kmeans_plusplus(_squarable(rows), k, sample_weight=weight, random_state=rng)
        label[index] = np.arange(k)
    else:
        chance = None if weight is None else weight / weight.sum()
        label[rng.choice(len(rows), size=k, replace=False, p=chance)] = np.arange(k)
    return lambda part: np.equal(label[part, None], np.arange(k)).astype(np.float64)


def statistics_of(
    rows: NDArray[Any],
    weight: Array | None,
    k: int,
    kind: CovarianceKind,
    shares: Shares,
    shift: Array,
) -> Statistics:
    """Moments of rows - shift, shared out, a chunk at a time."""
    total = Statistics.nothing(k, rows.shape[1], kind)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, min(start + CHUNK, len(rows)))
        shared = shares(part) if weight is None else shares(part) * weight[part, None]
        total += Statistics.of(rows[part].astype(np.float64) - shift, shared, kind)
    return total


def _squarable(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows whose squares are numbers: divided by a power of two, which costs no digit, if need be."""
    limits = np.finfo(rows.dtype)
    largest = max(float(rows.max()), -float(rows.min()))
    if not largest or float(limits.tiny) ** 0.25 < largest < float(limits.max) ** 0.25:
        return rows
    smaller: NDArray[Any] = np.ldexp(rows, -int(np.frexp(largest)[1]))
    return smaller


def _proportions(values: Array) -> Array:
    proportions: Array = values / values.sum(axis=1)[:, None]
    return proportions


def _weights(values: ArrayLike, k: int) -> Array:
    weights = frozen_array(values, "weights_init", (k,))
    if (weights < 0).any() or (weights > 1).any():
        wrong = int(((weights < 0) | (weights > 1)).argmax())
        raise InvalidInput(
            f"weights_init: that of component {wrong}",
            got=float(weights[wrong]),
            bound="every weight in [0, 1]",
        )
    slack = _SUM_SLACK.get(np.asarray(values).dtype, 1e-8)
    if abs(weights.sum() - 1) > slack:
        raise InvalidInput(
            "weights_init should be normalized, its sum is not 1",
            got=float(weights.sum()),
            bound="1",
            remedy="divide them by their sum",
        )
    # A component of weight 0 is empty: EM places it anew, where a mixture could not even hold it.
    weights = np.maximum(weights, _TINY)
    normalised: Array = weights / weights.sum()
    return normalised


def _covariances(values: ArrayLike, kind: CovarianceKind, k: int, d: int) -> Array:
    precisions = frozen_array(values, "precisions_init", kind.shape(k, d))
    if kind.asymmetry(precisions) > _SYMMETRY_SLACK:
        raise InvalidInput(
            "precisions_init is not symmetric: the largest relative difference from its transpose",
            got=kind.asymmetry(precisions),
            bound=f"at most {_SYMMETRY_SLACK}",
            remedy="take the mean of each precision and its transpose",
        )
    try:
        return covariances_of(precisions, kind.name)
    except InvalidInput as error:
        raise InvalidInput(
            f"precisions_init should be positive-definite: {error.problem}",
            got=error.got,
            bound=error.bound,
        ) from None
