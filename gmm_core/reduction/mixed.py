"""Reduction of mixtures with categorical features: a merge averages the levels' probabilities too.

Components i and j merged give a level the probability (a_i p_i + a_j p_j) / (a_i + a_j): the shares of
the levels in the whole mixture stay, as its mean and covariance do. What a merge costs needs a criterion
that knows levels. Sums of Kullback-Leibler divergences do: features are independent given the
component, so its divergence is that of the Gaussian and those of the levels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.mixed.levels import tables_of
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.reduction.criteria import Criterion, jeffreys, runnalls
from gmm_core.reduction.greedy import groups_of, merges_by
from gmm_core.reduction.pool import Pool, content_order

__all__ = ["MIXED_CRITERIA", "MixedPool", "mixed_jeffreys", "mixed_runnalls", "nested_mixed"]


@dataclass
class MixedPool(Pool):
    """A pool whose components have probabilities of levels (K, m), tables side by side."""

    levels: Array = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def of_mixed(cls, mixture: MixedMixture) -> MixedPool:
        """A pool in an order that depends on the components alone, not on how they were listed."""
        numeric = mixture.numeric.as_type(mixture.numeric.kind.scatter_type)
        levels = np.concatenate(mixture.level_probabilities, axis=1)
        alive = np.ones(len(levels), dtype=np.bool_)
        parts = (numeric.weights, numeric.means, numeric.covariances, numeric.whiteners)
        return cls(numeric.kind, *parts, alive, levels).listed()

    def listed(self) -> MixedPool:
        """The components in the order of their content."""
        numbers = self.covariances.reshape(len(self), -1)
        order = content_order(self.weights, self.means, np.hstack([numbers, self.levels]))
        return self.part(order)

    def part(self, index: NDArray[np.intp]) -> MixedPool:
        """The components at `index`, copied."""
        return MixedPool(
            self.kind,
            self.weights[index],
            self.means[index],
            self.covariances[index],
            self.whiteners[index],
            self.alive[index],
            self.levels[index],
        )

    def copy(self) -> MixedPool:
        """One that may be changed."""
        return self.part(np.arange(len(self)))

    def merge(self, i: int, j: int) -> None:
        """Component j becomes the union of i and j; i is gone."""
        a, b = self.weights[i], self.weights[j]
        self.levels[j] = (a * self.levels[i] + b * self.levels[j]) / (a + b)
        super().merge(i, j)

    def grouped(self, labels: NDArray[np.intp]) -> MixedPool:
        """The pool of groups, one component each, in the order of their content."""
        groups = [self.part(np.flatnonzero(labels == one)).union() for one in np.unique(labels)]
        return MixedPool(
            self.kind,
            np.concatenate([one.weights for one in groups]),
            np.concatenate([one.means for one in groups]),
            np.concatenate([one.covariances for one in groups]),
            np.concatenate([one.whiteners for one in groups]),
            np.concatenate([one.alive for one in groups]),
            np.concatenate([one.levels for one in groups]),
        ).listed()

    def union(self) -> MixedPool:
        """All components as one."""
        one = super().grouped(np.zeros(len(self), np.intp))
        levels = self.weights @ self.levels / self.weights.sum()
        return MixedPool(
            self.kind,
            one.weights,
            one.means,
            one.covariances,
            one.whiteners,
            one.alive,
            levels[None],
        )

    def mixed(self, sizes: tuple[int, ...]) -> MixedMixture:
        """The components as a mixture, in their order; none may be gone."""
        return MixedMixture(self.mixture(), tables_of(self.levels, sizes))


def mixed_runnalls(pool: Pool, i: int) -> Array:
    """Runnalls' bound, and what the merge loses of the levels: a H(p) - a_i H(p_i) - a_j H(p_j).

    H is the entropy of the levels, summed over the features, p the merged probabilities, a = a_i +
    a_j: a times the Jensen-Shannon divergence weighted by a_i and a_j (Lin 1991, equation 4.1).
    """
    levels, b = cast(MixedPool, pool).levels, pool.weights
    a = b[i]
    merged = (a * levels[i] + b[:, None] * levels) / (a + b)[:, None]
    alone = b * _entropy(levels)
    lost: Array = (a + b) * _entropy(merged) - alone[i] - alone
    return runnalls(pool, i) + np.maximum(lost, 0.0)


def mixed_jeffreys(pool: Pool, i: int) -> Array:
    """Jeffreys' divergence of the Gaussians and of the levels, sum (p_i - p_j) log(p_i / p_j)."""
    levels, b = cast(MixedPool, pool).levels, pool.weights
    unlike = ((levels - levels[i]) * (np.log(levels) - np.log(levels[i]))).sum(axis=1)
    divergence: Array = jeffreys(pool, i) + b[i] * b / (b[i] + b) * unlike
    return divergence


MIXED_CRITERIA: dict[str, Criterion] = {"jeffreys": mixed_jeffreys, "runnalls": mixed_runnalls}


def nested_mixed(
    mixture: MixedMixture, ks: Sequence[int], criterion: str, search: str
) -> dict[int, MixedMixture]:
    """`searches.nested` for mixtures with categorical features, its arguments checked.

    Raises `InvalidInput` for a criterion or a search that does not know levels.
    """
    known = {"criterion": (criterion, MIXED_CRITERIA), "search": (search, ("greedy",))}
    for what, (got, allowed) in known.items():
        if got not in allowed:
            raise InvalidInput(
                f"a {what} that does not know categorical features",
                got=got,
                bound=", ".join(sorted(allowed)),
                remedy='set criterion "runnalls" and search "greedy"',
            )
    pool = MixedPool.of_mixed(mixture)
    pairs = merges_by(pool, min(ks, default=len(pool)), MIXED_CRITERIA[criterion])

    def after(merges: NDArray[np.int64]) -> MixedMixture:
        merged = pool.grouped(groups_of(merges, len(pool))) if len(merges) else pool
        return merged.mixed(mixture.sizes).as_type(mixture.covariance_type)

    return {k: after(pairs[: len(pool) - k]) for k in ks}


def _entropy(levels: Array) -> Array:
    entropy: Array = -(levels * np.log(levels)).sum(axis=1)
    return entropy
