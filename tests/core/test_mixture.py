"""Laws of the Mixture value."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, permuted, random_mixture, random_rows, seeds
from scipy import special

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import log_density
from gmm_core.mixture import Mixture

ks, ds = st.integers(1, 5), st.integers(1, 4)


@given(seeds, ks, ds, kinds)
def test_log_prob_is_the_weighted_sum_of_densities(seed, k, d, kind):
    mixture, X = random_mixture(seed, k, d, kind), random_rows(seed, 20, d)
    densities = log_density(X, mixture.means, mixture.covariances, kind)
    want = special.logsumexp(densities, axis=1, b=mixture.weights)
    np.testing.assert_allclose(mixture.log_prob(X), want, rtol=1e-12)


@given(seeds, ks, ds, kinds)
def test_responsibilities_sum_to_one_and_point_at_the_component(seed, k, d, kind):
    mixture, X = random_mixture(seed, k, d, kind), random_rows(seed, 20, d)
    shares = mixture.responsibilities(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-13)
    np.testing.assert_array_equal(shares.argmax(axis=1), mixture.component(X))
    np.testing.assert_allclose(np.log(shares), mixture.log_responsibilities(X), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", [1e6, 1e12, 1e100, 1e200])
def test_a_far_outlier_has_a_finite_density_and_a_component(kind, distance):
    mixture = random_mixture(1, 3, 2, kind)
    X = np.array([[distance, -distance]])
    assert np.isfinite(mixture.log_prob(X)).all()
    shares = mixture.responsibilities(X)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    if distance <= 1e100:  # the widest component in that direction takes it
        squared = [
            X[0] @ np.linalg.inv(covariance) @ X[0] for covariance in mixture.full_covariances()
        ]
        assert mixture.component(X)[0] == np.argmin(squared)


@given(seeds, ks, ds)
def test_an_affine_map_of_rows_and_mixture_moves_the_density_by_its_volume(seed, k, d):
    mixture, X = random_mixture(seed, k, d), random_rows(seed, 10, d)
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(d, d)) + 3 * np.eye(d), rng.normal(size=d)
    covariances = A @ mixture.covariances @ A.T
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    mapped = Mixture(mixture.weights, mixture.means @ A.T + b, covariances)
    want = mixture.log_prob(X) - np.linalg.slogdet(A)[1]
    np.testing.assert_allclose(mapped.log_prob(X @ A.T + b), want, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(mapped.mean(), A @ mixture.mean() + b, atol=1e-10)
    np.testing.assert_allclose(mapped.covariance(), A @ mixture.covariance() @ A.T, rtol=1e-8)


@given(seeds, ks, ds, kinds)
def test_the_order_of_components_does_not_matter(seed, k, d, kind):
    mixture, X = random_mixture(seed, k, d, kind), random_rows(seed, 10, d)
    other = permuted(mixture, seed)
    np.testing.assert_allclose(other.log_prob(X), mixture.log_prob(X), rtol=1e-12)
    np.testing.assert_allclose(other.mean(), mixture.mean(), atol=1e-12)
    np.testing.assert_allclose(other.covariance(), mixture.covariance(), rtol=1e-10, atol=1e-12)


@given(seeds, ks, ds, kinds)
def test_mean_and_covariance_are_the_definition(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    mean = sum(w * m for w, m in zip(mixture.weights, mixture.means, strict=True))
    covariance = np.zeros((d, d))
    parts = zip(mixture.weights, mixture.means, mixture.full_covariances(), strict=True)
    for weight, centre, within in parts:
        covariance += weight * (within + np.outer(centre - mean, centre - mean))
    np.testing.assert_allclose(mixture.mean(), mean, atol=1e-12)
    np.testing.assert_allclose(mixture.covariance(), covariance, rtol=1e-11, atol=1e-12)


def test_a_far_offset_costs_the_covariance_nothing():
    mixture = random_mixture(2, 4, 3)
    far = Mixture(mixture.weights, mixture.means + 2.0**30, mixture.covariances)
    np.testing.assert_allclose(far.covariance(), mixture.covariance(), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_mixtures_moments(kind):
    mixture = random_mixture(7, 3, 2, kind)
    X = mixture.sample(200_000, seed=1)
    np.testing.assert_allclose(X.mean(axis=0), mixture.mean(), atol=0.05)
    np.testing.assert_allclose(np.cov(X.T), mixture.covariance(), atol=0.3, rtol=0.02)
    shares = np.bincount(mixture.component(X), minlength=3) / len(X)
    np.testing.assert_allclose(shares, mixture.responsibilities(X).mean(axis=0), atol=0.1)
    np.testing.assert_allclose(mixture.responsibilities(X).mean(axis=0), mixture.weights, atol=0.01)


def test_a_seed_decides_the_sample():
    mixture = random_mixture(7, 3, 2)
    np.testing.assert_array_equal(mixture.sample(50, seed=3), mixture.sample(50, seed=3))
    assert not np.array_equal(mixture.sample(50, seed=3), mixture.sample(50, seed=4))
    assert mixture.sample(0).shape == (0, 2)


def test_samples_come_in_random_order():
    far = Mixture([0.5, 0.5], [[0.0], [100.0]], [[1.0], [1.0]], "diag")
    changes = np.count_nonzero(np.diff(far.component(far.sample(1_000, seed=1))))
    assert 400 < changes < 600


@given(seeds, ks, ds, kinds)
def test_equality_and_hash_go_by_content(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    same = random_mixture(seed, k, d, kind)
    assert mixture == same
    assert hash(mixture) == hash(same)
    assert len({mixture, same}) == 1
    moved = Mixture(mixture.weights, mixture.means + 1e-12, mixture.covariances, kind)
    assert moved != mixture
    assert mixture != "a mixture"


def test_the_hash_is_the_same_in_every_process_and_version():
    mixture = Mixture([0.25, 0.75], [[-1.0], [2.0]], [[[1.0]], [[0.5]]])
    assert mixture.content_hash()[:16] == "eca84f7bf157adf1"


def test_to_full_nothing_is_lost_and_to_diag_the_variances_stay():
    full, diag = random_mixture(1, 3, 2), random_mixture(1, 3, 2, "diag")
    X = random_rows(1, 20, 2)
    np.testing.assert_allclose(diag.as_type("full").log_prob(X), diag.log_prob(X), rtol=1e-12)
    assert diag.as_type("full").as_type("diag") == diag
    assert full.as_type("full") is full
    np.testing.assert_array_equal(
        full.as_type("diag").standard_deviations(), full.standard_deviations()
    )


def test_minus_zero_is_zero():
    a = Mixture([1.0], [[0.0]], [[1.0]], "diag")
    b = Mixture([1.0], [[-0.0]], [[1.0]], "diag")
    assert a == b
    assert hash(a) == hash(b)


def test_full_and_diag_of_one_density_are_not_the_same_value():
    full = Mixture([1.0], [[0.0]], [[[1.0]]], "full")
    assert full != Mixture([1.0], [[0.0]], [[1.0]], "diag")


def test_a_mixture_is_read_only_also_after_a_journey():
    mixture = random_mixture(1, 2, 2)
    travelled = pickle.loads(pickle.dumps(mixture))
    assert travelled == mixture
    for value in (mixture, travelled):
        for array in (value.weights, value.means, value.covariances):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    with pytest.raises(AttributeError):
        mixture.weights = mixture.weights


def test_a_mixture_does_not_share_memory_with_what_it_was_made_of():
    means = np.array([[1.0]])
    mixture = Mixture([1.0], means, [[[1.0]]])
    means[0] = 9
    assert mixture.means[0, 0] == 1


def test_the_repr_says_what_it_is():
    assert repr(random_mixture(1, 3, 2)).startswith("Mixture(3 components, 2 features, full, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), "sum to one"),
        (([1.0, 0.0], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), "above 0"),
        (([1.0], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), r"weights has the wrong shape.*\(2\)"),
        (([1.0], [[np.nan]], [[1.0]], "diag"), "means holds NaN"),
        (([1.0], [[0.0]], [[0.0]], "diag"), "component 0 is not positive"),
        (([1.0], [[0.0]], [[1.0]], "full"), "covariances has the wrong shape"),
        (([1.0], [[0.0]], [[1.0]], "round"), "unknown covariance_type"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]], "full"), "not symmetric"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]], "full"), "not positive definite"),
        (([], np.empty((0, 1)), np.empty((0, 1)), "diag"), "needs components"),
        ((["a"], [[0.0]], [[1.0]], "diag"), "not an array of numbers"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Mixture(*arguments)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 2.0]], "wrong number of features"),
        ([1.0], "two-dimensional"),
        ([[np.inf]], "NaN or infinite"),
        ([["a"]], "not numbers"),
    ],
)
def test_rows_that_are_refused(X, message):
    with pytest.raises(InvalidInput, match=message):
        random_mixture(1, 2, 1).log_prob(X)
