"""Points: parts that stand for the pooled components more finely than these do for themselves.

`crosses` are deterministic but for their turn: every component N(m, S) becomes 2 d narrow Gaussians
at m +- sqrt(d (1 - width)) L q, with S = L L', q the axes of a random rotation, and covariance
width * S each. Their mean and covariance are the component's own, exactly: sigma points (Julier and
Uhlmann 1997) with a rotation, so that many components show EM all directions, and a width, so that
few points cannot be overfitted. `drawn` are independent of them: what the guard asks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.mixed.levels import tables_of
from gmm_core.refinement.parts import Model, Parts

__all__ = ["crosses", "drawn"]

_ROTATIONS = 32  # different ones; components take them in turn


def crosses(pooled: Model, most: int, width: float, rng: np.random.Generator) -> Parts:
    """Parts for soft refinement, `most` at most: the heaviest components become crosses.

    What is lighter stays the Gaussian it is. Mean and covariance of all parts are the pooled ones.
    """
    k, d = pooled.means.shape
    crossed = min(k, max(0, (most - k) // max(2 * d - 1, 1)))
    order = np.argsort(-pooled.weights, kind="stable")
    split, rest = np.sort(order[:crossed]), np.sort(order[crossed:])
    arms = np.sqrt(d * (1 - width)) * _axes(pooled, split, rng)
    places = pooled.means[split, None, :]
    means = np.concatenate([places + arms, places - arms], axis=1).reshape(-1, d)
    weights = np.repeat(pooled.weights[split] / (2 * d), 2 * d)
    narrow = width * pooled.covariances[split]
    owner = np.concatenate([np.repeat(np.arange(crossed), 2 * d), np.arange(crossed, k)])
    whole = np.concatenate([np.repeat(split, 2 * d), rest])
    return Parts(
        np.concatenate([weights, pooled.weights[rest]]),
        np.concatenate([means, pooled.means[rest]]),
        np.concatenate([narrow, pooled.covariances[rest]]),
        pooled.full,
        owner,
        None if pooled.levels is None else pooled.levels[whole],
        pooled.sizes,
    )


def drawn(pooled: Model, n: int, rng: np.random.Generator) -> Parts:
    """About n random points, as many of each component, weighted by it; of levels each has one."""
    k, d = pooled.means.shape
    each = -(-n // k)
    normal = rng.standard_normal((k, each, d))
    root = pooled.root
    offsets = normal @ root.transpose(0, 2, 1) if pooled.full else normal * root[:, None, :]
    means = (pooled.means[:, None, :] + offsets).reshape(-1, d)
    weights, levels = np.repeat(pooled.weights / each, each), _drawn_levels(pooled, each, rng)
    return Parts(weights, means, None, pooled.full, None, levels, pooled.sizes)


def _drawn_levels(pooled: Model, each: int, rng: np.random.Generator) -> Array | None:
    """(k each, m) 1 for the level of each point and categorical feature, else 0."""
    if pooled.levels is None:
        return None
    one_hot = []
    for table in tables_of(pooled.levels, pooled.sizes):
        ends = np.cumsum(table, axis=1)[:, :-1]
        codes = (rng.random((len(table), each, 1)) >= ends[:, None, :]).sum(axis=2).ravel()
        one_hot.append(np.eye(table.shape[1])[codes])
    return np.concatenate(one_hot, axis=1)


def _axes(pooled: Model, which: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """(m, d, d) rows L q of a random rotation's axes q, for each of these components."""
    d = pooled.means.shape[1]
    rotations = np.linalg.qr(rng.standard_normal((_ROTATIONS, d, d)))[0]
    turns = rotations[np.arange(len(which)) % _ROTATIONS]
    if pooled.full:
        axes: Array = turns @ pooled.root[which].transpose(0, 2, 1)
    else:
        axes = turns * pooled.root[which, None, :]
    return axes
