"""Missing values: laws, a slow oracle row by row, and what is gained over dropping rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from gaps import NAN, with_gaps
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds, start_for
from scipy.optimize import linear_sum_assignment

from gmm_core.em import fit
from gmm_core.fitting.estep import Parameters, numpy_kernel
from gmm_core.fitting.missing import marginalising
from gmm_core.fitting.rows import Rows
from gmm_core.mixture import Mixture


@given(seeds, st.integers(1, 4), st.integers(2, 4), kinds, st.booleans(), st.booleans())
def test_the_log_likelihood_of_what_is_observed_never_falls(seed, k, d, kind, weighted, behind):
    X = with_gaps(random_rows(seed, 150, d), seed)
    weight = np.random.default_rng(seed).random(150) + 0.1 if weighted else None
    result = fit(
        X,
        k,
        covariance_type=kind,
        reg_covar=0,
        tol=0,
        max_iter=25,
        seed=seed,
        sample_weight=weight,
        missing="marginalise",
        background=behind,
    )
    assert result.iterations == 25
    assert (np.diff(result.trace) >= -1e-11 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, st.integers(1, 4), kinds, st.integers(1, 30))
def test_the_log_likelihood_is_that_of_the_mixture_returned(seed, k, kind, max_iter):
    X = with_gaps(random_rows(seed, 100, 3), seed)
    weight = np.random.default_rng(seed).random(100) + 0.1
    result = fit(
        X,
        k,
        covariance_type=kind,
        max_iter=max_iter,
        seed=seed,
        sample_weight=weight,
        missing="marginalise",
    )
    own = np.average(result.mixture.log_prob(X, missing="marginalise"), weights=weight)
    assert result.log_likelihood == pytest.approx(own, abs=1e-9)


@given(seeds, st.integers(1, 3), kinds, st.sampled_from(["numpy", "compiled"]))
def test_with_nothing_missing_it_is_plain_em(seed, d, kind, kernel):
    X = random_rows(seed, 100, d)
    plain = fit(X, 2, covariance_type=kind, seed=seed, max_iter=10, kernel=kernel)
    other = fit(
        X, 2, covariance_type=kind, seed=seed, max_iter=10, kernel=kernel, missing="marginalise"
    )
    assert other.mixture == plain.mixture
    assert other.trace == plain.trace
    np.testing.assert_array_equal(
        plain.mixture.log_joint(X, missing="marginalise"), plain.mixture.log_joint(X)
    )


def slow_em(
    X: np.ndarray, start: Mixture, steps: int, reg: float, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """EM row by row, component by component, by inverses and determinants of blocks."""
    n, d = X.shape
    k = start.n_components
    weights, means, full = start.weights, start.means, start.full_covariances()
    for step in range(steps + 1):
        density = np.empty((n, k))
        filled, extra = np.empty((n, k, d)), np.zeros((n, k, d, d))
        for i, x in enumerate(X):
            o, m = np.flatnonzero(~np.isnan(x)), np.flatnonzero(np.isnan(x))
            for j in range(k):
                S = full[j]
                inverse = np.linalg.inv(S[np.ix_(o, o)])
                delta = x[o] - means[j][o]
                volume = np.sqrt((2 * np.pi) ** len(o) * np.linalg.det(S[np.ix_(o, o)]))
                density[i, j] = weights[j] * np.exp(-0.5 * delta @ inverse @ delta) / volume
                gain = S[np.ix_(m, o)] @ inverse
                filled[i, j] = x
                filled[i, j, m] = means[j][m] + gain @ delta
                extra[i, j][np.ix_(m, m)] = S[np.ix_(m, m)] - gain @ S[np.ix_(o, m)]
        total = density.sum(axis=1)
        if step == steps:
            break
        shares = density / total[:, None] * weight[:, None]
        mass = shares.sum(axis=0)
        weights = mass / mass.sum()
        means = np.einsum("nk,nkd->kd", shares, filled) / mass[:, None]
        centred = filled - means
        full = np.einsum("nk,nkd,nke->kde", shares, centred, centred)
        full = (full + np.einsum("nk,nkde->kde", shares, extra)) / mass[:, None, None]
        stored = start.kind.of_full(full, weights)
        full = start.kind.full(stored, k, d) + reg * np.eye(d)
    return weights, means, full, float(np.average(np.log(total), weights=weight))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg", [0.0, 0.05])
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_against_a_slow_oracle(kind, weighted, reg, kernel):
    complete = random_rows(11, 60, 3)
    X, start = with_gaps(complete, 5, 0.4), start_for(complete, 2, kind, 12)
    weight = np.random.default_rng(1).random(60) + 0.1 if weighted else np.ones(60)
    result = fit(
        X,
        2,
        covariance_type=kind,
        start=start,
        reg_covar=reg,
        tol=0,
        max_iter=5,
        sample_weight=weight if weighted else None,
        missing="marginalise",
        kernel=kernel,
    )
    weights, means, full, likelihood = slow_em(X, start, 5, reg, weight)
    np.testing.assert_allclose(result.mixture.weights, weights, atol=1e-10)
    np.testing.assert_allclose(result.mixture.means, means, atol=1e-9)
    np.testing.assert_allclose(result.mixture.full_covariances(), full, atol=1e-9)
    assert result.log_likelihood == pytest.approx(likelihood, abs=1e-10)


@given(seeds, st.integers(1, 4))
def test_one_diagonal_gaussian_is_each_feature_on_its_own(seed, d):
    X = with_gaps(random_rows(seed, 80, d), seed)
    mixture = fit(
        X, 1, covariance_type="diag", reg_covar=0, tol=1e-14, max_iter=500, missing="marginalise"
    ).mixture
    np.testing.assert_allclose(mixture.means[0], np.nanmean(X, axis=0), atol=1e-5)
    np.testing.assert_allclose(mixture.covariances[0], np.nanvar(X, axis=0), rtol=1e-5)


def test_a_pair_missing_from_one_side_has_the_known_solution():
    """Monotone missing data of one Gaussian: regression on the complete rows (Anderson 1957)."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    y = 2 * x + 1 + rng.normal(size=400)
    seen = x < 0.3  # missing at random, not completely: the complete rows alone are biased
    X = np.column_stack([x, np.where(seen, y, NAN)])
    mixture = fit(X, 1, reg_covar=0, tol=1e-14, max_iter=2_000, missing="marginalise").mixture
    slope, intercept = np.polyfit(x[seen], y[seen], 1)
    left = np.var(y[seen] - slope * x[seen] - intercept)
    np.testing.assert_allclose(
        mixture.means[0], [x.mean(), intercept + slope * x.mean()], atol=1e-5
    )
    want = np.var(x) * np.array([[1, slope], [slope, slope**2]]) + [[0, 0], [0, left]]
    np.testing.assert_allclose(mixture.covariances[0], want, rtol=1e-5)


@given(seeds, kinds)
def test_the_order_of_rows_and_weights_as_repeats(seed, kind):
    complete = random_rows(seed, 60, 3)
    X, start = with_gaps(complete, seed), start_for(complete, 2, kind, seed)
    times = np.random.default_rng(seed).integers(1, 4, 60)
    order = np.random.default_rng(seed).permutation(times.sum())
    same = {"covariance_type": kind, "start": start, "max_iter": 6, "missing": "marginalise"}
    weighted = fit(X, 2, sample_weight=times, **same)
    repeated = fit(np.repeat(X, times, axis=0)[order], 2, **same)
    np.testing.assert_allclose(weighted.mixture.means, repeated.mixture.means, atol=1e-8)
    np.testing.assert_allclose(
        weighted.mixture.covariances, repeated.mixture.covariances, atol=1e-8
    )
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_units_and_a_far_offset_do_not_matter(kind):
    X = with_gaps(random_rows(4, 300, 3), 4)
    here = fit(X, 2, covariance_type=kind, missing="marginalise", reg_covar=0, seed=1)
    there = fit(X * 1e-3 + 1e4, 2, covariance_type=kind, missing="marginalise", reg_covar=0, seed=1)
    np.testing.assert_allclose((there.mixture.means - 1e4) * 1e3, here.mixture.means, atol=1e-5)
    np.testing.assert_allclose(there.mixture.covariances * 1e6, here.mixture.covariances, atol=1e-5)
    units = (~np.isnan(X)).sum() / len(X) * np.log(1e-3)
    assert there.log_likelihood == pytest.approx(here.log_likelihood - units, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_do_not_matter(kind, monkeypatch):
    X = with_gaps(random_rows(6, 300, 3), 6)
    whole = fit(X, 2, covariance_type=kind, seed=2, missing="marginalise").mixture
    monkeypatch.setattr("gmm_core.fitting.missing._BLOCK", 7)
    monkeypatch.setattr("gmm_core.fitting.missing._NUMBERS", 6)
    parts = fit(X, 2, covariance_type=kind, seed=2, missing="marginalise").mixture
    np.testing.assert_allclose(parts.means, whole.means, atol=1e-8)
    np.testing.assert_allclose(parts.covariances, whole.covariances, atol=1e-8)


def error_of(mixture: Mixture, truth: Mixture) -> float:
    distance = np.linalg.norm(mixture.means[:, None] - truth.means, axis=2)
    i, j = linear_sum_assignment(distance)
    spread = mixture.full_covariances()[i] - truth.full_covariances()[j]
    return float(np.square(distance[i, j]).sum() + np.square(spread).sum())


def test_values_missing_at_random_cost_less_than_dropping_their_rows():
    truth = Mixture(
        [0.4, 0.6],
        [[-4.0, 0.0, 2.0, 0.0], [4.0, 1.0, -2.0, 0.0]],
        np.tile(0.6 * np.ones((4, 4)) + 0.4 * np.eye(4), (2, 1, 1)),
    )
    whole, ours, dropped = [], [], []
    for seed in range(5):
        X = truth.sample(800, seed)
        whole.append(error_of(fit(X, 2, seed=seed).mixture, truth))
        X = with_gaps(X, seed, 0.35)
        ours.append(error_of(fit(X, 2, seed=seed, missing="marginalise").mixture, truth))
        complete = X[~np.isnan(X).any(axis=1)]
        dropped.append(error_of(fit(complete, 2, seed=seed).mixture, truth))
    assert np.mean(ours) < 0.7 * np.mean(dropped)
    assert np.mean(ours) < 1.5 * np.mean(whole)


def test_outliers_and_gaps_together():
    X = with_gaps(random_rows(2, 1_000, 3, groups=2), 2, 0.15)
    plain = fit(X, 2, missing="marginalise", n_init=2)
    far = X.copy()
    far[::100] *= 1e3
    robust = fit(far, 2, missing="marginalise", background=True, n_init=2)
    order = [m.means[:, 0].argsort() for m in (robust.mixture, plain.mixture)]
    np.testing.assert_allclose(
        robust.mixture.means[order[0]], plain.mixture.means[order[1]], atol=0.15
    )
    assert robust.background == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize("kind", KINDS)
def test_a_background_behind_a_gap_is_that_of_the_observed_sides(kind):
    X, mixture = with_gaps(random_rows(2, 50, 3), 2), random_mixture(3, 2, 3, kind, spread=1.0)
    rows = Rows(X, None, np.zeros(3), np.ones(3), incomplete=True)
    sides = np.array([20.0, 30.0, 50.0])
    behind = float(np.log(0.2 / sides.prod()))
    parameters = Parameters(0.8 * mixture.weights, mixture.means, mixture.covariances, behind)
    kernel = marginalising(numpy_kernel, np.log(sides))
    found = kernel(rows, parameters.joint(mixture.kind), mixture.kind)
    total = shared = 0.0
    for x in X:
        there = np.flatnonzero(~np.isnan(x))
        box = 0.2 / sides[there].prod()
        density = 0.8 * np.exp(mixture.marginal(there.tolist()).log_prob([x[there]])[0]) + box
        total, shared = total + np.log(density), shared + box / density
    assert found.log_likelihood == pytest.approx(total, rel=1e-12)
    assert found.background == pytest.approx(shared, rel=1e-12)
    assert found.total == pytest.approx(50, rel=1e-12)


def test_float32_rows_with_gaps():
    X = with_gaps(random_rows(6, 300, 3), 6).astype(np.float32)
    single = fit(X, 2, missing="marginalise", kernel="numpy")
    double = fit(X.astype(np.float64), 2, missing="marginalise", kernel="numpy")
    np.testing.assert_allclose(single.mixture.means, double.mixture.means, atol=1e-5)


def test_memory_is_that_of_a_chunk(monkeypatch):
    monkeypatch.setattr("gmm_core.fitting.rows.CHUNK", 1_024)
    n, k, d = 60_000, 30, 4
    X = random_rows(1, n, d)
    X[::3, 1] = NAN
    fit(X[:3_000], k, max_iter=1, missing="marginalise", kernel="numpy")
    tracemalloc.start()
    fit(X, k, max_iter=1, missing="marginalise", kernel="numpy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * n * k * 8
