"""Laws of expectation maximisation, for every kind of covariance as far as each obeys them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import (
    assert_moments_are_those_of,
    assert_same_mixture,
    kinds,
    linear_map,
    mapped,
    permuted,
    random_rows,
    seeds,
    start_for,
    units,
)

from gmm_core.em import fit
from gmm_core.mixture import Mixture

kernels = st.sampled_from(["numpy", "compiled"])


@given(seeds, st.integers(1, 4), st.integers(1, 3), kinds, kernels)
def test_the_log_likelihood_never_falls(seed, k, d, kind, kernel):
    X = random_rows(seed, 150, d)
    result = fit(
        X, k, covariance_type=kind, reg_covar=0, tol=0, max_iter=25, seed=seed, kernel=kernel
    )
    assert len(result.trace) == result.iterations
    assert result.reseeded == 0
    assert (np.diff(result.trace) >= -1e-12 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, st.integers(1, 4), st.integers(1, 3), kinds)
def test_for_float32_it_falls_by_rounding_alone(seed, k, d, kind):
    X = random_rows(seed, 400, d).astype(np.float32)
    result = fit(
        X, k, covariance_type=kind, reg_covar=0, tol=0, max_iter=25, seed=seed, kernel="compiled"
    )
    assert (np.diff(result.trace) >= -1e-6 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, st.integers(2, 5), kinds, st.sampled_from([1e-3, 0.1, 1.0]))
def test_a_step_that_loses_by_the_added_variance_is_not_kept(seed, k, kind, reg):
    X = random_rows(seed, 100, 2)
    result = fit(X, k, covariance_type=kind, reg_covar=reg, tol=1e-9, max_iter=2_000, seed=seed)
    assert (np.diff(result.trace) >= 0).all()
    assert result.converged


@given(
    seeds,
    st.integers(1, 5),
    st.integers(1, 3),
    kinds,
    st.sampled_from([0.0, 1e-3, 0.5]),
    st.booleans(),
    st.integers(1, 20),
    kernels,
)
def test_mean_and_covariance_are_those_of_the_rows(
    seed, k, d, kind, reg, weighted, max_iter, kernel
):
    X = random_rows(seed, 120, d)
    weight = np.random.default_rng(seed).random(120) * 5 if weighted else None
    added = reg * np.arange(1, d + 1)
    result = fit(
        X,
        k,
        covariance_type=kind,
        reg_covar=added,
        max_iter=max_iter,
        seed=seed,
        sample_weight=weight,
        kernel=kernel,
    )
    assert_moments_are_those_of(X, result, added, weight)


@given(seeds, st.integers(1, 4), kinds, st.sampled_from([1e-6, 1e-2]), st.integers(1, 60))
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


@given(seeds, kinds, st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, kind, unit, offset):
    """Each feature may have its own, but not where features share a variance."""
    X = random_rows(seed, 120, 2)
    scale = units(kind, unit)
    steps = {"covariance_type": kind, "seed": seed, "max_iter": 15, "tol": 0}
    here = fit(X, 3, reg_covar=1e-3, **steps)
    there = fit(X * scale + offset, 3, reg_covar=1e-3 * scale**2, **steps)
    # Adding the offset rounds the rows themselves, the more the smaller the unit.
    atol = 1e-8 + 1e-12 * abs(offset) / unit
    back = mapped(
        Mixture(
            there.mixture.weights,
            there.mixture.means - offset,
            there.mixture.covariances,
            kind,
        ),
        np.diag(1 / scale),
    )
    assert_same_mixture(back, here.mixture, atol=atol)
    volume = np.log(scale).sum()
    assert there.log_likelihood == pytest.approx(here.log_likelihood - volume, abs=10 * atol)


def test_where_features_share_a_variance_their_units_do_matter():
    X = random_rows(1, 300, 2)
    here = fit(X, 3, covariance_type="spherical").log_likelihood
    there = fit(X * [1e3, 1], 3, covariance_type="spherical").log_likelihood
    assert there + np.log(1e3) < here - 0.1


@given(seeds, kinds)
def test_the_order_of_rows_does_not_matter_for_a_given_start(seed, kind):
    X = random_rows(seed, 100, 2)
    steps = {"covariance_type": kind, "start": start_for(X, 3, kind, seed), "max_iter": 8, "tol": 0}
    order = np.random.default_rng(seed).permutation(100)
    assert_same_mixture(fit(X, 3, **steps).mixture, fit(X[order], 3, **steps).mixture)


@given(seeds, kinds)
def test_the_order_of_the_starts_components_is_kept(seed, kind):
    X = random_rows(seed, 100, 2)
    start = start_for(X, 3, kind, seed)
    steps = {"covariance_type": kind, "max_iter": 5, "tol": 0}
    a = fit(X, 3, start=start, **steps).mixture
    b = fit(X, 3, start=permuted(start, seed), **steps).mixture
    assert_same_mixture(permuted(a, seed), b)


@given(seeds, kinds, kernels)
def test_a_map_of_rows_and_start_maps_the_fit(seed, kind, kernel):
    """Every map that the kind's covariances can follow."""
    X = random_rows(seed, 100, 2)
    start, A = start_for(X, 2, kind, seed), linear_map(kind)
    steps = {"covariance_type": kind, "reg_covar": 0, "max_iter": 6, "tol": 0, "kernel": kernel}
    a = fit(X, 2, start=start, **steps).mixture
    b = fit(X @ A.T + 3, 2, start=mapped(start, A, 3.0), **steps).mixture
    assert_same_mixture(b, mapped(a, A, 3.0), rtol=1e-6, atol=1e-8)


@given(seeds, kinds, kernels)
def test_a_weight_counts_rows_and_zero_none(seed, kind, kernel):
    X = random_rows(seed, 60, 2)
    times = np.random.default_rng(seed).integers(0, 4, 60)
    times[:3] = 1
    steps = {
        "covariance_type": kind,
        "start": start_for(X, 2, kind, seed),
        "max_iter": 10,
        "tol": 0,
        "kernel": kernel,
    }
    weighted = fit(X, 2, sample_weight=times, **steps)
    repeated = fit(np.repeat(X, times, axis=0), 2, **steps)
    assert_same_mixture(weighted.mixture, repeated.mixture)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-10)
    for factor in (1e6, 1e-6):
        other = fit(X, 2, sample_weight=times * factor, **steps)
        assert_same_mixture(other.mixture, weighted.mixture)
