"""Marginals and conditionals: mixtures of some of the features, the others unknown or known.

Both stay mixtures of the same covariance type. Source: Bishop 2006, Pattern Recognition and Machine
Learning, equations 2.81, 2.82 and 2.98, by way of one Cholesky factor: with S = L L', the known
features first, the conditional covariance is the product of L's last diagonal block with its
transpose. Nothing is inverted and nothing is subtracted.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from gmm_core.arrays import Array, frozen_array
from gmm_core.components import Components
from gmm_core.covariances.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import log_normalise

__all__ = ["condition", "marginal"]

C = TypeVar("C", bound=Components)

_FURTHEST = 1e300  # log-ratios beyond which a component is just impossible


def marginal(mixture: C, features: Sequence[int]) -> C:
    """The mixture of these features alone, in the order given.

    Raises `InvalidInput` for no features, or one that is negative, too large, or there twice.
    """
    index = _checked(features, mixture.n_features)
    covariances = mixture.kind.marginal(mixture.covariances, index)
    return type(mixture)(
        mixture.weights, mixture.means[:, index], covariances, mixture.covariance_type
    )


def condition(mixture: C, given: Mapping[int, float]) -> C:
    """The mixture of the other features, in their order, where those `given` have these values.

    Weights are shared out anew by the density of the given values; a component whose weight is then
    too small for a float is left out. Raises `InvalidInput` for features as `marginal` does, when no
    feature is left, or a value is not finite.
    """
    if not given:
        return mixture
    index = _checked(list(given), mixture.n_features)
    rest = [feature for feature in range(mixture.n_features) if feature not in index]
    if not rest:
        raise InvalidInput(
            "every feature is given, none is left",
            got=sorted(index),
            bound=f"at most {mixture.n_features - 1} features",
            remedy="use log_prob for the density of whole rows",
        )
    values = frozen_array(list(given.values()), "values of the given features", (len(index),))
    weights = np.exp(_log_shares(marginal(mixture, index), values))
    alive = np.flatnonzero(weights > 0)
    weights, kept = weights[alive], mixture.picked(alive.tolist())
    if kept.kind.scatter_type == "diag":  # features say nothing of one another within a component
        means, covariances = kept.means[:, rest], kept.kind.marginal(kept.covariances, rest)
    else:
        means, covariances = _regressed(kept, index, rest, values)
    return type(mixture)(weights / weights.sum(), means, covariances, mixture.covariance_type)


def _regressed(
    mixture: Components, index: list[int], rest: list[int], values: Array
) -> tuple[Array, Array]:
    """Conditional means (k, r) and covariances of the features `rest`, in each component."""
    known, d = len(index), mixture.n_features
    stored = mixture.kind.marginal(mixture.covariances, [*index, *rest])
    lower = cholesky(stored.reshape(-1, d, d))  # a single one when the covariance is tied
    white = np.linalg.solve(lower[:, :known, :known], (values - mixture.means[:, index])[..., None])
    means = mixture.means[:, rest] + (lower[:, known:, :known] @ white)[..., 0]
    covariances = lower[:, known:, known:] @ lower[:, known:, known:].swapaxes(1, 2)
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    return means, covariances.reshape(mixture.kind.shape(len(means), len(rest)))


def _log_shares(mixture: Components, x: Array) -> Array:
    """(k,) logs of the probability that a component made the one row `x` (d,).

    Squared distances are compared with that of the nearest component, q_j - q_b =
    (z_j - z_b)(z_j + z_b), and z_j - z_b from what the components differ in. So far away, where the
    distances agree in all their digits, components of one shape still keep the ratio of their
    weights and the side that the row lies on.
    """
    white, delta = mixture.whiteners, x - mixture.means
    with np.errstate(over="ignore", invalid="ignore"):
        z = _apply(white, delta)
        largest = max(float(np.abs(z).max()), np.finfo(np.float64).tiny)
        nearest = int(np.square(z / largest).sum(axis=1).argmin())
        turned = _apply(white - white[nearest], np.broadcast_to(delta[nearest], delta.shape))
        difference = turned - _apply(white, mixture.means - mixture.means[nearest])
        farther = (difference * (z + z[nearest])).sum(axis=1)
    roots = white if white.ndim == 2 else np.diagonal(white, axis1=1, axis2=2)
    farther = np.nan_to_num(np.clip(farther, -_FURTHEST, _FURTHEST), nan=_FURTHEST)
    log_joint: Array = np.log(mixture.weights) + np.log(roots).sum(axis=1) - 0.5 * farther
    shares: Array = log_normalise(log_joint[None])[1][0]
    return shares


def _apply(whiteners: Array, delta: Array) -> Array:
    """(k, d) whitened `delta` (k, d), one whitener each."""
    white: Array = (
        whiteners * delta if whiteners.ndim == 2 else (whiteners @ delta[..., None])[..., 0]
    )
    return white


def _checked(features: Sequence[int], d: int) -> list[int]:
    try:
        index = [operator.index(feature) for feature in features]
    except TypeError:
        raise InvalidInput(
            "features are not numbered", got=features, bound=f"whole numbers from 0 to {d - 1}"
        ) from None
    if not index or len(set(index)) != len(index) or not all(0 <= i < d for i in index):
        raise InvalidInput(
            "features of a mixture", got=index, bound=f"different numbers from 0 to {d - 1}"
        )
    return index
