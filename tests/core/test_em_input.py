"""Inputs of every sort: the right answer, or an error that names the remedy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import (
    KINDS,
    assert_moments_are_those_of,
    kinds,
    random_mixture,
    random_rows,
    seeds,
)

from gmm_core.em import FitResult, fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.mixture import Mixture

both_kernels = pytest.mark.parametrize("kernel", ["numpy", "compiled"])


def rescaled(result: FitResult, factor: float) -> FitResult:
    """What the fit of rows times `factor` would have found."""
    old = result.mixture
    covariances = old.kind.rescaled(old.covariances, np.full(old.n_features, factor))
    mixture = Mixture(old.weights, old.means * factor, covariances, old.covariance_type)
    return replace(result, mixture=mixture)


@pytest.mark.parametrize("kind", KINDS)
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


def test_a_far_empty_component_is_reported_by_the_compiled_kernel_too():
    X = random_rows(5, 300, 2)
    good = random_mixture(5, 3, 2)
    start = Mixture(good.weights, good.means + np.array([[0], [0], [1e7]]), good.covariances)
    result = fit(X, 3, start=start, kernel="compiled")
    assert result.reseeded == 1
    assert_moments_are_those_of(X, result, 1e-6)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_a_component_of_a_single_row_needs_added_variance_unless_it_shares_one(kind, kernel):
    X = np.vstack([random_rows(1, 50, 2, groups=1), [[1e4, 1e4]]])
    how = {"covariance_type": kind, "kernel": kernel, "n_init": 2}
    if kind == "tied":
        assert_moments_are_those_of(X, fit(X, 2, reg_covar=0, **how))
    else:
        with pytest.raises(FitFailed, match=r"no usable mixture of 2 .*reg_covar"):
            fit(X, 2, reg_covar=0, **how)
    assert_moments_are_those_of(X, fit(X, 2, reg_covar=1e-3, **how), 1e-3)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_dependent_features_need_added_variance_where_covariances_say_so(kind, kernel):
    x = random_rows(1, 100, 1)
    X = np.hstack([x, 2 * x])
    how = {"covariance_type": kind, "kernel": kernel}
    if kind in ("full", "tied"):
        with pytest.raises(FitFailed, match=r"not positive definite.*reg_covar"):
            fit(X, 2, reg_covar=0, **how)
    else:
        assert_moments_are_those_of(X, fit(X, 2, reg_covar=0, **how))
    assert_moments_are_those_of(X, fit(X, 2, reg_covar=1e-4, **how), 1e-4)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_components_as_rows_work_with_added_variance(kind, kernel):
    X = random_rows(1, 5, 2)
    result = fit(X, 5, covariance_type=kind, reg_covar=1e-2, kernel=kernel)
    assert_moments_are_those_of(X, result, 1e-2)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_its_own_mixture_with_added_variance(kind, kernel):
    how = {"covariance_type": kind, "kernel": kernel}
    with pytest.raises(FitFailed, match=r"constant.*reg_covar above 0"):
        fit([[3.0, -1.0]], 1, reg_covar=0, **how)
    mixture = fit([[3.0, -1.0]], 1, reg_covar=1e-2, **how).mixture
    np.testing.assert_allclose(mixture.means, [[3, -1]], atol=1e-12)
    np.testing.assert_allclose(mixture.covariance(), 1e-2 * np.eye(2), atol=1e-15)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_repeat_are_no_obstacle(kind, kernel):
    X = np.repeat([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]], 50, axis=0)
    result = fit(X, 3, covariance_type=kind, reg_covar=1e-4, kernel=kernel)
    np.testing.assert_allclose(np.sort(result.mixture.means[:, 0]), [0, 5, 9], atol=1e-6)
    assert_moments_are_those_of(X, result, 1e-4)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_feature_fails_with_a_remedy_or_gets_the_added_variance(kind, kernel):
    X = np.hstack([random_rows(1, 50, 1), np.full((50, 1), 0.1)])
    how = {"covariance_type": kind, "kernel": kernel}
    with pytest.raises(FitFailed, match=r"feature 1 is constant.*got 0\.1.*reg_covar above 0"):
        fit(X, 2, reg_covar=[1e-3, 0], **how)
    result = fit(X, 2, reg_covar=1e-3, **how)
    np.testing.assert_allclose(result.mixture.means[:, 1], 0.1, rtol=1e-12)
    if kind != "spherical":  # the variance that both features share is mostly the other's
        np.testing.assert_allclose(result.mixture.covariance()[1, 1], 1e-3, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_of_no_weight_may_lie_anywhere(kind, dtype):
    X = random_rows(1, 200, 2).astype(dtype)
    with_more = np.vstack([X, np.full((3, 2), 1e30, dtype)])
    how = {"covariance_type": kind, "seed": 1}
    weight = np.repeat([2.0, 0.0], [200, 3])
    assert fit(with_more, 3, sample_weight=weight, **how).mixture == fit(X, 3, **how).mixture


@both_kernels
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_very_different_size_still_give_numbers(kind, dtype, kernel):
    """One row has all the weight that counts: in its deviations the others are no numbers."""
    X = random_rows(1, 50, 2).astype(dtype)
    weight = 10.0 ** np.random.default_rng(1).uniform(-150, 0, 50)
    weight[7] = 1e150
    how = {"covariance_type": kind, "sample_weight": weight, "kernel": kernel, "reg_covar": 1e-3}
    mixture = fit(X, 1, **how).mixture
    np.testing.assert_allclose(mixture.means[0], X[7], rtol=1e-6)
    np.testing.assert_allclose(mixture.covariance(), 1e-3 * np.eye(2), atol=1e-9)
    with pytest.raises(FitFailed, match="components keep running empty"):
        fit(X, 2, **how)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-19, 1e36])
def test_the_smallest_and_largest_float32_rows(kind, size):
    X = random_rows(1, 200, 2)
    scaled = (X / np.abs(X).max() * size).astype(np.float32)
    back = scaled.astype(np.float64) / size
    for kernel, rounding in (("numpy", 1e-10), ("compiled", 1e-6)):
        result = fit(scaled, 2, covariance_type=kind, reg_covar=0, kernel=kernel, max_iter=5)
        assert_moments_are_those_of(back, rescaled(result, 1 / size), rounding=rounding)


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
        ((ROWS * 1e-25).astype(np.float32), 2, {}, "spread over a range.*Rescale the feature"),
        ((ROWS * 1e37).astype(np.float32), 2, {}, "spread over a range.*Rescale the feature"),
        (np.where(ROWS > 3, -np.inf, ROWS).astype(np.float32), 2, {}, "infinite"),
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
@given(seeds, st.integers(2, 12), st.integers(1, 3), st.integers(1, 6), kinds, st.booleans())
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


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_components", None), ("n_components", np.nan), ("n_components", 2.0), ("n_components", True),
     ("tol", None), ("max_iter", 0), ("max_iter", 1.5), ("n_init", 0), ("seed", -1), ("seed", "a"),
     ("start", "x"), ("covariance_type", ["full"])],
)  # fmt: skip
def test_a_wrong_setting_is_named(name, value):
    settings = {"n_components": 2, name: value}
    with pytest.raises(InvalidInput, match=name):
        fit(random_rows(1, 50, 2), **settings)
