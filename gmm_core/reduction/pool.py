"""The pool: components while they are merged, and what groups of them become."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture
from gmm_core.moments import combine

__all__ = ["Pool", "content_order", "merge_pair"]


@dataclass
class Pool:
    """Components while they are merged: arrays that change in place, and which rows still live.

    weights (K,), means (K, d), covariances and whiteners as the kind stores them, alive (K,) bool.
    Every component has a covariance of its own: the kind is that of the mixture's scatter type.
    """

    kind: CovarianceKind
    weights: Array
    means: Array
    covariances: Array
    whiteners: Array
    alive: NDArray[np.bool_]

    @classmethod
    def of(cls, mixture: Mixture) -> Pool:
        """A pool in an order that depends on the components alone, not on how they were listed."""
        mixture = mixture.as_type(mixture.kind.scatter_type)
        order = content_order(mixture.weights, mixture.means, mixture.covariances)
        return cls(
            mixture.kind,
            mixture.weights[order],
            mixture.means[order],
            mixture.covariances[order],
            mixture.whiteners[order],
            np.ones(len(order), dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.weights)

    def copy(self) -> Pool:
        """One that may be changed."""
        weights, means = self.weights.copy(), self.means.copy()
        covariances, whiteners = self.covariances.copy(), self.whiteners.copy()
        return Pool(self.kind, weights, means, covariances, whiteners, self.alive.copy())

    def merge(self, i: int, j: int) -> None:
        """Component j becomes the union of i and j; i is gone."""
        weight, mean, covariance = _union(
            *((self.weights[n], self.means[n], self.covariances[n]) for n in (i, j))
        )
        self.weights[j], self.means[j], self.covariances[j] = weight, mean, covariance
        self.whiteners[j] = self.kind.whiteners(covariance[None], 1, len(mean))[0]
        self.alive[i] = False

    def grouped(self, labels: NDArray[np.intp]) -> Pool:
        """The pool of groups, one component each: group `labels[i]` (K,) has component i.

        A group's moments come from its members in one step, so they do not depend on the order in
        which a search merged them: mean m = sum a_i m_i / a, covariance
        sum a_i (S_i + (m_i - m)(m_i - m)') / a with a = sum a_i. Groups are numbered from 0 and
        come out in the order of their content.
        """
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        share = self.weights[order]
        weights = np.add.reduceat(share, starts)
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
        share = share / weights[group]
        # About a member's mean, so that means far from zero lose no digits.
        about = self.means[order[starts]]
        away = self.means[order] - about[group]
        shift = np.add.reduceat(share[:, None] * away, starts)
        away -= shift[group]
        means = about + shift
        columns = (slice(None),) + (None,) * (self.covariances.ndim - 1)
        within = np.add.reduceat(share[columns] * self.covariances[order], starts)
        if within.ndim == 3:
            covariances = within + _between(share, away, group, starts)
            covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
        else:
            covariances = within + np.add.reduceat(share[:, None] * np.square(away), starts)
        listed = content_order(weights, means, covariances)
        weights, means, covariances = weights[listed], means[listed], covariances[listed]
        whiteners = self.kind.whiteners(covariances, *means.shape)
        alive = np.ones(len(weights), dtype=np.bool_)
        return Pool(self.kind, weights, means, covariances, whiteners, alive)

    def mixture(self) -> Mixture:
        """The components as a mixture, in their order; none may be gone."""
        weights = self.weights / self.weights.sum()
        return Mixture(weights, self.means, self.covariances, self.kind.name)


def merge_pair(mixture: Mixture, i: int, j: int) -> Mixture:
    """The mixture with components i and j merged into one, at the place of the former.

    mu = (a1 mu1 + a2 mu2) / a and S = (a1 S1 + a2 S2) / a + (a1 a2 / a^2) (mu1 - mu2)(mu1 - mu2)'
    with a = a1 + a2: mean and covariance of the mixture stay; of "diag" mean and variances, of
    "spherical" mean and total variance. What is stored once is averaged anew: in a "tied" mixture
    the pair's spread about its mean goes to all components, by weight.

    >>> merge_pair(Mixture([0.5, 0.5], [[0.0], [2.0]], [[1.0], [1.0]], "diag"), 0, 1).covariances
    array([[2.]])
    """
    k = mixture.n_components
    if not (0 <= i < k and 0 <= j < k and i != j):
        raise InvalidInput(
            "components to merge", got=(i, j), bound=f"two different numbers from 0 to {k - 1}"
        )
    i, j = min(i, j), max(i, j)
    own = mixture.as_type(mixture.kind.scatter_type)
    parts = ((own.weights[n], own.means[n], own.covariances[n]) for n in (i, j))
    weight, mean, covariance = _union(*parts)
    weights, means, covariances = (
        np.delete(array, j, axis=0) for array in (own.weights, own.means, own.covariances)
    )
    weights[i], means[i], covariances[i] = weight, mean, covariance
    merged = Mixture(weights, means, covariances, own.covariance_type)
    return merged.as_type(mixture.covariance_type)


def _union(
    first: tuple[float, Array, Array], second: tuple[float, Array, Array]
) -> tuple[float, Array, Array]:
    (a, mean_a, cov_a), (b, mean_b, cov_b) = first, second
    weight, mean, scatter = combine(a, mean_a, a * cov_a, b, mean_b, b * cov_b)
    return float(weight), mean, scatter / weight


def _between(share: Array, away: Array, group: NDArray[np.intp], starts: NDArray[np.intp]) -> Array:
    """(groups, d, d) sums of share * away away', group by group: no array of K matrices."""
    rooted = np.sqrt(share)[:, None] * away
    ends = [*starts[1:].tolist(), len(group)]
    parts = (rooted[first:stop] for first, stop in zip(starts.tolist(), ends, strict=True))
    return np.stack([part.T @ part for part in parts])


def content_order(weights: Array, means: Array, covariances: Array) -> NDArray[np.intp]:
    """Order by mean, then weight, then covariance: the same for every listing of the components."""
    order: NDArray[np.intp] = np.lexsort(means.T[::-1])
    listed = means[order]
    if (listed[1:] == listed[:-1]).all(axis=1).any():  # else means alone decide, which is quick
        columns = np.column_stack([means, weights, covariances.reshape(len(weights), -1)])
        order = np.lexsort(columns.T[::-1])
    return order
