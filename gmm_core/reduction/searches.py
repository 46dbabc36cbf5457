"""Searches: which components to merge, given what a merge costs; and `reduce`, the entrance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from numbers import Integral
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture, MixedMixture
from gmm_core.reduction.criteria import CRITERIA
from gmm_core.reduction.greedy import greedy, groups_of
from gmm_core.reduction.kmeans import groups_by_euclid, groups_by_hotelling, intermediate
from gmm_core.reduction.mixed import nested_mixed
from gmm_core.reduction.pool import Pool

__all__ = ["SEARCHES", "Search", "nested", "reduce"]

M = TypeVar("M", bound=AnyMixture)
Search = Callable[[Pool, int, str], Pool]
"""Brings a pool to k components by the criterion of that name; the given pool stays as it is."""


def reduce(
    mixture: M,
    n_components: int,
    *,
    criterion: str = "runnalls",
    search: str = "greedy",
) -> M:
    """Merge components until `n_components` are left; weight, mean and covariance stay.

    Parameters
    ----------
    criterion : what a merge costs: "hotelling" (the paper's), "runnalls" (a bound of the loss in
        Kullback-Leibler divergence), "jeffreys", "bures-wasserstein", "integrated-squared-error".
    search : "greedy" merges the closest pair until k are left: exact, of order K^2. For very large
        pools "kmeans-euclidean" and "kmeans-hotelling" first bring the components to fewer than
        sqrt(K) by k-means on their means, which is of order K^1.5 (Patist et al. 2006, section 2).

    The result does not depend on the order of the components, and lists them by their means, the
    first feature first. A mixture that has as many components already only comes back in that
    order. Components that share something ("tied", "spherical") are merged with covariances of their
    own and share it again in the end. Categorical features (`MixedMixture`) need "runnalls" or "jeffreys",
    and "greedy"; shares of levels stay too.

    Raises `InvalidInput` for an unknown criterion or search, or more components than there are.

    >>> from gmm_core import Mixture
    >>> four = Mixture([0.25] * 4, [[0.0], [1.0], [8.0], [9.0]], [1.0] * 4, "spherical")
    >>> reduce(four, 2).means.tolist()
    [[0.5], [8.5]]
    """
    _check(mixture, n_components, criterion, search)
    if isinstance(mixture, MixedMixture):
        return cast(M, nested_mixed(mixture, [n_components], criterion, search)[n_components])
    pool = Pool.of(mixture)
    reduced = SEARCHES[search](pool, n_components, criterion)
    return cast(M, reduced.mixture().as_type(mixture.covariance_type))


def nested(
    mixture: M,
    numbers: Iterable[int],
    *,
    criterion: str = "runnalls",
    search: str = "greedy",
) -> dict[int, M]:
    """`reduce` to each of these numbers of components; one search, of the least, where it is greedy.

    A greedy search merges pair after pair, so what it has after fewer merges is its outcome for more
    components. Raises as `reduce`.

    >>> from gmm_core import Mixture
    >>> four = Mixture([0.25] * 4, [[0.0], [1.0], [8.0], [9.0]], [1.0] * 4, "spherical")
    >>> {k: one.means.ravel().tolist() for k, one in nested(four, (1, 2)).items()}
    {1: [4.5], 2: [0.5, 8.5]}
    """
    ks = sorted(set(numbers))
    if isinstance(mixture, MixedMixture):
        for k in ks:
            _check(mixture, k, criterion, search)
        return cast(dict[int, M], nested_mixed(mixture, ks, criterion, search))
    if search != "greedy":
        return {k: reduce(mixture, k, criterion=criterion, search=search) for k in ks}
    for k in ks:
        _check(mixture, k, criterion, search)
    pool = Pool.of(mixture)
    pairs = greedy(pool, min(ks, default=len(pool)), criterion)
    merged = {k: _after(pool, pairs[: len(pool) - k]).mixture() for k in ks}
    found = {k: one.as_type(mixture.covariance_type) for k, one in merged.items()}
    return cast(dict[int, M], found)


def _check(mixture: AnyMixture, n_components: Any, criterion: str, search: str) -> None:
    for what, got, known in (("criterion", criterion, CRITERIA), ("search", search, SEARCHES)):
        if got not in known:
            raise InvalidInput(f"unknown {what}", got=got, bound=", ".join(sorted(known)))
    whole = isinstance(n_components, Integral) and not isinstance(n_components, bool)
    if not (whole and 1 <= n_components <= mixture.n_components):
        raise InvalidInput(
            "components to reduce to",
            got=n_components,
            bound=f"a whole number, 1 to {mixture.n_components}, the components there are",
            remedy="lower k, or pool more blocks",
        )


def _greedy(pool: Pool, k: int, criterion: str) -> Pool:
    return pool if k == len(pool) else _after(pool, greedy(pool, k, criterion))


def _after(pool: Pool, pairs: NDArray[np.int64]) -> Pool:
    """The pool with these pairs merged; as it is, when there are none."""
    return pool.grouped(groups_of(pairs, len(pool))) if len(pairs) else pool


def _kmeans_first(
    groups: Callable[[Pool, int], NDArray[np.intp]], pool: Pool, k: int, criterion: str
) -> Pool:
    """k-means to l components, then greedy to k; greedy alone where the pool is too small for an l."""
    few = intermediate(len(pool), k)
    grouped = pool if few is None else pool.grouped(groups(pool, few))
    # Where few means are distinct there may be fewer groups than k: the pool has more to offer.
    return _greedy(pool if len(grouped) < k else grouped, k, criterion)


SEARCHES: dict[str, Search] = {
    "greedy": _greedy,
    "kmeans-euclidean": partial(_kmeans_first, groups_by_euclid),
    "kmeans-hotelling": partial(_kmeans_first, groups_by_hotelling),
}
