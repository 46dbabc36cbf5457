"""Divergences: what holds for all of them, their closed forms, and their slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from mixtures import random_mixture, seeds

from gmm_core.drift.divergences import (
    cauchy_schwarz,
    jensen_shannon,
    kullback_leibler,
    marginal_distance,
    shares_distance,
    shares_divergence,
)
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture


def moved(mixture, matrix, shift):
    covariances = matrix @ mixture.full_covariances() @ matrix.T
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    return Mixture(mixture.weights, mixture.means @ matrix.T + shift, covariances)


@given(seeds)
def test_laws(seed):
    a, b = random_mixture(seed, 3, 2), random_mixture(seed + 1, 2, 2)
    assert jensen_shannon(a, a).value == kullback_leibler(a, a).value == cauchy_schwarz(a, a) == 0
    there, back = jensen_shannon(a, b, 1024, 0), jensen_shannon(b, a, 1024, 1)
    assert 0 <= there.value <= np.log(2)
    # Below it by nothing but chance: JS is half of two KLs to the middle, each at most KL / 2.
    assert abs(there.value - back.value) <= 6 * np.hypot(there.error, back.error)
    assert cauchy_schwarz(a, b) == pytest.approx(cauchy_schwarz(b, a), rel=1e-9, abs=1e-12)
    assert cauchy_schwarz(a, b) > 0


@given(seeds)
def test_units_do_not_matter(seed):
    a, b = random_mixture(seed, 3, 2), random_mixture(seed + 1, 2, 2)
    matrix, shift = np.array([[40.0, 0.0], [3.0, 0.01]]), np.array([1e3, -5.0])
    far = [moved(one, matrix, shift) for one in (a, b)]
    assert cauchy_schwarz(*far) == pytest.approx(cauchy_schwarz(a, b), rel=1e-6, abs=1e-9)
    # The same draws, moved: the lower triangular map commutes with the Cholesky factors.
    assert jensen_shannon(*far, 512).value == pytest.approx(
        jensen_shannon(a, b, 512).value, abs=1e-6
    )


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0])
def test_kullback_leibler_of_gaussians_is_the_closed_form(shift):
    S, T = np.array([[2.0, 0.4], [0.4, 1.0]]), np.array([[1.0, -0.2], [-0.2, 0.7]])
    m = np.array([shift, -shift])
    found = kullback_leibler(Mixture([1.0], [[0, 0]], [S]), Mixture([1.0], [m], [T]), 20_000)
    inverse = np.linalg.inv(T)
    exact = 0.5 * (
        np.trace(inverse @ S) + m @ inverse @ m - 2 + np.log(np.linalg.det(T) / np.linalg.det(S))
    )
    assert abs(found.value - exact) < 4.5 * found.error
    assert found.error < 0.05 * exact


def test_jensen_shannon_and_cauchy_schwarz_are_their_integrals():
    a = Mixture([0.4, 0.6], [[-1.0], [2.0]], [0.5, 1.5], "spherical")
    b = Mixture([0.5, 0.5], [[0.0], [2.5]], [1.0, 0.4], "spherical")
    x = np.linspace(-12, 14, 40_001)
    p, q = (np.exp(one.log_prob(x[:, None])) for one in (a, b))
    m = (p + q) / 2

    def integral(values):
        return np.trapezoid(values, x)

    def kl(f, g):
        return integral(
            np.where(f > 0, f * np.log(np.maximum(f, 1e-300) / np.maximum(g, 1e-300)), 0)
        )

    found = jensen_shannon(a, b, 50_000)
    assert abs(found.value - (kl(p, m) + kl(q, m)) / 2) < 4.5 * found.error < 0.02
    exact = -np.log(integral(p * q) / np.sqrt(integral(p * p) * integral(q * q)))
    assert cauchy_schwarz(a, b) == pytest.approx(exact, rel=1e-9)


def test_error_bars_are_right():
    a, b = random_mixture(5, 2, 2, spread=1.0), random_mixture(6, 2, 2, spread=1.0)
    found = [jensen_shannon(a, b, 256, seed) for seed in range(200)]
    spread = np.std([one.value for one in found])
    assert spread == pytest.approx(np.mean([one.error for one in found]), rel=0.2)


def test_marginals_and_shares_are_what_scipy_says():
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    a, b = random_mixture(1, 3, 1), random_mixture(2, 2, 1)
    x = np.linspace(-40, 40, 200_001)
    largest = np.abs(a.cdf(x) - b.cdf(x)).max()
    q = (np.arange(20_000) + 0.5) / 20_000
    ks, area = marginal_distance(a, b)
    assert ks == pytest.approx(largest, abs=0.005)
    assert area == pytest.approx(wasserstein_distance(a.ppf(q), b.ppf(q)), rel=0.01)
    p, r = [5.0, 1.0, 0.0, 4.0], [2.0, 2.0, 1.0, 1.0]
    assert shares_divergence(p, r) == pytest.approx(jensenshannon(p, r) ** 2)
    assert shares_distance(p, r) == pytest.approx(
        0.5 * (1 / 6 + abs(0.1 - 1 / 3) + 1 / 6 + 0.4 - 1 / 6)
    )


def test_levels_count():
    same = Mixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], "spherical")
    a = MixedMixture(same, [[[0.9, 0.1], [0.9, 0.1]]])
    b = MixedMixture(same, [[[0.2, 0.8], [0.2, 0.8]]])
    found = jensen_shannon(a, b, 8192)
    assert abs(found.value - shares_divergence([0.9, 0.1], [0.2, 0.8])) < 4.5 * found.error < 0.05


def test_wrong_input_is_refused():
    one, two = random_mixture(0, 2, 1), random_mixture(0, 2, 2)
    for wrong in (
        lambda: jensen_shannon(one, two),
        lambda: kullback_leibler(one, one, draws=1),
        lambda: cauchy_schwarz(one, two),
        lambda: shares_distance([1, 2], [1, 2, 3]),
        lambda: shares_divergence([0, 0], [1, 2]),
        lambda: shares_distance([-1, 2], [1, 2]),
    ):
        with pytest.raises(InvalidInput):
            wrong()
