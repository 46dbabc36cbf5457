"""Criteria: what it costs to merge two components. Another one is a function and an entry below.

Each is symmetric in the pair and weighs it, so that costs of pairs of any weight compare. Below, a
is a weight, mu a mean, S a covariance, delta = mu_i - mu_j.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import cholesky, positive, whitener_diagonal
from gmm_core.moments import combine
from gmm_core.reduction.pool import Pool

__all__ = [
    "CRITERIA",
    "Criterion",
    "bures_wasserstein",
    "hotelling",
    "integrated_squared_error",
    "jeffreys",
    "runnalls",
]

Criterion = Callable[[Pool, int], Array]
"""Costs (K,) of merging component i of a pool with every component: symmetric, smaller is nearer."""


def hotelling(pool: Pool, i: int) -> Array:
    """Symmetrised Hotelling distance: (H2(i, mean of j) + H2(j, mean of i)) / 2, for every j.

    H2(mu, a, S, mu0) = a (mu - mu0)' S^-1 (mu - mu0), with a the component's share of the rows.
    Source: Patist, Kowalczyk, Marchiori 2006, section 2.
    """
    delta = pool.means - pool.means[i]
    own = pool.weights[i] * pool.kind.squared_length(delta, pool.whiteners[i])
    others = pool.weights * pool.kind.squared_length(delta, pool.whiteners)
    distance: Array = 0.5 * (own + others)
    return distance


def runnalls(pool: Pool, i: int) -> Array:
    """Upper bound of what a merge loses in Kullback-Leibler divergence (Runnalls 2007, section IV).

    B(i, j) = ((a_i + a_j) log |S_ij| - a_i log |S_i| - a_j log |S_j|) / 2, with S_ij the covariance
    of the pair merged.
    """
    weight, _, covariances = _merged(pool, i)
    alone = pool.weights * _log_widths(pool.whiteners)
    bound: Array = weight * _log_widths_of(covariances) - alone[i] - alone
    return _not_below_zero(bound)


def jeffreys(pool: Pool, i: int) -> Array:
    """a_i a_j / (a_i + a_j) times Jeffreys' divergence KL(i, j) + KL(j, i) (Jeffreys 1946).

    KL(i, j) + KL(j, i) = (tr S_j^-1 S_i + tr S_i^-1 S_j - 2 d + delta' (S_i^-1 + S_j^-1) delta) / 2.
    """
    delta = pool.means - pool.means[i]
    apart = pool.kind.squared_length(delta, pool.whiteners[i])
    apart += pool.kind.squared_length(delta, pool.whiteners)
    unlike = _traces(pool.whiteners, pool.covariances[i]) + _traces(
        pool.whiteners[i], pool.covariances
    )
    divergence = 0.5 * (unlike + apart) - pool.means.shape[1]
    return _scale(pool, i) * _not_below_zero(divergence)


def bures_wasserstein(pool: Pool, i: int) -> Array:
    """a_i a_j / (a_i + a_j) times the squared 2-Wasserstein distance of the two Gaussians.

    W2^2 = |delta|^2 + tr S_i + tr S_j - 2 tr (S_i^1/2 S_j S_i^1/2)^1/2 (Olkin and Pukelsheim 1982).
    Weighed as in Ward's criterion, which it is where covariances are equal. It is in the features'
    units: these must be comparable.
    """
    squared = np.square(pool.means - pool.means[i]).sum(axis=1)
    own, others = pool.covariances[i], pool.covariances
    if own.ndim == 1:
        spread = np.square(np.sqrt(others) - np.sqrt(own)).sum(axis=1)
    else:
        # L' S_j L with L L' = S_i has the eigenvalues of S_i^1/2 S_j S_i^1/2.
        root = cholesky(own[None])[0]
        values = _not_below_zero(np.linalg.eigvalsh(root.T @ others @ root))
        common = np.sqrt(values).sum(axis=1)
        spread = np.trace(own) + np.trace(others, axis1=1, axis2=2) - 2 * common
    cost: Array = _scale(pool, i) * (squared + _not_below_zero(spread))
    return cost


def integrated_squared_error(pool: Pool, i: int) -> Array:
    """Integral of (a_i N_i + a_j N_j - (a_i + a_j) N_ij)^2, N_ij being the pair merged.

    By int N(x; m, S) N(x; n, T) dx = N(m; n, S + T) (Williams and Maybeck 2003). In densities, so it
    looks at the narrow components first.
    """
    weight, means, merged = _merged(pool, i)
    own, alone = pool.covariances[i], pool.covariances
    kind, a, b = pool.kind, pool.weights[i], pool.weights
    shape = pool.means.shape

    def overlap(delta: Array, covariances: Array) -> Array:
        whiteners = kind.whiteners(covariances, *shape)
        log_density = -0.5 * kind.squared_length(delta, whiteners) - _log_widths(whiteners)
        density: Array = np.exp(log_density - 0.5 * shape[1] * np.log(2 * np.pi))
        return density

    nothing = np.zeros(shape)
    twice = a * a * overlap(nothing, np.broadcast_to(2 * own, alone.shape))
    twice = twice + b * b * overlap(nothing, 2 * alone)
    cross = a * b * overlap(pool.means - pool.means[i], own + alone)
    one = a * overlap(means - pool.means[i], own + merged)
    other = b * overlap(means - pool.means, alone + merged)
    error = twice + 2 * cross - 2 * weight * (one + other)
    error += np.square(weight) * overlap(nothing, 2 * merged)
    return _not_below_zero(error)


CRITERIA: dict[str, Criterion] = {
    "bures-wasserstein": bures_wasserstein,
    "hotelling": hotelling,
    "integrated-squared-error": integrated_squared_error,
    "jeffreys": jeffreys,
    "runnalls": runnalls,
}


def _merged(pool: Pool, i: int) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of component i merged with every component."""
    shape = (-1,) + (1,) * (pool.covariances.ndim - 1)
    weight, mean, scatter = combine(
        pool.weights[i],
        pool.means[i],
        pool.weights[i] * pool.covariances[i],
        pool.weights,
        pool.means,
        pool.weights.reshape(shape) * pool.covariances,
    )
    return weight, mean, scatter / weight.reshape(shape)


def _scale(pool: Pool, i: int) -> Array:
    scale: Array = pool.weights[i] * pool.weights / (pool.weights[i] + pool.weights)
    return scale


def _not_below_zero(costs: Array) -> Array:
    """What rounding took below zero is zero."""
    clipped: Array = np.maximum(costs, 0.0)
    return clipped


def _log_widths(whiteners: Array) -> Array:
    """(K,) half the log-determinants of the covariances."""
    widths: Array = -np.log(whitener_diagonal(whiteners)).sum(axis=1)
    return widths


def _log_widths_of(covariances: Array) -> Array:
    """The same of covariances (K, d, d), or variances (K, d), that have no whiteners yet."""
    if covariances.ndim == 2:
        halves: Array = 0.5 * np.log(positive(covariances)).sum(axis=1)
        return halves
    widths: Array = np.log(np.diagonal(cholesky(covariances), axis1=1, axis2=2)).sum(axis=1)
    return widths


def _traces(whiteners: Array, covariances: Array) -> Array:
    """(K,) tr W S W' for one whitener and many covariances, or the other way round."""
    if max(whiteners.ndim, covariances.ndim) == 2:
        diagonal: Array = (np.square(whiteners) * covariances).sum(axis=1)
        return diagonal
    traces: Array = np.einsum("...ab,...ab->...", whiteners @ covariances, whiteners)
    return traces
