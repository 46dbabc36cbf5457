"""Laws of expectation maximisation."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import OWN_KINDS, own_kinds, random_mixture, random_rows, seeds, start_for

from gmm_core.em import FitResult, FitStatus, fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments


def assert_moments_are_those_of(
    X: np.ndarray, result: FitResult, reg_covar: float = 0.0, weight: np.ndarray | None = None
) -> None:
    """The law that the M-step gives: mean and covariance of the mixture are those of the rows."""
    mixture, moments = result.mixture, Moments.of(X, weight)
    sd = np.sqrt(np.diagonal(moments.covariance))
    rounding = 1e-10 + 1e-14 * np.abs(moments.mean / sd).max()
    assert (np.abs(mixture.mean() - moments.mean) / sd).max() < rounding
    difference = mixture.covariance() - reg_covar * np.eye(X.shape[1]) - moments.covariance
    if mixture.covariance_type == "diag":
        difference = np.diag(np.diagonal(difference))
    assert (np.abs(difference) / np.outer(sd, sd)).max() < 10 * rounding


def assert_same_mixture(a: Mixture, b: Mixture, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(a.weights, b.weights, rtol=rtol, atol=atol)
    np.testing.assert_allclose(a.means, b.means, rtol=rtol, atol=atol)
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=rtol, atol=atol)


@given(seeds, st.integers(1, 4), st.integers(1, 3), own_kinds)
def test_the_log_likelihood_never_falls(seed, k, d, kind):
    X = random_rows(seed, 150, d)
    result = fit(X, k, covariance_type=kind, reg_covar=0, tol=0, max_iter=25, seed=seed)
    assert len(result.trace) == result.iterations
    assert (np.diff(result.trace) >= -1e-12 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, st.integers(2, 5), own_kinds, st.sampled_from([1e-3, 0.1, 1.0]))
def test_a_step_that_loses_by_the_added_variance_is_not_kept(seed, k, kind, reg):
    X = random_rows(seed, 100, 2)
    result = fit(X, k, covariance_type=kind, reg_covar=reg, tol=1e-9, max_iter=400, seed=seed)
    assert (np.diff(result.trace) >= 0).all()
    assert result.converged


@given(
    seeds,
    st.integers(1, 5),
    st.integers(1, 3),
    own_kinds,
    st.sampled_from([0.0, 1e-3, 0.5]),
    st.booleans(),
    st.integers(1, 20),
)
def test_mean_and_covariance_are_those_of_the_rows(seed, k, d, kind, reg, weighted, max_iter):
    X = random_rows(seed, 120, d)
    weight = np.random.default_rng(seed).random(120) * 5 if weighted else None
    result = fit(
        X,
        k,
        covariance_type=kind,
        reg_covar=reg,
        max_iter=max_iter,
        seed=seed,
        sample_weight=weight,
    )
    assert_moments_are_those_of(X, result, reg, weight)


@given(seeds, st.integers(1, 4), own_kinds, st.sampled_from([1e-6, 1e-2]), st.integers(1, 60))
def test_the_log_likelihood_is_that_of_the_mixture_returned(seed, k, kind, reg, max_iter):
    X = random_rows(seed, 100, 2)
    weight = np.random.default_rng(seed).random(100) + 0.1
    result = fit(
        X,
        k,
        covariance_type=kind,
        reg_covar=reg,
        max_iter=max_iter,
        seed=seed,
        sample_weight=weight,
    )
    own = np.average(result.mixture.log_prob(X), weights=weight)
    assert result.log_likelihood == pytest.approx(own, abs=1e-10)
    assert result.trace[-1] == result.log_likelihood


@given(seeds, own_kinds, st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, kind, unit, offset):
    X = random_rows(seed, 120, 2)
    scale = np.array([unit, 1.0])
    here = fit(X, 3, covariance_type=kind, reg_covar=1e-3, seed=seed, max_iter=15, tol=0)
    there = fit(
        X * scale + offset,
        3,
        covariance_type=kind,
        reg_covar=1e-3 * scale**2,
        seed=seed,
        max_iter=15,
        tol=0,
    )
    both = np.outer(scale, scale) if kind == "full" else scale**2
    # Adding the offset rounds the rows themselves, the more the smaller the unit.
    atol = 1e-8 + 1e-12 * abs(offset) / unit
    back = Mixture(
        there.mixture.weights,
        (there.mixture.means - offset) / scale,
        there.mixture.covariances / both,
        kind,
    )
    assert_same_mixture(back, here.mixture, atol=atol)
    assert there.log_likelihood == pytest.approx(here.log_likelihood - np.log(unit), abs=10 * atol)


@given(seeds, own_kinds)
def test_the_order_of_rows_does_not_matter_for_a_given_start(seed, kind):
    X = random_rows(seed, 100, 2)
    start = start_for(X, 3, kind, seed)
    order = np.random.default_rng(seed).permutation(100)
    settings_ = {"covariance_type": kind, "start": start, "max_iter": 8, "tol": 0}
    assert_same_mixture(fit(X, 3, **settings_).mixture, fit(X[order], 3, **settings_).mixture)


@given(seeds)
def test_the_order_of_the_starts_components_is_kept(seed):
    X = random_rows(seed, 100, 2)
    start = start_for(X, 3, "full", seed)
    order = [2, 0, 1]
    turned = Mixture(start.weights[order], start.means[order], start.covariances[order])
    a = fit(X, 3, start=start, max_iter=5, tol=0).mixture
    b = fit(X, 3, start=turned, max_iter=5, tol=0).mixture
    turned_back = Mixture(a.weights[order], a.means[order], a.covariances[order])
    assert_same_mixture(turned_back, b)


@given(seeds, own_kinds)
def test_an_affine_map_of_rows_and_start_maps_the_fit(seed, kind):
    X = random_rows(seed, 100, 2)
    start = start_for(X, 2, kind, seed)
    # Every invertible map for full covariances; for diagonal ones those that keep the axes.
    A = np.array([[2.0, 0.7], [-0.3, 0.5]]) if kind == "full" else np.diag([2.0, -0.5])
    full = A @ start.full_covariances() @ A.T
    full = (full + full.transpose(0, 2, 1)) / 2
    mapped = full if kind == "full" else np.einsum("kii->ki", full)
    there = Mixture(start.weights, start.means @ A.T, mapped, kind)
    a = fit(X, 2, covariance_type=kind, start=start, reg_covar=0, max_iter=6, tol=0).mixture
    b = fit(X @ A.T, 2, covariance_type=kind, start=there, reg_covar=0, max_iter=6, tol=0).mixture
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-7)
    np.testing.assert_allclose(b.means, a.means @ A.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        b.full_covariances(), A @ a.full_covariances() @ A.T, rtol=1e-6, atol=1e-8
    )


@given(seeds, own_kinds)
def test_a_weight_counts_rows_and_zero_none(seed, kind):
    X = random_rows(seed, 60, 2)
    start = start_for(X, 2, kind, seed)
    times = np.random.default_rng(seed).integers(0, 4, 60)
    times[:3] = 1
    weighted = fit(X, 2, covariance_type=kind, start=start, sample_weight=times, max_iter=10, tol=0)
    repeated = fit(
        np.repeat(X, times, axis=0), 2, covariance_type=kind, start=start, max_iter=10, tol=0
    )
    assert_same_mixture(weighted.mixture, repeated.mixture)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-10)
    for factor in (1e6, 1e-6):
        other = fit(
            X,
            2,
            covariance_type=kind,
            start=start,
            sample_weight=times * factor,
            max_iter=10,
            tol=0,
        )
        assert_same_mixture(other.mixture, weighted.mixture)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_a_far_offset_does_no_harm(kind):
    X = random_rows(4, 2_000, 2)
    near = fit(X, 3, covariance_type=kind, reg_covar=0, seed=1)
    far = fit(X + 1e8, 3, covariance_type=kind, reg_covar=0, seed=1)
    assert_moments_are_those_of(X + 1e8, far)
    # The rows themselves are rounded to 1.5e-8 there.
    np.testing.assert_allclose(
        far.mixture.covariances, near.mixture.covariances, rtol=1e-5, atol=1e-6
    )
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_chunks_do_not_matter(kind, monkeypatch):
    X = random_rows(6, 500, 2)
    whole = fit(X, 3, covariance_type=kind, seed=2)
    monkeypatch.setattr("gmm_core.rows.CHUNK", 17)
    assert_same_mixture(fit(X, 3, covariance_type=kind, seed=2).mixture, whole.mixture)


def test_float32_rows_are_taken_as_they_are():
    X = random_rows(6, 500, 2).astype(np.float32)
    assert_same_mixture(fit(X, 3).mixture, fit(X.astype(np.float64), 3).mixture)


def test_memory_is_that_of_a_chunk_not_of_rows_times_components(monkeypatch):
    monkeypatch.setattr("gmm_core.rows.CHUNK", 1_024)
    n, k = 50_000, 40
    X = random_rows(1, n, 2)
    fit(
        X[:1_000], k, max_iter=1, kernel="compiled"
    )  # loading compiled code takes memory of its own
    tracemalloc.start()
    fit(X, k, max_iter=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * n * k * 8


def test_the_same_seed_gives_the_same_fit_and_another_another():
    X = random_rows(8, 300, 2, groups=6)
    a, b = fit(X, 5, seed=3, max_iter=3), fit(X, 5, seed=3, max_iter=3)
    assert a.mixture == b.mixture
    assert fit(X, 5, seed=4, max_iter=3).mixture != a.mixture


def test_more_starts_are_never_worse_and_the_first_stays_among_them():
    X = random_rows(9, 400, 2, groups=7)
    likelihoods = [fit(X, 6, seed=1, n_init=n, max_iter=100).log_likelihood for n in (1, 2, 4, 8)]
    assert likelihoods == sorted(likelihoods)
    assert likelihoods[0] < likelihoods[-1]
    assert fit(X, 6, seed=1, n_init=4).restarts == 4


def test_groups_far_apart_are_found():
    truth = Mixture(
        [0.2, 0.3, 0.5], [[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]], np.tile(np.eye(2), (3, 1, 1))
    )
    X = truth.sample(3_000, seed=5)
    result = fit(X, 3, n_init=2)
    assert result.status is FitStatus.CONVERGED
    assert result.converged
    order = np.argsort(result.mixture.means[:, 0])
    np.testing.assert_allclose(result.mixture.weights[order], truth.weights, atol=0.03)
    np.testing.assert_allclose(result.mixture.means[order], truth.means, atol=0.15)
    np.testing.assert_allclose(result.mixture.covariances[order], truth.covariances, atol=0.15)


def test_one_component_is_the_rows_own_gaussian():
    X = random_rows(2, 400, 3)
    mixture = fit(X, 1, reg_covar=0).mixture
    np.testing.assert_allclose(mixture.means[0], X.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(mixture.covariances[0], np.cov(X.T, ddof=0), rtol=1e-11)


def test_the_iteration_limit_is_told():
    X = random_rows(3, 300, 2)
    result = fit(X, 4, tol=0, max_iter=3)
    assert result.status is FitStatus.STOPPED
    assert not result.converged
    assert result.iterations == 3
    assert "limit" in result.status.value


def test_converged_means_that_the_last_gain_was_below_the_tolerance():
    result = fit(random_rows(3, 300, 2), 6, tol=1e-3, reg_covar=0)
    gains = np.diff(result.trace)
    assert len(gains) > 3
    assert gains[-1] < 1e-3
    assert (gains[:-1] >= 1e-3).all()


def test_a_warm_start_from_the_outcome_stays_there():
    X = random_rows(3, 300, 2)
    first = fit(X, 3, tol=1e-12, max_iter=2_000, reg_covar=0)
    again = fit(X, 3, start=first.mixture, reg_covar=0)
    assert again.iterations <= 2
    assert again.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-9)


def test_interrupted_and_resumed_is_uninterrupted():
    X = random_rows(3, 300, 2)
    start = start_for(X, 3, "full", 1)
    whole = fit(X, 3, start=start, max_iter=10, tol=0)
    half = fit(X, 3, start=start, max_iter=4, tol=0)
    rest = fit(X, 3, start=half.mixture, max_iter=6, tol=0)
    assert_same_mixture(rest.mixture, whole.mixture, rtol=1e-9)


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("max_iter", [1, 2, 50])
@pytest.mark.parametrize("lost", [1, 2])
def test_empty_components_are_placed_anew_and_the_law_still_holds(kind, max_iter, lost):
    X = random_rows(5, 300, 2)
    good = random_mixture(5, 4, 2, kind)
    means = good.means.copy()
    means[-lost:] = 1e5 * (1 + np.arange(lost))[:, None]  # so far that no row is theirs
    start = Mixture(good.weights, means, good.covariances, kind)
    result = fit(X, 4, covariance_type=kind, start=start, reg_covar=1e-3, max_iter=max_iter)
    assert result.reseeded == lost
    assert result.mixture.n_components == 4
    assert np.abs(result.mixture.means).max() < 100
    assert result.mixture.weights.min() > 1e-4
    assert_moments_are_those_of(X, result, 1e-3)


def test_an_empty_component_goes_to_the_worst_explained_row():
    rows = np.random.default_rng(0).normal(size=(200, 1))
    X = np.vstack([rows, [[30.0]] * 20 + np.random.default_rng(1).normal(size=(20, 1))])
    start = Mixture([0.5, 0.5], [[0.0], [1e6]], [[1.0], [1.0]], "diag")
    result = fit(X, 2, covariance_type="diag", start=start, max_iter=50)
    assert result.reseeded == 1
    assert result.mixture.means[1, 0] == pytest.approx(30, abs=1)
    assert result.mixture.weights[1] == pytest.approx(20 / 220, abs=0.01)


def test_a_component_of_a_single_row_needs_added_variance():
    X = np.vstack([random_rows(1, 50, 2, groups=1), [[1e4, 1e4]]])
    with pytest.raises(FitFailed, match=r"no usable mixture of 2 .*reg_covar"):
        fit(X, 2, reg_covar=0, n_init=2)
    result = fit(X, 2, reg_covar=1e-3)
    assert_moments_are_those_of(X, result, 1e-3)


def test_dependent_features_fail_without_added_variance_and_pass_with_it():
    x = random_rows(1, 100, 1)
    X = np.hstack([x, 2 * x])
    with pytest.raises(FitFailed, match="not positive definite"):
        fit(X, 2, reg_covar=0)
    assert_moments_are_those_of(X, fit(X, 2, reg_covar=1e-4), 1e-4)


def test_as_many_components_as_rows_work_with_added_variance():
    X = random_rows(1, 5, 2)
    result = fit(X, 5, reg_covar=1e-2)
    assert_moments_are_those_of(X, result, 1e-2)


def test_rows_that_repeat_are_no_obstacle():
    X = np.repeat([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]], 50, axis=0)
    result = fit(X, 3, reg_covar=1e-4)
    np.testing.assert_allclose(np.sort(result.mixture.means[:, 0]), [0, 5, 9], atol=1e-6)
    assert_moments_are_those_of(X, result, 1e-4)


def test_a_constant_feature_fails_with_a_remedy_or_gets_the_added_variance():
    X = np.hstack([random_rows(1, 50, 1), np.full((50, 1), 0.1)])
    with pytest.raises(FitFailed, match=r"feature 1 is constant.*got 0\.1.*reg_covar above 0"):
        fit(X, 2, reg_covar=[1e-3, 0])
    mixture = fit(X, 2, reg_covar=1e-3).mixture
    np.testing.assert_allclose(mixture.covariance()[1, 1], 1e-3, rtol=1e-9)


ROWS = random_rows(1, 20, 2)


@pytest.mark.parametrize(
    ("X", "k", "arguments", "message"),
    [
        (np.empty((0, 2)), 1, {}, "fewer rows than components: got 0"),
        (ROWS[:2], 3, {}, "fewer rows than components: got 2; allowed: at least 3"),
        (np.repeat(ROWS[:2], 9, axis=0), 3, {}, "fewer distinct rows than components: got 2"),
        (np.where(ROWS > 3, np.nan, ROWS), 2, {}, "NaN"),
        (np.where(ROWS > 3, np.inf, ROWS), 2, {}, "infinite"),
        (ROWS[:, 0], 2, {}, "two-dimensional"),
        (ROWS[:, :0], 2, {}, "no features"),
        (ROWS * 1e150, 2, {}, "spread over a range"),
        (ROWS * 1e-150, 2, {}, "spread over a range"),
        ([["a", "b"]], 1, {}, "not numbers"),
        (ROWS, 2, {"sample_weight": np.zeros(20)}, "zero for every row"),
        (ROWS, 2, {"sample_weight": -np.ones(20)}, "negative weights"),
        (ROWS, 2, {"sample_weight": np.full(20, np.nan)}, "NaN"),
        (ROWS, 2, {"sample_weight": np.ones(3)}, "wrong shape"),
        (ROWS, 3, {"sample_weight": [1, 1] + [0] * 18}, "fewer rows than components: got 2"),
        (ROWS, 0, {}, "n_components: got 0"),
        (ROWS, 1.5, {}, "n_components: got 1.5"),
        (ROWS, 2, {"max_iter": 0}, "max_iter"),
        (ROWS, 2, {"n_init": 0}, "n_init"),
        (ROWS, 2, {"tol": -1}, "tol"),
        (ROWS, 2, {"tol": float("nan")}, "tol"),
        (ROWS, 2, {"reg_covar": -1}, "reg_covar"),
        (ROWS, 2, {"reg_covar": [1.0, 1.0, 1.0]}, "reg_covar"),
        (ROWS, 2, {"reg_covar": "much"}, "reg_covar"),
        (ROWS, 2, {"covariance_type": "round"}, "full, tied, diag, spherical"),
        (ROWS, 2, {"start": random_mixture(1, 3, 2)}, "start has other components"),
        (ROWS, 2, {"start": random_mixture(1, 2, 2, "diag")}, "start has other components"),
    ],
)
def test_what_is_refused(X, k, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        fit(X, k, **arguments)


@settings(max_examples=60)
@given(seeds, st.integers(2, 12), st.integers(1, 3), st.integers(1, 6), own_kinds, st.booleans())
def test_tiny_and_repeated_inputs_give_a_lawful_fit_or_a_clear_error(seed, n, d, k, kind, coarse):
    X = random_rows(seed, n, d)
    X = np.round(X / 4) if coarse else X
    try:
        result = fit(X, k, covariance_type=kind, reg_covar=1e-2, seed=seed, max_iter=30)
    except InvalidInput as error:
        assert "fewer" in str(error)  # noqa: PT017  (which of the two it is depends on the rows)
        assert len(np.unique(X, axis=0)) < k
    else:
        if np.ptp(X, axis=0).all():
            assert_moments_are_those_of(X, result, 1e-2)
