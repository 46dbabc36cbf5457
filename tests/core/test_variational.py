"""Laws of variational Bayes, a slow oracle, and scikit-learn as peer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, own_kinds, random_mixture, random_rows, seeds, start_for
from posteriors import PRIORS, assert_same_posterior, own_prior, priors, shares_for

from gmm_core.em import FitStatus
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.variational.fit import fit_bayesian


@given(seeds, st.integers(1, 5), st.integers(1, 3), kinds, priors, st.booleans())
def test_the_lower_bound_never_falls(seed, k, d, kind, prior, own):
    X = random_rows(seed, 100, d)
    result = fit_bayesian(
        X,
        k,
        covariance_type=kind,
        weight_concentration_prior_type=prior,
        reg_covar=0,
        tol=0,
        max_iter=25,
        seed=seed,
        **(own_prior(kind, d) if own else {}),
    )
    assert len(result.trace) == result.iterations == 25
    assert result.trace[-1] == result.lower_bound
    # An empty component seems to hold 2e-15 rows: the only other thing beside rounding.
    assert (np.diff(result.trace) >= -1e-10 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, kinds, priors)
def test_it_loses_no_more_than_the_blur_of_the_rows(seed, kind, prior):
    X = random_rows(seed, 100, 2)
    reg = 1e-3
    result = fit_bayesian(
        X,
        4,
        covariance_type=kind,
        weight_concentration_prior_type=prior,
        reg_covar=reg,
        tol=0,
        max_iter=40,
        seed=seed,
    )
    # What the M-step sees and the E-step does not: half of reg times the trace of the precision.
    variances = result.mixture.kind.variances(result.mixture.covariances, 4, 2)
    blur = 0.5 * reg * len(X) * (1 / variances).sum(axis=1).max()
    assert np.diff(result.trace).min() >= -blur


@given(seeds, kinds, priors)
def test_the_order_of_rows_does_not_matter_for_a_given_start(seed, kind, prior):
    X, shares = random_rows(seed, 90, 2), shares_for(90, 3, seed)
    order = np.random.default_rng(seed).permutation(90)
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "max_iter": 8,
        "tol": 0,
    }
    a = fit_bayesian(X, 3, start=shares, **same)
    b = fit_bayesian(X[order], 3, start=shares[order], **same)
    assert_same_posterior(a, b)


@given(seeds, kinds, priors)
def test_a_row_of_weight_two_is_two_rows(seed, kind, prior):
    X, shares = random_rows(seed, 60, 2), shares_for(60, 3, seed)
    counts = np.random.default_rng(seed).integers(0, 4, 60)
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "max_iter": 8,
        "tol": 0,
    }
    weighted = fit_bayesian(X, 3, start=shares, sample_weight=counts, **same)
    repeated = fit_bayesian(
        X.repeat(counts, axis=0), 3, start=shares.repeat(counts, axis=0), **same
    )
    assert_same_posterior(weighted, repeated)


@given(seeds, own_kinds, priors, st.sampled_from([1e-3, 1.0, 1e6]), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, kind, prior, unit, offset):
    X, shares, scale = random_rows(seed, 90, 2), shares_for(90, 3, seed), np.array([unit, 1.0])
    both = np.outer(scale, scale) if kind == "full" else scale**2
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "start": shares,
        "max_iter": 8,
        "tol": 0,
    }
    here_prior = own_prior(kind, 2)
    there_prior = here_prior | {
        "mean_prior": here_prior["mean_prior"] * scale + offset,
        "covariance_prior": here_prior["covariance_prior"] * both,
    }
    here = fit_bayesian(X, 3, reg_covar=1e-3, **here_prior, **same)
    there = fit_bayesian(X * scale + offset, 3, reg_covar=1e-3 * scale**2, **there_prior, **same)
    # Adding the offset rounds the rows themselves, the more the smaller the unit.
    atol = 1e-7 + 1e-11 * abs(offset) / unit
    means = (there.posterior.means - offset) / scale
    np.testing.assert_allclose(means, here.posterior.means, atol=atol)
    np.testing.assert_allclose(
        there.posterior.covariances / both, here.posterior.covariances, atol=atol, rtol=1e-6
    )
    np.testing.assert_allclose(there.mixture.weights, here.mixture.weights, atol=atol)
    # A density per unit, once for each row and for each degree of freedom of the prior.
    volume = np.log(unit) * (90 + 3 * here_prior["degrees_of_freedom_prior"])
    np.testing.assert_allclose(np.add(there.trace, volume), here.trace, atol=1e-5 + 1e3 * atol)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_offset_costs_no_digits(kind):
    X = np.round(random_rows(3, 200, 2) * 1024) / 1024  # so that adding 2^27 is exact
    same = {"covariance_type": kind, "start": shares_for(200, 3), "max_iter": 20, "tol": 0}
    here, there = fit_bayesian(X, 3, **same), fit_bayesian(X + 2.0**27, 3, **same)
    np.testing.assert_allclose(there.mixture.covariances, here.mixture.covariances, rtol=1e-6)
    np.testing.assert_allclose(there.trace, here.trace, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_components_without_use_vanish(kind):
    groups = Mixture(
        [0.2, 0.3, 0.5], [[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]], np.ones(3), "spherical"
    )
    for prior in PRIORS:
        result = fit_bayesian(
            groups.sample(600, seed=2),
            10,
            covariance_type=kind,
            weight_concentration_prior_type=prior,
            weight_concentration_prior=1e-3,
            max_iter=2_000,
        )
        weights = np.sort(result.mixture.weights)
        assert result.converged
        assert weights[:7].sum() < 0.02
        np.testing.assert_allclose(weights[7:], [0.2, 0.3, 0.5], atol=0.07)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("value", [1e-300, 1e-30, 1e3, 1e30])
def test_weights_stay_above_zero_whatever_the_concentration(prior, value):
    result = fit_bayesian(
        random_rows(1, 200, 2),
        30,
        weight_concentration_prior_type=prior,
        weight_concentration_prior=value,
        max_iter=60,
    )
    assert (result.mixture.weights > 0).all()
    assert np.isfinite(result.trace).all()


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_comes_as_close_as_its_digits_allow(kind, kernel):
    X = random_rows(6, 2_000, 2)
    same = {"covariance_type": kind, "start": shares_for(2_000, 3), "max_iter": 20, "tol": 0}
    double = fit_bayesian(X, 3, **same)
    single = fit_bayesian(X.astype(np.float32), 3, kernel=kernel, **same)
    np.testing.assert_allclose(single.mixture.means, double.mixture.means, atol=2e-3)
    np.testing.assert_allclose(single.mixture.covariances, double.mixture.covariances, atol=5e-3)
    assert single.lower_bound == pytest.approx(double.lower_bound, rel=1e-5)


@given(seeds, kinds, priors)
@settings(max_examples=20)
def test_going_on_is_as_never_having_stopped(seed, kind, prior):
    X, heard = random_rows(seed, 100, 2), []
    same = {"covariance_type": kind, "weight_concentration_prior_type": prior, "tol": 0}
    whole = fit_bayesian(X, 3, start=shares_for(100, 3), max_iter=9, watch=heard.append, **same)
    part = fit_bayesian(X, 3, start=shares_for(100, 3), max_iter=4, **same)
    rest = fit_bayesian(X, 3, start=part, max_iter=5, **same)
    np.testing.assert_allclose(part.trace + rest.trace, whole.trace, rtol=1e-8)
    assert heard == list(whole.trace)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_posterior_at_the_end_from_a_mixture_and_from_its_responsibilities(kind):
    X = random_rows(2, 200, 2)
    start = start_for(X, 3, kind, 1)
    same = {"covariance_type": kind, "max_iter": 5, "tol": 0}
    a = fit_bayesian(X, 3, start=start, **same)
    b = fit_bayesian(X, 3, start=start.responsibilities(X), **same)
    assert_same_posterior(a, b)


def test_a_row_of_weight_zero_is_no_row_of_the_start_either():
    X, shares = random_rows(2, 100, 2), shares_for(100, 3)
    weight = np.ones(100)
    weight[::3] = 0
    kept = weight > 0
    a = fit_bayesian(X, 3, start=shares, sample_weight=weight, max_iter=5)
    b = fit_bayesian(X[kept], 3, start=shares[kept], max_iter=5)
    assert_same_posterior(a, b)


def test_the_best_of_several_starts_wins():
    X = random_rows(5, 300, 2, groups=5)
    one = [fit_bayesian(X, 6, n_init=n).lower_bound for n in (1, 3, 6)]
    assert one == sorted(one)


def test_the_same_seed_gives_the_same_result():
    X = random_rows(5, 300, 2)
    assert fit_bayesian(X, 4, seed=3).mixture == fit_bayesian(X, 4, seed=3).mixture


def test_no_iteration_leaves_what_the_start_says():
    X = random_rows(5, 100, 2)
    result = fit_bayesian(X, 2, start=shares_for(100, 2), max_iter=0)
    assert (result.iterations, result.trace, result.status) == (0, (), FitStatus.STOPPED)


def test_a_constant_feature_is_borne_when_variance_is_added():
    X = np.column_stack([random_rows(1, 100, 1), np.ones(100)])
    assert fit_bayesian(X, 3, reg_covar=1e-3).mixture.n_components == 3
    with pytest.raises(FitFailed, match="constant"):
        fit_bayesian(X, 3, reg_covar=0)


def test_features_that_depend_on_one_another_fail_as_a_fit():
    x = random_rows(1, 100, 1)
    with pytest.raises(FitFailed, match="no usable mixture"):
        fit_bayesian(np.hstack([x, 2 * x]), 2, reg_covar=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_concentration_prior_type": "uniform"}, "weight_concentration_prior_type"),
        ({"weight_concentration_prior": 0.0}, "weight_concentration_prior"),
        ({"mean_precision_prior": -1.0}, "mean_precision_prior"),
        ({"mean_prior": [0.0]}, "mean_prior has the wrong shape"),
        ({"degrees_of_freedom_prior": 1.0}, "degrees_of_freedom_prior"),
        ({"covariance_prior": [1.0, 1.0]}, "covariance_prior has the wrong shape"),
        ({"covariance_prior": [[1.0, 2.0], [2.0, 1.0]]}, "not positive definite"),
        ({"covariance_prior": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"covariance_type": "spherical", "covariance_prior": -1.0}, "not positive definite"),
        ({"tol": -1.0}, "tol"),
        ({"max_iter": -1}, "max_iter"),
        ({"n_init": 0}, "n_init"),
        ({"kernel": "fast"}, "kernel"),
        ({"start": np.ones((100, 3))}, "start has the wrong shape"),
        ({"start": -np.ones((100, 2))}, "negative"),
        ({"start": random_mixture(0, 3, 2)}, "start"),
        ({"sample_weight": np.full(100, 0.01)}, "weigh too little"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        fit_bayesian(random_rows(0, 100, 2), 2, **given)


def test_rows_that_weigh_little_leave_the_prior_as_it_was():
    prior = own_prior("full", 2)
    X = random_rows(0, 100, 2)
    result = fit_bayesian(X, 2, sample_weight=np.full(100, 1e-12), **prior)
    np.testing.assert_allclose(result.posterior.means, [prior["mean_prior"]] * 2, atol=1e-8)
    expected = prior["covariance_prior"] / prior["degrees_of_freedom_prior"]
    np.testing.assert_allclose(result.posterior.covariances, [expected] * 2, atol=1e-8)
