"""How a fit runs: starts, seeds, chunks, when it ends and what it says of that."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from mixtures import KINDS, assert_same_mixture, random_rows, start_for

from gmm_core.em import FitStatus, fit
from gmm_core.gaussian import kind_of
from gmm_core.mixture import Mixture


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_do_not_matter(kind, monkeypatch):
    X = random_rows(6, 500, 2)
    whole = fit(X, 3, covariance_type=kind, seed=2)
    monkeypatch.setattr("gmm_core.fitting.rows.CHUNK", 17)
    assert_same_mixture(fit(X, 3, covariance_type=kind, seed=2).mixture, whole.mixture)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_rows_are_taken_as_they_are(kind):
    X = random_rows(6, 500, 2).astype(np.float32)
    both = (fit(rows, 3, covariance_type=kind).mixture for rows in (X, X.astype(np.float64)))
    assert_same_mixture(*both)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_kernels_fit_the_same(kind, dtype):
    X = random_rows(6, 3_000, 3).astype(dtype)
    start = start_for(X.astype(np.float64), 3, kind, 1)
    a, b = (
        fit(X, 3, covariance_type=kind, start=start, tol=0, max_iter=20, kernel=kernel)
        for kernel in ("numpy", "compiled")
    )
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    assert_same_mixture(a.mixture, b.mixture, rtol=tolerance, atol=tolerance)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=tolerance / 10)


def test_memory_is_that_of_a_chunk_not_of_rows_times_components(monkeypatch):
    monkeypatch.setattr("gmm_core.fitting.rows.CHUNK", 1_024)
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


@pytest.mark.parametrize("kind", KINDS)
def test_one_component_is_the_rows_own_gaussian(kind):
    X = random_rows(2, 400, 3)
    mixture = fit(X, 1, covariance_type=kind, reg_covar=0).mixture
    np.testing.assert_allclose(mixture.means[0], X.mean(axis=0), atol=1e-12)
    own = kind_of(kind).of_full(np.cov(X.T, ddof=0)[None], np.ones(1))
    np.testing.assert_allclose(mixture.covariances, own, rtol=1e-11)


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_from_the_outcome_stays_there(kind):
    X = random_rows(3, 300, 2)
    first = fit(X, 3, covariance_type=kind, tol=1e-12, max_iter=2_000, reg_covar=0)
    again = fit(X, 3, covariance_type=kind, start=first.mixture, reg_covar=0)
    assert again.iterations <= 2
    assert again.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_and_resumed_is_uninterrupted(kind):
    X = random_rows(3, 300, 2)

    def run(start: Mixture, steps: int) -> Mixture:
        return fit(X, 3, covariance_type=kind, start=start, max_iter=steps, tol=0).mixture

    start = start_for(X, 3, kind, 1)
    whole, rest = run(start, 10), run(run(start, 4), 6)
    assert_same_mixture(rest, whole, rtol=1e-9)
