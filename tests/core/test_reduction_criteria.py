"""Criteria: each against slow plain numpy, symmetric, and what it does when units change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import mapped, own_kinds, random_mixture, seeds

from gmm_core.mixture import Mixture
from gmm_core.reduction import CRITERIA, Pool, merge_pair, reduce

Parts = tuple[float, np.ndarray, np.ndarray]


def union(one: Parts, two: Parts) -> Parts:
    (a, m, S), (b, n, T) = one, two
    mean = (a * m + b * n) / (a + b)
    within = a * (S + np.outer(m - mean, m - mean)) + b * (T + np.outer(n - mean, n - mean))
    if not (S - np.diag(np.diag(S))).any() and not (T - np.diag(np.diag(T))).any():
        within = np.diag(np.diag(within))  # diagonal ones stay so
    return a + b, mean, within / (a + b)


def kl(one: Parts, two: Parts) -> float:
    (_, m, S), (_, n, T) = one, two
    inverse = np.linalg.inv(T)
    logs = np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
    return 0.5 * (np.trace(inverse @ S) + (m - n) @ inverse @ (m - n) - len(m) + logs)


def density(x: np.ndarray, mean: np.ndarray, S: np.ndarray) -> float:
    delta = x - mean
    power = -0.5 * delta @ np.linalg.inv(S) @ delta
    return float(np.exp(power) / np.sqrt(np.linalg.det(2 * np.pi * S)))


def root(S: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(S)
    return vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T


def slow_hotelling(one: Parts, two: Parts) -> float:
    (a, m, S), (b, n, T) = one, two
    return 0.5 * (m - n) @ (a * np.linalg.inv(S) + b * np.linalg.inv(T)) @ (m - n)


def slow_runnalls(one: Parts, two: Parts) -> float:
    # As what it bounds is made of: a KL(i, merged) + b KL(j, merged).
    merged = union(one, two)
    return one[0] * kl(one, merged) + two[0] * kl(two, merged)


def slow_jeffreys(one: Parts, two: Parts) -> float:
    a, b = one[0], two[0]
    return a * b / (a + b) * (kl(one, two) + kl(two, one))


def slow_bures_wasserstein(one: Parts, two: Parts) -> float:
    (a, m, S), (b, n, T) = one, two
    squared = (m - n) @ (m - n) + np.trace(S + T - 2 * root(root(S) @ T @ root(S)))
    return a * b / (a + b) * squared


def slow_integrated_squared_error(one: Parts, two: Parts) -> float:
    a, m, S = union(one, two)
    signed = [one, two, (-a, m, S)]
    return sum(
        p * q * density(mean, other, cov + its)
        for p, mean, cov in signed
        for q, other, its in signed
    )


SLOW: dict[str, Callable[[Parts, Parts], float]] = {
    "hotelling": slow_hotelling,
    "runnalls": slow_runnalls,
    "jeffreys": slow_jeffreys,
    "bures-wasserstein": slow_bures_wasserstein,
    "integrated-squared-error": slow_integrated_squared_error,
}
# Those that do not change, but for one factor, when all features are mapped affinely.
AFFINE = ("hotelling", "runnalls", "jeffreys", "integrated-squared-error")


def matrix_of(name: str, pool: Pool) -> np.ndarray:
    return np.array([CRITERIA[name](pool, i) for i in range(len(pool))])


def test_every_criterion_has_an_oracle():
    assert set(SLOW) == set(CRITERIA)


@pytest.mark.parametrize("name", CRITERIA)
@given(seed=seeds, size=st.integers(2, 6), d=st.integers(1, 3), kind=own_kinds)
def test_a_criterion_is_its_formula_and_symmetric(name, seed, size, d, kind):
    pool = Pool.of(random_mixture(seed, size, d, kind, spread=1.5))
    full = pool.kind.full(pool.covariances, size, d)
    parts = list(zip(pool.weights, pool.means, full, strict=True))
    got = matrix_of(name, pool)
    want = np.array([[SLOW[name](one, two) for two in parts] for one in parts])
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(got, got.T, rtol=1e-10, atol=1e-12)
    assert (got >= 0).all()


@pytest.mark.parametrize("name", CRITERIA)
@given(seed=seeds, kind=own_kinds)
def test_merging_equal_components_costs_nothing(name, seed, kind):
    one = random_mixture(seed, 3, 2, kind)
    twice = Mixture(*(np.repeat(p, 2, axis=0) / q for p, q in zip(
        (one.weights, one.means, one.covariances), (2, 1, 1), strict=True)), kind)  # fmt: skip
    costs = matrix_of(name, Pool.of(twice))
    pairs = costs[[0, 2, 4], [1, 3, 5]]
    assert (pairs <= 1e-12 * costs.max()).all()


@pytest.mark.parametrize("name", CRITERIA)
@given(seed=seeds, unit=st.floats(0.01, 100), kind=own_kinds)
@settings(max_examples=6)
def test_units_of_all_features_change_only_one_factor(name, seed, unit, kind):
    mixture = random_mixture(seed, 8, 2, kind, spread=1.5)
    scaled = mapped(mixture, unit * np.eye(2), 3.0)
    before, after = (matrix_of(name, Pool.of(m)) for m in (mixture, scaled))
    factor = {"bures-wasserstein": unit**2, "integrated-squared-error": unit**-2}.get(name, 1.0)
    np.testing.assert_allclose(after, factor * before, rtol=1e-7, atol=1e-10 * after.max())
    for search in ("greedy", "kmeans-euclidean"):
        reduced = (reduce(m, 3, criterion=name, search=search) for m in (mixture, scaled))
        small, large = reduced
        np.testing.assert_allclose(large.weights, small.weights, rtol=1e-9)


@pytest.mark.parametrize("name", AFFINE)
@given(seed=seeds)
def test_an_affine_map_changes_only_one_factor(name, seed):
    mixture, A = random_mixture(seed, 6, 2, spread=1.5), np.array([[1.5, 0.4], [-0.2, 0.7]])
    order = np.argsort(mixture.weights)
    full = matrix_of_listed(name, mixture.picked(order.tolist()))
    turned = matrix_of_listed(name, mapped(mixture.picked(order.tolist()), A, -1.0))
    factor = 1 / abs(np.linalg.det(A)) if name == "integrated-squared-error" else 1.0
    np.testing.assert_allclose(turned, factor * full, rtol=1e-7, atol=1e-11)


def matrix_of_listed(name: str, mixture: Mixture) -> np.ndarray:
    """Costs in the order given, not the pool's."""
    alive = np.ones(mixture.n_components, np.bool_)
    arrays = (mixture.weights, mixture.means, mixture.covariances, mixture.whiteners, alive)
    return matrix_of(name, Pool(mixture.kind, *arrays))


@given(seeds)
def test_runnalls_bounds_the_loss_of_a_merge(seed):
    mixture = random_mixture(seed, 4, 1, spread=2.0)
    pool = Pool.of(mixture)
    listed = pool.mixture()
    bound = CRITERIA["runnalls"](pool, 0)[1]
    merged = merge_pair(listed, 0, 1)
    x = np.linspace(-25, 25, 20_001)[:, None]
    log_p, log_q = listed.log_prob(x), merged.log_prob(x)
    loss = float((np.exp(log_p) * (log_p - log_q)).sum() * (x[1, 0] - x[0, 0]))
    assert loss <= bound + 1e-9
