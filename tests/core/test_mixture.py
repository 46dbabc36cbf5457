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
    inverses = np.linalg.inv(mixture.full_covariances())
    if kind == "tied":  # all are as wide: the one that lies farthest in that direction takes it
        if distance <= 1e12:
            assert mixture.component(X)[0] == np.argmax(mixture.means @ inverses[0] @ X[0])
    elif distance <= 1e100:  # the widest component in that direction takes it
        squared = [X[0] @ inverse @ X[0] for inverse in inverses]
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
    assert len({mixture.as_type(other) for other in KINDS}) == len(KINDS)
    assert mixture != "a mixture"


def test_the_hash_is_the_same_in_every_process_and_version():
    mixture = Mixture([0.25, 0.75], [[-1.0], [2.0]], [[[1.0]], [[0.5]]])
    assert mixture.content_hash()[:16] == "eca84f7bf157adf1"


def test_the_hash_is_the_one_of_files_already_written():
    diag = Mixture([0.25, 0.75], [[-1.0], [2.0]], [[1.0], [0.5]], "diag")
    assert diag.content_hash()[:16] == "af1c19f76b1c623e"


@given(seeds, ks, ds, kinds)
def test_a_mixture_and_its_full_equivalent_are_one_density(seed, k, d, kind):
    mixture, X = random_mixture(seed, k, d, kind), random_rows(seed, 20, d)
    full = mixture.as_type("full")
    assert full.covariance_type == "full"
    np.testing.assert_allclose(full.log_prob(X), mixture.log_prob(X), rtol=1e-11)
    np.testing.assert_allclose(full.mean(), mixture.mean(), atol=1e-12)
    np.testing.assert_allclose(full.covariance(), mixture.covariance(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(full.standard_deviations(), mixture.standard_deviations())
    np.testing.assert_array_equal(full.sample(9, seed=1), mixture.sample(9, seed=1))
    assert full.as_type(kind) == mixture
    assert full.as_type("full") is full


@given(seeds, ks, ds)
def test_each_type_keeps_what_it_can_of_the_covariance(seed, k, d):
    full = random_mixture(seed, k, d)
    want = full.covariance()
    np.testing.assert_allclose(full.as_type("tied").covariance(), want, rtol=1e-11, atol=1e-12)
    variances = np.diagonal(full.as_type("diag").covariance())
    np.testing.assert_allclose(variances, np.diagonal(want), rtol=1e-12)
    total = np.trace(full.as_type("spherical").covariance())
    np.testing.assert_allclose(total, np.trace(want), rtol=1e-12)
    for kind in KINDS:
        np.testing.assert_allclose(full.as_type(kind).mean(), full.mean(), atol=1e-12)


def test_picked_components_share_the_weight_anew():
    for kind in KINDS:
        mixture = random_mixture(1, 4, 2, kind)
        picked = mixture.picked([3, 1])
        np.testing.assert_allclose(
            picked.weights, mixture.weights[[3, 1]] / mixture.weights[[3, 1]].sum()
        )
        np.testing.assert_array_equal(picked.means, mixture.means[[3, 1]])
        np.testing.assert_array_equal(picked.full_covariances(), mixture.full_covariances()[[3, 1]])


def test_minus_zero_is_zero():
    a = Mixture([1.0], [[0.0]], [[1.0]], "diag")
    b = Mixture([1.0], [[-0.0]], [[1.0]], "diag")
    assert a == b
    assert hash(a) == hash(b)


def test_full_and_diag_of_one_density_are_not_the_same_value():
    full = Mixture([1.0], [[0.0]], [[[1.0]]], "full")
    assert full != Mixture([1.0], [[0.0]], [[1.0]], "diag")


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_is_read_only_also_after_a_journey(kind):
    mixture = random_mixture(1, 2, 2, kind)
    travelled = pickle.loads(pickle.dumps(mixture))
    assert travelled == mixture
    for value in (mixture, travelled):
        derived = (value.whiteners, value.full_covariances())
        for array in (value.weights, value.means, value.covariances, *derived):
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
    mixture = Mixture(
        [0.125, 0.875], [[-1.0, 12345.678], [0.5, 2.0]], [[4.0, 1.0], [1e-6, 9.0]], "diag"
    )
    assert repr(mixture).splitlines() == [
        f"Mixture(2 components, 2 features, diag, {mixture.content_hash()[:8]})",
        "  0  weight 0.125  mean (-1, 1.235e+04)  sd (2, 1)",
        "  1  weight 0.875  mean (0.5, 2)         sd (0.001, 3)",
    ]


def test_a_long_repr_is_cut():
    lines = repr(random_mixture(1, 11, 7, "tied")).splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("Mixture(11 components, 7 features, tied, ")
    assert lines[-1] == "  ... and 3 more"
    assert all(line.count(",") == 12 and line.count("…)") == 2 for line in lines[1:-1])
    assert max(map(len, lines)) < 180
    eight = repr(random_mixture(1, 8, 6)).splitlines()
    assert len(eight) == 9
    assert "…" not in "".join(eight)


@given(seeds, ks, ds, kinds)
def test_effective_sample_sizes_are_kishs(seed, k, d, kind):
    mixture, X = random_mixture(seed, k, d, kind), random_rows(seed, 20, d)
    weight = np.random.default_rng(seed).exponential(size=20)
    shares = mixture.responsibilities(X) * weight[:, None]
    want = [sum(column) ** 2 / sum(column**2) for column in shares.T]
    np.testing.assert_allclose(mixture.effective_sample_sizes(X, weight), want, rtol=1e-10)
    sizes = mixture.effective_sample_sizes(X)
    np.testing.assert_allclose(sizes, mixture.effective_sample_sizes(X, np.full(20, 1e-3)))
    assert ((sizes >= 1 - 1e-12) & (sizes <= 20 + 1e-9)).all()


def test_effective_sample_sizes_of_the_hardly_and_the_never_responsible():
    pair = Mixture([0.5, 0.5], [[0.0], [40.0]], [1.0, 1.0], "spherical")
    # Three rows that leave the second component a share of about exp(-720) each.
    np.testing.assert_allclose(pair.effective_sample_sizes([[2.0]] * 3), [3.0, 3.0])
    assert pair.effective_sample_sizes([[-900.0]] * 3).tolist() == [3.0, 0.0]
    assert pair.effective_sample_sizes(np.empty((0, 1))).tolist() == [0.0, 0.0]
    with pytest.raises(InvalidInput, match="sample_weight"):
        pair.effective_sample_sizes([[1.0]], [-1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), "sum to one: got 1.1.*Divide them"),
        (([1.0], [[0.0]], [1.0], "tied"), r"covariances has the wrong shape.*\(1, 1\)"),
        (([1.0], [[0.0]], [[1.0]], "spherical"), r"covariances has the wrong shape.*\(1\)"),
        (([1.0], [[0.0]], [0.0], "spherical"), "component 0 is not positive"),
        (([1.0], [[0.0, 0.0]], [[1.0, 0.5], [0.0, 1.0]], "tied"), "not symmetric"),
        (([1.0], [[0.0, 0.0]], [[1.0, 2.0], [2.0, 1.0]], "tied"), "not positive definite"),
        (([1.0, 0.0], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), "above 0"),
        (([1.0], [[0.0], [1.0]], [[1.0], [1.0]], "diag"), r"weights has the wrong shape.*\(2\)"),
        (
            ([1.0], [[np.nan]], [[1.0]], "diag"),
            "means holds 1 NaN or infinite values, the first at index",
        ),
        (([1.0], [[0.0]], [[0.0]], "diag"), "component 0 is not positive"),
        (([1.0], [[0.0]], [[1.0]], "full"), "covariances has the wrong shape"),
        (([1.0], [[0.0]], [[1.0]], "round"), "unknown covariance_type"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]], "full"), "not symmetric"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]], "full"), "not positive definite"),
        (([], np.empty((0, 1)), np.empty((0, 1)), "diag"), "needs components"),
        ((["a"], [[0.0]], [[1.0]], "diag"), "not an array of numbers"),
        (([0.5, 0.5], [0, 4], [1, 1], "spherical"), r"means has the wrong shape.*\(k, d\)"),
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
