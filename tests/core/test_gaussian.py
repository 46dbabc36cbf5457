"""The log-density and the kinds of covariance, against slow oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds
from scipy import stats

from gmm_core.cholesky import cholesky, inverse_cholesky
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import KINDS as TABLE
from gmm_core.gaussian import kind_of, log_density, log_normalise


def slow_log_density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    delta = x - mean
    squared = delta @ np.linalg.inv(covariance) @ delta
    return -0.5 * (len(x) * math.log(2 * math.pi) + math.log(np.linalg.det(covariance)) + squared)


@given(seeds, st.integers(1, 4), st.integers(1, 5), kinds)
def test_log_density_is_the_formula(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    X = random_rows(seed, 6, d)
    got = log_density(X, mixture.means, mixture.covariances, kind)
    full = mixture.full_covariances()
    want = [[slow_log_density(x, mixture.means[j], full[j]) for j in range(k)] for x in X]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_log_density_is_scipys():
    mixture = random_mixture(1, 3, 4)
    X = random_rows(2, 50, 4)
    got = log_density(X, mixture.means, mixture.covariances, "full")
    for j in range(3):
        peer = stats.multivariate_normal(mixture.means[j], mixture.covariances[j])
        np.testing.assert_allclose(got[:, j], peer.logpdf(X), rtol=1e-11)


@given(seeds, st.integers(1, 6))
def test_the_factors_factorise(seed, d):
    covariances = random_mixture(seed, 3, d).covariances
    lower, white = cholesky(covariances), inverse_cholesky(covariances)
    np.testing.assert_allclose(lower @ lower.transpose(0, 2, 1), covariances, atol=1e-12)
    np.testing.assert_allclose(white @ lower, np.broadcast_to(np.eye(d), (3, d, d)), atol=1e-10)
    assert (np.triu(white, 1) == 0).all()


def test_wild_units_cost_no_digits():
    # The same Gaussian with feature i measured in units of 10^units[i].
    units = 10.0 ** np.array([-9, 0, 9, 30])
    covariance = random_mixture(4, 1, 4).covariances
    X = random_rows(4, 20, 4, groups=1)
    plain = log_density(X, np.zeros((1, 4)), covariance, "full")
    scaled = log_density(X * units, np.zeros((1, 4)), covariance * np.outer(units, units), "full")
    np.testing.assert_allclose(scaled + np.log(units).sum(), plain, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_singular_covariance_is_named_with_a_remedy(kind):
    covariances = np.array([np.eye(2), [[1.0, 1.0], [1.0, 1.0]]])
    if kind == "diag":
        covariances = np.array([[1.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InvalidInput, match=r"component 1 .*regularisation"):
        kind_of(kind).whiteners(covariances)


def test_an_unknown_kind_is_refused_with_those_that_exist():
    with pytest.raises(InvalidInput, match=r"'banana'.*full, diag"):
        kind_of("banana")


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_condition_numbers_are_eigenvalue_ratios(seed, k, d):
    for kind in KINDS:
        mixture = random_mixture(seed, k, d, kind)
        want = [np.linalg.cond(full) for full in mixture.full_covariances()]
        np.testing.assert_allclose(mixture.condition_numbers(), want, rtol=1e-8)


def test_the_condition_number_of_a_flat_covariance_is_infinite():
    assert TABLE["full"].condition_numbers(np.array([[[1.0, 1.0], [1.0, 1.0]]]))[0] > 1e15
    assert TABLE["diag"].condition_numbers(np.array([[1.0, 0.0]]))[0] == np.inf


@pytest.mark.parametrize("name", TABLE)
def test_every_kind_is_consistent(name):
    """What a kind says about the same covariances in different ways must agree."""
    kind, k, d = TABLE[name], 3, 4
    mixture = random_mixture(9, k, d, name)
    covariances = mixture.covariances
    full = kind.full(covariances)
    assert covariances.shape == kind.shape(k, d)
    assert kind.name == name
    np.testing.assert_array_equal(kind.variances(covariances), np.einsum("kii->ki", full))
    np.testing.assert_array_equal(kind.of_full(full), covariances)
    added = kind.full(kind.with_added(covariances, np.arange(d) + 1.0))
    np.testing.assert_allclose(added, full + np.diag(np.arange(d) + 1.0))
    scale = np.array([1.0, 2.0, 3.0, 0.5])
    np.testing.assert_allclose(
        kind.full(kind.rescaled(covariances, scale)), full * np.outer(scale, scale)
    )
    white = kind.whiteners(covariances)
    delta = random_rows(9, k, d)
    want = [row @ np.linalg.inv(cov) @ row for row, cov in zip(delta, full, strict=True)]
    np.testing.assert_allclose(kind.squared_length(delta, white), want, rtol=1e-10)
    one = [row @ np.linalg.inv(full[1]) @ row for row in delta]
    np.testing.assert_allclose(kind.squared_length(delta, white[1]), one, rtol=1e-10)
    X, weights = random_rows(8, 20, d), np.random.default_rng(8).random((20, k))
    scatter = kind.scatter(X, mixture.means, weights)
    covariance = kind.full(kind.from_scatter(scatter, weights.sum(axis=0)))
    for j in range(k):
        centred = X - mixture.means[j]
        want = np.einsum("n,ni,nj->ij", weights[:, j], centred, centred) / weights[:, j].sum()
        want = want if name == "full" else np.diag(np.diagonal(want))
        np.testing.assert_allclose(covariance[j], want, rtol=1e-10, atol=1e-12)


def test_log_normalise_survives_what_exp_does_not():
    total, shares = log_normalise(np.array([[-1e6, -1e6 + 1], [800.0, 0.0], [-1e300, -1e300]]))
    np.testing.assert_allclose(total, [-1e6 + 1 + math.log1p(math.exp(-1)), 800.0, -1e300])
    np.testing.assert_allclose(np.exp(shares).sum(axis=1), 1, atol=1e-15)
