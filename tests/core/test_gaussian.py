"""The log-density and the kinds of covariance, against slow oracles."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds
from scipy import stats

from gmm_core.covariances.cholesky import cholesky, inverse_cholesky
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import KINDS as TABLE
from gmm_core.gaussian import CovarianceType, kind_of, log_density, log_normalise
from gmm_core.mixture import Mixture


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


SINGULAR = {
    "full": [np.eye(2), [[1.0, 1.0], [1.0, 1.0]]],
    "tied": [[1.0, 1.0], [1.0, 1.0]],
    "diag": [[1.0, 1.0], [1.0, 0.0]],
    "spherical": [1.0, 0.0],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_singular_covariance_is_named_with_a_remedy(kind):
    component = 0 if kind == "tied" else 1
    with pytest.raises(InvalidInput, match=rf"component {component} .*regularisation"):
        kind_of(kind).whiteners(np.array(SINGULAR[kind]), 2, 2)


def test_an_unknown_kind_is_refused_with_those_that_exist():
    with pytest.raises(InvalidInput, match=r"'banana'.*full, tied, diag, spherical"):
        kind_of("banana")


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_condition_numbers_are_eigenvalue_ratios(seed, k, d):
    for kind in KINDS:
        mixture = random_mixture(seed, k, d, kind)
        want = [np.linalg.cond(full) for full in mixture.full_covariances()]
        np.testing.assert_allclose(mixture.condition_numbers(), want, rtol=1e-8)


def test_the_condition_number_of_a_flat_covariance_is_infinite():
    flat = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert TABLE["full"].condition_numbers(flat[None], 1, 2)[0] > 1e15
    assert (TABLE["tied"].condition_numbers(flat, 3, 2) > 1e15).tolist() == [True] * 3
    assert TABLE["diag"].condition_numbers(np.array([[1.0, 0.0]]), 1, 2)[0] == np.inf
    assert TABLE["spherical"].condition_numbers(np.array([2.0, 0.0]), 2, 2).tolist() == [1, np.inf]


def test_the_table_holds_every_type_by_its_name():
    assert tuple(TABLE) == KINDS == get_args(CovarianceType)
    assert [kind.name for kind in TABLE.values()] == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_every_kind_says_the_same_of_one_covariance_in_every_way(name):
    kind, k, d = TABLE[name], 3, 4
    mixture = random_mixture(9, k, d, name)
    covariances = mixture.covariances
    full = kind.full(covariances, k, d)
    assert full.shape == (k, d, d)
    assert covariances.shape == kind.shape(k, d)
    np.testing.assert_array_equal(kind.variances(covariances, k, d), np.einsum("kii->ki", full))
    np.testing.assert_array_equal(kind.of_full(full, mixture.weights), covariances)
    added = np.full(d, 2.0) if kind.isotropic else np.arange(d) + 1.0
    np.testing.assert_allclose(
        kind.full(kind.with_added(covariances, added), k, d), full + np.diag(added)
    )
    scale = np.full(d, 3.0) if kind.isotropic else np.array([1.0, 2.0, 3.0, 0.5])
    np.testing.assert_allclose(
        kind.full(kind.rescaled(covariances, scale), k, d), full * np.outer(scale, scale)
    )
    some, three = [2, 0], np.array([2, 2, 0])
    np.testing.assert_array_equal(
        kind.full(kind.marginal(covariances, some), k, 2), full[:, some][:, :, some]
    )
    np.testing.assert_array_equal(kind.full(kind.picked(covariances, three), 3, d), full[three])
    assert kind.asymmetry(covariances) == 0


@pytest.mark.parametrize("name", TABLE)
def test_whiteners_whiten(name):
    kind, k, d = TABLE[name], 3, 4
    covariances = random_mixture(9, k, d, name).covariances
    full, white = kind.full(covariances, k, d), kind.whiteners(covariances, k, d)
    assert white.shape == kind.scatter_shape(k, d)
    matrices = white if white.ndim == 3 else white[:, :, None] * np.eye(d)
    assert (np.triu(matrices, 1) == 0).all()
    want = np.broadcast_to(np.eye(d), (k, d, d))
    np.testing.assert_allclose(matrices @ full @ matrices.swapaxes(1, 2), want, atol=1e-12)
    delta = random_rows(9, k, d)
    want = [row @ np.linalg.inv(cov) @ row for row, cov in zip(delta, full, strict=True)]
    np.testing.assert_allclose(kind.squared_length(delta, white), want, rtol=1e-10)
    one = [row @ np.linalg.inv(full[1]) @ row for row in delta]
    np.testing.assert_allclose(kind.squared_length(delta, white[1]), one, rtol=1e-10)


def slow_covariances(X: np.ndarray, means: np.ndarray, weights: np.ndarray, name: str) -> list:
    """What maximises the likelihood, from the definition, as k full matrices."""
    (n, k), d = weights.shape, X.shape[1]
    scatters = [
        sum(weights[i, j] * np.outer(X[i] - means[j], X[i] - means[j]) for i in range(n))
        for j in range(k)
    ]
    own = [scatter / weights[:, j].sum() for j, scatter in enumerate(scatters)]
    return {
        "full": own,
        "tied": [sum(scatters) / weights.sum()] * k,
        "diag": [np.diag(np.diagonal(covariance)) for covariance in own],
        "spherical": [np.eye(d) * np.trace(covariance) / d for covariance in own],
    }[name]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TABLE)
def test_an_m_step_is_its_definition(name, dtype):
    kind, k, d = TABLE[name], 3, 4
    X, weights = random_rows(8, 20, d).astype(dtype), np.random.default_rng(8).random((20, k))
    means = random_mixture(9, k, d).means
    scatter = kind.scatter(X, means, weights)
    assert scatter.shape == kind.scatter_shape(k, d)
    assert scatter.dtype == np.float64
    covariances = kind.from_scatter(scatter, weights.sum(axis=0))
    assert covariances.shape == kind.shape(k, d)
    want = slow_covariances(X.astype(np.float64), means, weights, name)
    np.testing.assert_allclose(kind.full(covariances, k, d), want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TABLE)
def test_of_full_keeps_what_its_type_can(name):
    kind, k, d = TABLE[name], 3, 4
    mixture = random_mixture(5, k, d)
    full, weights = mixture.covariances, mixture.weights
    got = kind.full(kind.of_full(full, weights), k, d)
    want = {
        "full": full,
        "tied": [np.average(full, axis=0, weights=weights)] * k,
        "diag": [np.diag(np.diagonal(one)) for one in full],
        "spherical": [np.eye(d) * np.trace(one) / d for one in full],
    }[name]
    np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 1), (1, 4), (5, 3)])
def test_free_parameters_are_counted_as_scikit_learn_does(name, k, d):
    from sklearn.mixture import GaussianMixture

    peer = GaussianMixture(k, covariance_type=name)
    peer.means_ = np.zeros((k, d))
    assert TABLE[name].parameters(k, d) == peer._n_parameters() - k * d - (k - 1)


def test_stored_values_are_those_of_one_component():
    assert [kind.stored(4) for kind in TABLE.values()] == [10, 10, 4, 1]


def test_spherical_covariances_cannot_be_scaled_unequally():
    with pytest.raises(InvalidInput, match=r"\[1.0, 2.0\].*diag"):
        TABLE["spherical"].rescaled(np.array([1.0]), np.array([1.0, 2.0]))
    assert [kind.isotropic for kind in TABLE.values()] == [False, False, False, True]


@pytest.mark.parametrize("name", ["tied", "spherical"])
def test_averages_of_equal_values_are_these_to_the_last_bit(name):
    # Added up and divided, seven times 0.1 is a little less than 0.1.
    weights = np.array([0.3, 0.3, 0.4]) if name == "spherical" else np.full(7, 1 / 7)
    mixture = Mixture(weights, np.zeros((len(weights), 7)), np.full((len(weights), 7), 0.1), "diag")
    shared = mixture.as_type("full").as_type(name).full_covariances()
    assert set(shared.diagonal(axis1=1, axis2=2).ravel()) == {0.1}


def test_log_normalise_survives_what_exp_does_not():
    total, shares = log_normalise(np.array([[-1e6, -1e6 + 1], [800.0, 0.0], [-1e300, -1e300]]))
    np.testing.assert_allclose(total, [-1e6 + 1 + math.log1p(math.exp(-1)), 800.0, -1e300])
    np.testing.assert_allclose(np.exp(shares).sum(axis=1), 1, atol=1e-15)
