"""Warm start of a block fit: the last window mixture, with room for components that are new.

The components of the window are most of what a day needs; newborn ones stand at rows that the window
explains badly, picked as k-means++ picks (Arthur and Vassilvitskii 2007), in nats. A window that
says nothing of the day any more must not cost the fit anything: on a sample of the rows, a few steps
of EM from this start must end no worse than as many from k-means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.mixed.levels import as_codes
from gmm_core.mixed.mixture import AnyMixture, MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import log_density, log_joint
from gmm_core.refinement.soft import soften
from gmm_core.refinement.units import Units

__all__ = ["warm_start"]

M = TypeVar("M", bound=AnyMixture)

_SAMPLE = 30  # rows per component, of those that the two starts are tried on
_STEPS = 4
_EVEN = 0.02  # of each of these rows: what is shared out among all levels of a feature
_LLOYD_STEPS = 3
_BORROWED = 0.5  # rows' worth per feature of the whole covariance, in each group of k-means
_TAIL = 3.0  # how many median deviations below the median log-density is still a usual row
_ANYWHERE = 0.25  # nats: where no rows are missed, newborn components stand anywhere among them
_NEWBORN = 0.5  # of what an equal share of the rows would be


def warm_start(
    rows: NDArray[np.floating], k: int, last: M, moments: Moments, seed: int = 0
) -> M | None:
    """A mixture of k components to start EM from; `None` where a cold start is the better one.

    Parameters
    ----------
    rows : (n, d) checked rows of the block; (n, d + q) with the codes of categorical features.
    k : components of the start. `last` may have fewer; of more, the heaviest k are taken.
    last : the last window mixture, "full" or "diag".
    moments : of the rows' numeric features.
    """
    try:
        return _better(rows, k, last, moments, np.random.default_rng(seed))
    except (InvalidInput, np.linalg.LinAlgError):  # rows in a plane: there are no units for them
        return None


def _better(
    rows: NDArray[np.floating], k: int, last: M, moments: Moments, rng: np.random.Generator
) -> M | None:
    some = rng.choice(len(rows), min(len(rows), _SAMPLE * k), replace=False)
    kind = last.covariance_type
    own = Mixture(np.ones(1), moments.mean[None], moments.covariance[None]).as_type(kind)
    units = Units.of(own)
    points = _points(rows[np.sort(some)], units, last)
    start = _with_newborn(points, _heaviest(units.into(last), k), k, rng)
    cold = _kmeans(points, k, rng)
    if cold is not None and _tried(points, cold) > _tried(points, start):
        return None
    return cast(M, units.back(start))


def _points(rows: NDArray[np.floating], units: Units, last: AnyMixture) -> Parts:
    d, n = len(units.origin), len(rows)
    centred = rows[:, :d].astype(np.float64) - units.origin
    full = last.covariance_type == "full"
    means = centred @ units.inverse.T if full else centred * units.inverse
    points = Parts(np.full(n, 1 / n), means, None, full)
    if not isinstance(last, MixedMixture):
        return points
    # A little of every level, as a fit has it: else what a group lacks would be impossible.
    levels = np.tile(_EVEN / np.repeat(last.sizes, last.sizes), (n, 1))
    levels[np.arange(n)[:, None], as_codes(rows[:, d:], last.sizes)] += 1 - _EVEN
    return replace(points, levels=levels, sizes=last.sizes)


def _heaviest(model: Model, k: int) -> Model:
    if len(model.weights) <= k:
        return model
    kept = model.picked(np.sort(np.argsort(-model.weights, kind="stable")[:k]))
    return replace(kept, weights=kept.weights / kept.weights.sum())


def _with_newborn(points: Parts, model: Model, k: int, rng: np.random.Generator) -> Model:
    """The model and, up to k in all, components of its average width at rows that it misses."""
    born = k - len(model.weights)
    if born == 0:
        return model
    average = np.tensordot(model.weights, model.covariances, 1)
    narrow = Model(np.ones(1), np.zeros_like(model.means[:1]), average[None])
    places = _missed(points, model, narrow, born, rng)
    share = _NEWBORN / k
    return Model(
        np.concatenate([model.weights * (1 - born * share), np.full(born, share)]),
        np.concatenate([model.means, places]),
        np.concatenate([model.covariances, np.repeat(average[None], born, axis=0)]),
        None if model.levels is None else _with_shares(model.weights, model.levels, born),
        model.sizes,
    )


def _with_shares(weights: Array, levels: Array, born: int) -> Array:
    """The levels of the components, and of newborn ones those of the whole mixture."""
    return np.vstack([levels, np.tile(weights @ levels, (born, 1))])


def _missed(points: Parts, model: Model, width: Model, n: int, rng: np.random.Generator) -> Array:
    """(n, d) rows drawn by how many nats the model, and those drawn before, miss them by."""
    density = log_density(points, model)
    middle = np.median(density)
    usual = middle - _TAIL * np.median(np.abs(density - middle))
    missed = np.maximum(usual - density, 0.0) + _ANYWHERE
    places = np.empty((n, points.means.shape[1]))
    for born in range(n):
        total = missed.sum()
        chances = missed / total if total > 0 else points.weights
        places[born] = points.means[rng.choice(len(points), p=chances)]
        moved = Parts(points.weights, points.means - places[born], None, points.full)
        near = width.natural[:, 0] - log_joint(moved, width)[0]  # half squared distances
        missed = np.minimum(missed, near)
    return places


def _kmeans(points: Parts, k: int, rng: np.random.Generator) -> Model | None:
    """Groups that k-means finds, as a model; `None` where the rows do not give k."""
    rows = points.means
    centres = rows[rng.integers(len(rows))][None]
    distance = np.full(len(rows), np.inf)
    while len(centres) < k:
        distance = np.minimum(distance, np.square(rows - centres[-1]).sum(axis=1))
        total = distance.sum()
        if not total > 0:
            return None
        centres = np.vstack([centres, rows[rng.choice(len(rows), p=distance / total)]])
    for _ in range(_LLOYD_STEPS):
        shares = _nearest(rows, centres)
        count = shares.sum(axis=1)
        centres = np.where(
            count[:, None] > 0, shares @ rows / np.maximum(count, 1)[:, None], centres
        )
    # Every group borrows some of the rows' own covariance, which is I: few rows would leave it flat.
    shares = _nearest(rows, centres)
    if not shares.any(axis=1).all():
        return None
    groups = points.grouped(shares / len(rows))
    borrowed = _BORROWED * (rows.shape[1] + 1)
    own = (borrowed / (groups.weights * len(rows) + borrowed))[:, None]
    if not points.full:
        return replace(groups, covariances=(1 - own) * groups.covariances + own)
    own, eye = own[:, :, None], np.eye(rows.shape[1])
    return replace(groups, covariances=(1 - own) * groups.covariances + own * eye)


def _nearest(rows: Array, centres: Array) -> Array:
    """(k, n) 1 where a row's nearest centre is, else 0."""
    index = (0.5 * np.square(centres).sum(axis=1) - rows @ centres.T).argmin(axis=1)
    shares = np.zeros((len(centres), len(rows)))
    shares[index, np.arange(len(rows))] = 1.0
    return shares


def _tried(points: Parts, start: Model) -> float:
    """The log-likelihood that a few steps of EM from a start reach; -inf where they cannot start."""
    try:
        return soften(points, start, steps=_STEPS, tol=0.0).trace[-1]
    except InvalidInput:
        return -np.inf
