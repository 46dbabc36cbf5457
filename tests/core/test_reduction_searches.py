"""Searches: compiled and plain agree, brute force agrees, k-means greedy keeps the laws."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import OWN_KINDS, assert_same_mixture, own_kinds, permuted, random_mixture, seeds
from numba import njit

from gmm_core.errors import InvalidInput
from gmm_core.kernels.boxes import GONE, bounds
from gmm_core.mixture import Mixture
from gmm_core.reduction import CRITERIA, SEARCHES, Pool, merge_pair, reduce
from gmm_core.reduction.compiled import _Search, discriminants, merges, serves
from gmm_core.reduction.greedy import _Plain, groups_of
from gmm_core.reduction.kmeans import groups_by_euclid, groups_by_hotelling, intermediate

FAST = ("hotelling", "runnalls")


@njit
def bounds_of(runnalls, full, d, weight, mean, covariance, width, boxes, least):
    """What only compiled code calls."""
    bounds(runnalls, full, d, weight, mean, covariance, width, boxes, least)


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def brute(mixture: Mixture, k: int, name: str) -> Mixture:
    """All costs of all pairs before every merge."""
    while mixture.n_components > k:
        pool = Pool.of(mixture)
        costs = np.array([CRITERIA[name](pool, i) for i in range(len(pool))])
        pairs = itertools.combinations(range(len(pool)), 2)
        mixture = merge_pair(pool.mixture(), *min(pairs, key=lambda pair: costs[pair]))
    return Pool.of(mixture).mixture()


@pytest.mark.parametrize("name", CRITERIA)
@given(seed=seeds, size=st.integers(2, 14), kind=own_kinds, k=st.integers(1, 3))
@settings(max_examples=10)
def test_greedy_is_brute_force(name, seed, size, kind, k):
    mixture = random_mixture(seed, size, 2, kind, spread=2.0)
    k = min(k, size)
    assert_same_mixture(reduce(mixture, k, criterion=name), brute(mixture, k, name))


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("name", FAST)
@given(seed=seeds, size=st.integers(2, 90), d=st.integers(1, 6), spread=st.sampled_from([0.3, 4.0]))
@settings(max_examples=12)
def test_compiled_and_plain_merge_the_same(name, kind, seed, size, d, spread):
    pool = Pool.of(random_mixture(seed, size, d, kind, spread))
    assert serves(pool, name, CRITERIA[name])
    k = 1 + seed % size
    fast, slow = merges(pool, k, name), _Plain(pool, CRITERIA[name]).merges(k)
    assert partition(groups_of(fast, size)) == partition(groups_of(slow, size))


@pytest.mark.parametrize("name", FAST)
def test_gaps_are_closed_without_a_trace(name):
    # Large enough for several rounds of closing gaps, and for two threads.
    pool = Pool.of(random_mixture(5, 1_050, 2, "diag"))
    fast, slow = merges(pool, 20, name), _Plain(pool, CRITERIA[name]).merges(20)
    assert partition(groups_of(fast, 1_050)) == partition(groups_of(slow, 1_050))


@pytest.mark.parametrize("name", FAST)
@given(seed=seeds, size=st.integers(30, 90), kind=own_kinds)
@settings(max_examples=10)
def test_components_near_to_all_others_are_merged_the_same(name, seed, size, kind):
    # Weights that differ by orders of magnitude: the light ones are the nearest of all others, and go.
    mixture = random_mixture(seed, size, 2, kind, spread=1.0)
    weights = np.exp(np.random.default_rng(seed).normal(scale=3, size=size))
    pool = Pool.of(Mixture(weights / weights.sum(), mixture.means, mixture.covariances, kind))
    fast, slow = merges(pool, 3, name), _Plain(pool, CRITERIA[name]).merges(3)
    assert partition(groups_of(fast, size)) == partition(groups_of(slow, size))


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("name", FAST)
def test_compiled_search_finds_equal_components_first(name, kind):
    one = random_mixture(2, 4, 3, kind)
    weights, covariances = np.tile(one.weights / 40, 40), np.concatenate([one.covariances] * 40)
    pool = Pool.of(Mixture(weights, np.tile(one.means, (40, 1)), covariances, kind))
    truth = np.unique(pool.means, axis=0, return_inverse=True)[1]
    assert partition(groups_of(merges(pool, 4, name), 160)) == partition(truth.ravel())


def pool_of(search: _Search, pool: Pool) -> tuple[np.ndarray, Pool]:
    """Which components of a search live, and these as a pool, in their order."""
    weights, means, covariances, _ = search.components
    lives = np.flatnonzero(search.born[: len(weights)] < GONE)
    own, d = covariances.reshape(pool.covariances.shape)[lives], pool.means.shape[1]
    if own.ndim == 3:  # of which the kernels keep the lower half
        own = np.tril(own) + np.tril(own, -1).transpose(0, 2, 1)
    whiteners = pool.kind.whiteners(own, len(lives), d)
    means = means.reshape(-1, d)[lives]
    return lives, Pool(pool.kind, weights[lives], means, own, whiteners, lives >= 0)


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("name", FAST)
@given(seed=seeds, d=st.integers(1, 4), spread=st.sampled_from([0.3, 4.0, 100.0]))
@settings(max_examples=8)
def test_no_bound_is_above_a_cost_before_and_after_merges(name, kind, seed, d, spread):
    pool = Pool.of(random_mixture(seed, 100, d, kind, spread))
    parts = (pool.weights, pool.means.ravel(), pool.covariances.ravel())
    search = _Search(parts, d, name == "runnalls")
    least, above = np.empty(len(search.born) // 8), 0
    for merged in (0, 60):
        search.merge(merged)
        lives, listed = pool_of(search, pool)
        boxes, widths = search.packed[1], search.components[3]
        for n, i in enumerate(lives.tolist()):
            covariance = listed.covariances[n].ravel()
            own = (listed.weights[n], listed.means[n], covariance, widths[i])
            bounds_of(*search.what, *own, boxes, least)
            costs = np.full(len(search.born), np.inf)
            costs[lives] = CRITERIA[name](listed, n)
            nearest = costs.reshape(-1, 8).min(axis=1)
            assert (least >= 0).all()
            assert (least <= nearest + 1e-12 * listed.weights[n]).all()
            above += int((least[nearest < np.inf] > 0).sum())
    assert above or spread < 100  # and where components are far apart bounds say so


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("kind", OWN_KINDS)
def test_many_features_units_far_apart_and_means_far_away(name, kind):
    mixture = random_mixture(7, 60, 12, kind)
    scale = 10.0 ** np.arange(-6, 6)
    far = Mixture(
        mixture.weights,
        (mixture.means + 1e4) * scale,
        mixture.kind.rescaled(mixture.covariances, scale),
        kind,
    )
    near, away = (reduce(m, 7, criterion=name) for m in (mixture, far))
    np.testing.assert_allclose(away.weights, near.weights, rtol=1e-9)
    np.testing.assert_allclose(away.means, (near.means + 1e4) * scale, rtol=1e-9)


def test_numbers_out_of_the_kernels_reach_are_left_to_numpy():
    pool = Pool.of(Mixture([0.5, 0.5], [[0.0], [1.0]], [[1e-60], [1.0]], "diag"))
    assert not serves(pool, "runnalls", CRITERIA["runnalls"])
    assert not serves(pool, "jeffreys", CRITERIA["jeffreys"])


@pytest.mark.parametrize("search", SEARCHES)
@given(seed=seeds, size=st.integers(10, 130), kind=own_kinds, k=st.integers(1, 6))
@settings(max_examples=10)
def test_searches_keep_the_moments_and_forget_the_order(search, seed, size, kind, k):
    mixture = random_mixture(seed, size, 3, kind)
    reduced = reduce(mixture, k, search=search, criterion="runnalls")
    assert reduced.n_components == k
    assert reduced.weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(reduced.mean(), mixture.mean(), rtol=1e-10, atol=1e-10)
    x, y = reduced.covariance(), mixture.covariance()
    if kind == "diag":
        x, y = np.diagonal(x), np.diagonal(y)
    np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)
    assert reduce(permuted(mixture, seed), k, search=search, criterion="runnalls") == reduced


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", CRITERIA)
def test_components_that_are_each_there_many_times_are_found_again(search, name):
    one = random_mixture(2, 4, 3)
    times = 15
    many = Mixture(
        np.tile(one.weights / times, times),
        np.tile(one.means, (times, 1)),
        np.tile(one.covariances, (times, 1, 1)),
    )
    assert_same_mixture(reduce(many, 4, criterion=name, search=search), Pool.of(one).mixture())


def test_groups_have_the_moments_of_their_members():
    pool = Pool.of(random_mixture(3, 12, 3))
    labels = np.array([5, 5, 2, 2, 2, 9, 0, 0, 9, 9, 9, 9])
    grouped = pool.grouped(labels)
    for members in (labels == label for label in np.unique(labels)):
        part = pool.mixture().picked(np.flatnonzero(members).tolist())
        at = int(np.abs(grouped.means - part.mean()).sum(axis=1).argmin())
        np.testing.assert_allclose(grouped.weights[at], pool.weights[members].sum(), rtol=1e-13)
        np.testing.assert_allclose(grouped.means[at], part.mean(), rtol=1e-12)
        np.testing.assert_allclose(
            grouped.covariances[at], part.covariance(), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize(("size", "k", "few"), [(10_000, 10, 99), (101, 5, 10), (100, 9, None)])
def test_the_number_between(size, k, few):
    assert intermediate(size, k) == few
    assert few is None or k < few < np.sqrt(size) <= few + 1


@pytest.mark.parametrize("groups", [groups_by_euclid, groups_by_hotelling])
@pytest.mark.parametrize("kind", OWN_KINDS)
def test_k_means_finds_groups_far_apart(groups, kind):
    centres = 1e3 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    parts = random_mixture(4, 60, 2, kind)
    which = np.repeat(np.arange(3), 20)
    pool = Pool.of(Mixture(parts.weights, parts.means + centres[which], parts.covariances, kind))
    truth = np.round(pool.means / 1e3) @ [1, 2]
    assert partition(groups(pool, 3)) == partition(truth)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_k_means_ends_where_each_component_is_in_its_nearest_group(kind):
    pool = Pool.of(random_mixture(8, 120, 2, kind, spread=3.0))
    labels = groups_by_euclid(pool, 5)
    means = discriminants(pool)[0]
    centres = [np.average(means[labels == g], 0, pool.weights[labels == g]) for g in range(5)]
    squared = np.square(means[:, None] - np.array(centres)).sum(axis=2)
    np.testing.assert_array_equal(squared.argmin(axis=1), labels)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_hotelling_k_means_ends_where_each_component_is_in_its_nearest_group(kind):
    pool = Pool.of(random_mixture(8, 120, 2, kind, spread=3.0))
    labels = groups_by_hotelling(pool, 5)
    names = np.unique(labels)
    assert len(names) == 5
    precisions = np.linalg.inv(pool.mixture().full_covariances())
    weighed = pool.weights[:, None, None] * precisions
    squared = np.empty((120, len(names)))
    for column, name in enumerate(names):
        own, means = weighed[labels == name], pool.means[labels == name]
        # Where the sum of the group's H2 is least.
        centre = np.linalg.solve(own.sum(axis=0), np.einsum("kab,kb->a", own, means))
        delta = pool.means - centre
        squared[:, column] = np.einsum("ka,kab,kb->k", delta, precisions, delta)
    np.testing.assert_array_equal(names[squared.argmin(axis=1)], labels)


@pytest.mark.parametrize("groups", [groups_by_euclid, groups_by_hotelling])
def test_k_means_of_many_noisy_components_loses_no_group(groups):
    # Weights and covariances that differ much: groups of a distance that counts the group's weight
    # empty one another.
    mixture = random_mixture(11, 3_000, 4, spread=1.0)
    few = intermediate(3_000, 5)
    labels = groups(Pool.of(mixture), few)
    assert len(np.unique(labels)) > 0.9 * few


@pytest.mark.parametrize("search", ["kmeans-euclidean", "kmeans-hotelling"])
def test_equal_means_leave_k_means_nothing_to_tell_apart(search):
    variances = np.repeat([[0.01], [100.0]], 60, axis=0)
    mixture = Mixture(np.full(120, 1 / 120), np.zeros((120, 1)), variances, "diag")
    reduced = reduce(mixture, 2, criterion="runnalls", search=search)
    np.testing.assert_allclose(np.sort(reduced.covariances.ravel()), [0.01, 100.0])


def test_an_unknown_search_is_refused():
    with pytest.raises(InvalidInput, match="kmeans-euclidean"):
        reduce(random_mixture(1, 3, 2), 2, search="nearest")


def test_small_reductions_load_no_compiled_code():
    code = (
        "import sys, numpy as np; from gmm_core import Mixture; from gmm_core.reduction import reduce;"
        "m = Mixture(np.full(30, 1 / 30), np.arange(30.0)[:, None], np.ones((30, 1)), 'diag');"
        "reduce(m, 3); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
