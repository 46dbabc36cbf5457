"""The tail curve: a score that means the same for every model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import kinds, random_mixture, seeds
from scipy import stats

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture


@pytest.mark.parametrize("d", [1, 2, 5])
def test_for_one_gaussian_the_score_is_the_chi_square_distribution(d):
    gaussian = Mixture([1.0], np.zeros((1, d)), np.ones((1, d)), "diag")
    curve = TailCurve.of(gaussian)
    radius = np.sqrt(stats.chi2.isf([0.9, 0.5, 0.1, 0.01, 1e-3], d))
    X = np.zeros((5, d))
    X[:, 0] = radius
    tail = 1 - curve.score(gaussian.log_prob(X))
    np.testing.assert_allclose(tail, [0.9, 0.5, 0.1, 0.01, 1e-3], rtol=0.25, atol=0.005)
    np.testing.assert_allclose(tail[:3], [0.9, 0.5, 0.1], atol=0.01)


@given(seeds, st.integers(1, 4), st.integers(1, 3), kinds)
def test_scores_of_the_models_own_rows_are_uniform(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    curve = TailCurve.of(mixture, seed=1, draws=20_000)
    scores = curve.score(mixture.log_prob(mixture.sample(2_000, seed=2)))
    # 0.1 % of correct curves would exceed this distance (Kolmogorov-Smirnov).
    assert stats.kstest(scores, "uniform").statistic < 1.95 / np.sqrt(2_000) + 0.01


@given(seeds, st.sampled_from([1_000, 3_000]))
def test_calibrated_by_rows_it_is_right_of_them_whatever_the_model(seed, n):
    """By a mixture that the rows are not of: p of them score above 1 - p, from ten rows on."""
    rows = random_mixture(seed, 3, 2).sample(n, seed=1)
    density = random_mixture(seed + 1, 2, 2).log_prob(rows)
    curve = TailCurve.observed(density)
    shares = np.array([10 / n, 0.03, 0.1, 0.5, 0.9])
    found = (curve.score(density)[:, None] > 1 - shares).mean(axis=0)
    np.testing.assert_allclose(found, shares, atol=2 / n + 1e-3, rtol=0.05)


@pytest.mark.parametrize(
    "values", [np.zeros(999), np.full(2_000, np.nan), [-np.inf, *range(2_000)]]
)
def test_too_few_rows_or_none_that_count_are_refused(values):
    with pytest.raises(InvalidInput, match="log-densities to calibrate by"):
        TailCurve.observed(values)


@given(seeds, kinds)
def test_the_score_rises_as_the_density_falls(seed, kind):
    mixture = random_mixture(seed, 3, 2, kind)
    curve = TailCurve.of(mixture, draws=5_000)
    span = curve.log_density[-1] - curve.log_density[0]
    values = np.linspace(curve.log_density[0] - span, curve.log_density[-1] + span, 2_001)
    scores = curve.score(values)
    assert (np.diff(scores) <= 0).all()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert scores[-1] == 0
    beyond = curve.score(curve.log_density[0] - np.arange(20.0))
    assert (np.diff(beyond) > 0).all()


@pytest.mark.parametrize("distance", [1e2, 1e6, 1e100, 1e200])
def test_a_far_outlier_scores_one(distance):
    mixture = random_mixture(1, 3, 2)
    score = TailCurve.of(mixture, draws=5_000).score(mixture.log_prob([[distance, 0.0]]))
    assert score[0] == pytest.approx(1, abs=1e-9)
    assert np.isfinite(score).all()


@given(seeds, st.floats(0.01, 100))
def test_units_do_not_matter(seed, unit):
    mixture = random_mixture(seed, 3, 2)
    scaled = Mixture(mixture.weights, mixture.means * unit, mixture.covariances * unit**2)
    X = mixture.sample(50, seed=3)
    a = TailCurve.of(mixture, seed=1, draws=5_000).score(mixture.log_prob(X))
    b = TailCurve.of(scaled, seed=1, draws=5_000).score(scaled.log_prob(X * unit))
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_rows_so_close_that_they_round_to_few_values_are_calibrated_too():
    # At 1e8 neighbouring floats lie 1.5e-8 apart: most draws have one of a few densities.
    coarse = Mixture([1.0], [[1e8]], [[(3e-8) ** 2]], "diag")
    curve = TailCurve.of(coarse)
    assert len(curve.tail) < 30
    peak, off = curve.score(coarse.log_prob([[1e8], [1e8 + 6e-8]]))
    assert peak == 0
    assert off == pytest.approx(0.95, abs=0.04)


def test_a_seed_decides_the_curve():
    mixture = random_mixture(1, 3, 2)
    a, b, c = (TailCurve.of(mixture, seed=s, draws=5_000) for s in (1, 1, 2))
    assert a == b
    assert hash(a) == hash(b)
    assert a != c


def test_too_few_draws_are_refused():
    with pytest.raises(InvalidInput, match="got 100; allowed: 1000 or more"):
        TailCurve.of(random_mixture(1, 3, 2), draws=100)


@pytest.mark.parametrize(
    ("density", "tail"),
    [
        ([], []),
        ([1.0, 1.0], [0.5, 1.0]),
        ([0.0, 1.0], [0.5, 0.9]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.0], [1.0, 0.5]),
        ([0.0, 1.0], [1.0]),
        ([0.0, np.inf], [0.5, 1.0]),
    ],
)
def test_what_is_no_tail_curve_is_refused(density, tail):
    with pytest.raises(InvalidInput):
        TailCurve(density, tail)
