"""Shares: what part of a row belongs to each component, however far out the row lies.

Squared distances above 1e300 are cut off there (`gmm_core.covariances.kinds`). A row beyond that from
every component is still nearer to some than to others, which their differences tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.fitting.estep import Joint
from gmm_core.fitting.missing import Conditional
from gmm_core.fitting.patterns import patterns_of
from gmm_core.gaussian import log_normalise

__all__ = ["labels", "log_shares", "log_shares_of"]

_FAR = -4e299  # log joint of a row whose squared distances are all cut off, whatever the offsets
_FURTHEST = 1e300  # log-ratios beyond which a component is just impossible


def log_shares(X: Array, logs: Array, joint: Joint) -> Array:
    """(m, k) logs of responsibilities of rows X (m, d), given their log joint (m, k); NaN is missing.

    >>> pair = Joint(np.zeros(2), np.array([[0.0], [1e200]]), np.ones((2, 1)))
    >>> log_shares(np.array([[9e199]]), np.full((1, 2), -5e299), pair).tolist()
    [[-5e+299, 0.0]]
    """
    shares = log_normalise(logs)[1]
    for row, own in _far_out(X, logs, joint):
        shares[row] = own
    return shares


def labels(X: Array, logs: Array, joint: Joint) -> NDArray[np.int64]:
    """(m,) index of the largest share; arguments as in `log_shares`."""
    largest: NDArray[np.int64] = logs.argmax(axis=1).astype(np.int64)
    for row, own in _far_out(X, logs, joint):
        largest[row] = own.argmax()
    return largest


def log_shares_of(x: Array, joint: Joint) -> Array:
    """(k,) logs of the probability that a component made the one row `x` (d,).

    Squared distances are compared with that of the nearest component, q_j - q_b =
    (z_j - z_b)(z_j + z_b), and z_j - z_b from what the components differ in. So far away, where the
    distances agree in all their digits, components of one shape still keep the ratio of their
    weights and the side that the row lies on.
    """
    white, delta = joint.whiteners, x - joint.means
    with np.errstate(over="ignore", invalid="ignore"):
        z = _apply(white, delta)
        largest = max(float(np.abs(z).max()), np.finfo(np.float64).tiny)
        nearest = int(np.square(z / largest).sum(axis=1).argmin())
        turned = _apply(white - white[nearest], np.broadcast_to(delta[nearest], delta.shape))
        difference = turned - _apply(white, joint.means - joint.means[nearest])
        farther = (difference * (z + z[nearest])).sum(axis=1)
    farther = np.nan_to_num(np.clip(farther, -_FURTHEST, _FURTHEST), nan=_FURTHEST)
    shares: Array = log_normalise((joint.offsets - 0.5 * farther)[None])[1][0]
    return shares


def _far_out(X: Array, logs: Array, joint: Joint) -> Iterator[tuple[int, Array]]:
    """The rows that are so, and the logs of their shares (k,)."""
    for row in np.flatnonzero(logs.max(axis=1) < _FAR).tolist():
        seen = joint
        if np.isnan(X[row]).any():
            seen = Conditional.of(joint, patterns_of(X[row : row + 1])[0], np.zeros(0)).observed
        yield row, log_shares_of(X[row][~np.isnan(X[row])], seen)


def _apply(whiteners: Array, delta: Array) -> Array:
    """(k, d) whitened `delta` (k, d), one whitener each."""
    white: Array = (
        whiteners * delta if whiteners.ndim == 2 else (whiteners @ delta[..., None])[..., 0]
    )
    return white
