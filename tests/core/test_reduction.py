"""Reduction: merging keeps the moments, the closest pair goes first, order does not matter."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import OWN_KINDS, own_kinds, permuted, random_mixture, seeds

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.reduction import CRITERIA, Pool, hotelling, merge_pair, reduce


def assert_same_moments(a: Mixture, b: Mixture) -> None:
    np.testing.assert_allclose(a.mean(), b.mean(), atol=1e-12)
    x, y = a.covariance(), b.covariance()
    if a.covariance_type == "diag":
        x, y = np.diagonal(x), np.diagonal(y)
    np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-11)


def slow_hotelling(mixture: Mixture, i: int, j: int) -> float:
    """The paper's formula with explicit inverses."""
    full, means, weights = mixture.full_covariances(), mixture.means, mixture.weights
    delta = means[i] - means[j]
    first = weights[i] * delta @ np.linalg.inv(full[i]) @ delta
    second = weights[j] * delta @ np.linalg.inv(full[j]) @ delta
    return (first + second) / 2


def slow_reduce(
    mixture: Mixture,
    k: int,
    distance: Callable[[Mixture, int, int], float] = slow_hotelling,
) -> Mixture:
    """All distances anew before every merge."""
    while mixture.n_components > k:
        pairs = itertools.combinations(range(mixture.n_components), 2)
        i, j = min(pairs, key=lambda pair: distance(mixture, *pair))
        mixture = merge_pair(mixture, i, j)
    return mixture


def by_mean(mixture: Mixture) -> Mixture:
    order = np.lexsort(mixture.means.T[::-1])
    return Mixture(
        mixture.weights[order],
        mixture.means[order],
        mixture.covariances[order],
        mixture.covariance_type,
    )


def assert_close(a: Mixture, b: Mixture) -> None:
    np.testing.assert_allclose(a.weights, b.weights, rtol=1e-9)
    np.testing.assert_allclose(a.means, b.means, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(2, 6), st.integers(1, 4), own_kinds, st.data())
def test_merging_a_pair_keeps_the_moments(seed, k, d, kind, data):
    mixture = random_mixture(seed, k, d, kind)
    i, j = data.draw(st.permutations(range(k)))[:2]
    merged = merge_pair(mixture, i, j)
    assert merged.n_components == k - 1
    assert merged.weights.sum() == pytest.approx(1, abs=1e-14)
    assert_same_moments(merged, mixture)


def test_merging_a_pair_is_the_papers_formula():
    mixture = random_mixture(3, 3, 2)
    (a1, a2), (m1, m2), (s1, s2) = mixture.weights[:2], mixture.means[:2], mixture.covariances[:2]
    a = a1 + a2
    mu = (a1 * m1 + a2 * m2) / a
    first_form = (a1 * s1 + a2 * s2 + a1 * np.outer(m1, m1) + a2 * np.outer(m2, m2)) / a
    merged = merge_pair(mixture, 1, 0)
    np.testing.assert_allclose(merged.means[0], mu, rtol=1e-12)
    np.testing.assert_allclose(merged.covariances[0], first_form - np.outer(mu, mu), rtol=1e-9)
    np.testing.assert_array_equal(merged.means[1], mixture.means[2])


def test_merging_far_from_zero_does_not_cancel():
    near = random_mixture(4, 2, 2, spread=1.0)
    far = Mixture(near.weights, near.means + 2.0**27, near.covariances)
    a, b = merge_pair(near, 0, 1), merge_pair(far, 0, 1)
    np.testing.assert_allclose(b.covariances, a.covariances, rtol=1e-6)


@given(seeds, st.integers(1, 9), st.integers(1, 3), own_kinds, st.data())
def test_reducing_keeps_the_moments(seed, size, d, kind, data):
    mixture = random_mixture(seed, size, d, kind)
    k = data.draw(st.integers(1, size))
    reduced = reduce(mixture, k)
    assert reduced.n_components == k
    assert_same_moments(reduced, mixture)


@given(seeds, st.integers(2, 20), own_kinds, st.integers(1, 3), st.sampled_from([0.5, 4.0]))
def test_the_search_is_the_slow_one(seed, size, kind, k, spread):
    mixture = random_mixture(seed, size, 2, kind, spread)
    k = min(k, size)
    assert_close(reduce(mixture, k, criterion="hotelling"), by_mean(slow_reduce(mixture, k)))


WEIGHT_CRITERIA = {
    "light first": lambda a, b: a + b,
    "heavy first": lambda a, b: -(a + b),
    "alike first": lambda a, b: np.abs(a - b),
}


@pytest.mark.parametrize("name", WEIGHT_CRITERIA)
@given(seed=seeds, size=st.integers(3, 15))
def test_the_search_is_the_slow_one_when_a_merge_draws_others_near_or_away(name, seed, size):
    # By weight alone, so that a merged component may become the nearest of any other.
    mixture, distance = random_mixture(seed, size, 1), WEIGHT_CRITERIA[name]

    def slow(m: Mixture, i: int, j: int) -> float:
        return distance(m.weights[i], m.weights[j])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CRITERIA, name, lambda pool, i: distance(pool.weights, pool.weights[i]))
        got = reduce(mixture, 2, criterion=name)
    assert_close(got, by_mean(slow_reduce(mixture, 2, slow)))


@given(seeds, st.integers(2, 8), own_kinds, st.integers(1, 4))
def test_the_order_of_components_does_not_matter_to_a_bit(seed, size, kind, k):
    mixture = random_mixture(seed, size, 2, kind)
    k = min(k, size)
    assert reduce(permuted(mixture, seed), k) == reduce(mixture, k)


@given(seeds, st.integers(1, 4))
def test_ties_are_broken_by_content(seed, k):
    # A grid of equal components: many pairs are equally close.
    means = np.array(list(itertools.product(range(3), range(3))), dtype=float)
    grid = Mixture(np.full(9, 1 / 9), means, np.tile(np.eye(2), (9, 1, 1)))
    assert reduce(permuted(grid, seed), k) == reduce(grid, k)


def test_equal_components_become_one_first():
    one = random_mixture(2, 3, 2)
    twice = Mixture(
        np.tile(one.weights / 2, 2), np.tile(one.means, (2, 1)), np.tile(one.covariances, (2, 1, 1))
    )
    assert_close(reduce(twice, 3), by_mean(one))


@given(seeds, st.integers(2, 8), st.integers(1, 3), own_kinds)
def test_distances_are_the_papers(seed, size, d, kind):
    mixture = by_mean(random_mixture(seed, size, d, kind))
    pool = Pool.of(mixture)
    got = np.array([hotelling(pool, i) for i in range(size)])
    want = [[slow_hotelling(mixture, i, j) for j in range(size)] for i in range(size)]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(got, got.T)


@given(seeds, st.integers(2, 8))
def test_an_affine_map_maps_the_reduction(seed, size):
    mixture = random_mixture(seed, size, 2)
    A, b = np.array([[1.5, 0.4], [-0.2, 0.7]]), np.array([3.0, -1.0])

    def mapped(m: Mixture) -> Mixture:
        covariances = A @ m.covariances @ A.T
        covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
        return Mixture(m.weights, m.means @ A.T + b, covariances)

    k = max(1, size // 2)
    assert_close(reduce(mapped(mixture), k), by_mean(mapped(reduce(mixture, k))))


def test_as_many_as_there_are_only_orders_them():
    mixture = random_mixture(6, 5, 2)
    assert reduce(mixture, 5) == by_mean(mixture)


def test_another_criterion_is_one_more_entry(monkeypatch):
    def euclidean(pool: Pool, i: int) -> np.ndarray:
        return np.square(pool.means - pool.means[i]).sum(axis=1)

    monkeypatch.setitem(CRITERIA, "euclidean", euclidean)
    mixture = Mixture([0.2, 0.2, 0.6], [[0.0], [1.0], [1.9]], [[100.0], [100.0], [1e-4]], "diag")
    by_distance = reduce(mixture, 2, criterion="euclidean")
    np.testing.assert_allclose(by_distance.weights, [0.2, 0.8])
    np.testing.assert_allclose(reduce(mixture, 2).weights, [0.4, 0.6])


def test_hundreds_of_merges_lose_nothing():
    mixture = random_mixture(1, 500, 4)
    assert_same_moments(reduce(mixture, 6), mixture)


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize(
    ("k", "criterion", "message"),
    [
        (0, "hotelling", "got 0"),
        (4, "hotelling", "1 to 3"),
        ("2", "hotelling", "got '2'.*a whole number"),
        (True, "hotelling", "got True"),
        (2, "nearness", "hotelling"),
    ],
)
def test_what_is_refused(kind, k, criterion, message):
    with pytest.raises(InvalidInput, match=message):
        reduce(random_mixture(1, 3, 2, kind), k, criterion=criterion)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (-1, 0), (0, 3)])
def test_pairs_that_are_refused(i, j):
    with pytest.raises(InvalidInput, match="two different numbers from 0 to 2"):
        merge_pair(random_mixture(1, 3, 2), i, j)
