"""Distribution function and quantiles: inverses of one another, far into both tails."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, random_mixture, seeds
from scipy import stats

from gmm_core.errors import InvalidInput, MissingExtra
from gmm_core.mixture import Mixture

ks = st.integers(1, 6)
spreads = st.sampled_from([0.0, 1.0, 4.0, 100.0])
LEVELS = np.concatenate(
    [
        np.geomspace(1e-300, 1e-3, 40),
        np.linspace(0.002, 0.998, 61),
        1 - np.geomspace(1e-3, 1e-15, 9),
    ]
)


def pdf(mixture: Mixture, x: np.ndarray) -> np.ndarray:
    return np.exp(mixture.log_prob(np.asarray(x)[:, None]))


@given(seeds, ks, st.sampled_from(KINDS))
def test_the_cdf_is_the_weighted_sum_of_scipys(seed, k, kind):
    mixture = random_mixture(seed, k, 1, kind)
    x = np.linspace(-30, 30, 41)
    sds = mixture.standard_deviations()[:, 0]
    parts = zip(mixture.weights, mixture.means[:, 0], sds, strict=True)
    want = sum(weight * stats.norm(mean, sd).cdf(x) for weight, mean, sd in parts)
    np.testing.assert_allclose(mixture.cdf(x), want, rtol=1e-12)


@given(seeds, ks, spreads)
def test_the_derivative_of_the_cdf_is_the_density(seed, k, spread):
    mixture = random_mixture(seed, k, 1, spread=spread)
    x, h = mixture.sample(30, seed)[:, 0], 1e-4
    slope = (mixture.cdf(x + h) - mixture.cdf(x - h)) / (2 * h)
    np.testing.assert_allclose(slope, pdf(mixture, x), rtol=1e-5, atol=1e-9)


@given(seeds, ks, spreads)
def test_the_cdf_rises_from_zero_to_one(seed, k, spread):
    mixture = random_mixture(seed, k, 1, spread=spread)
    values = mixture.cdf(np.concatenate([[-np.inf], np.linspace(-400, 400, 2_001), [np.inf]]))
    assert (np.diff(values) >= 0).all()
    assert (values[0], values[-1]) == (0.0, pytest.approx(1, abs=1e-15))
    assert values.max() <= 1


@given(seeds, ks, spreads)
def test_quantiles_invert_the_cdf_in_both_tails(seed, k, spread):
    mixture = random_mixture(seed, k, 1, spread=spread)
    x = mixture.ppf(LEVELS)
    np.testing.assert_allclose(mixture.cdf(x), LEVELS, rtol=2e-11)
    mirrored = Mixture(mixture.weights, -mixture.means, mixture.covariances)
    np.testing.assert_allclose(mirrored.cdf(-x[LEVELS > 0.5]), 1 - LEVELS[LEVELS > 0.5], rtol=2e-11)


@given(seeds, ks, spreads)
def test_quantiles_rise(seed, k, spread):
    x = random_mixture(seed, k, 1, spread=spread).ppf(LEVELS)
    assert (np.diff(x) > 0).all()


@given(seeds, ks)
def test_values_come_back_to_a_trillionth_of_a_standard_deviation(seed, k):
    mixture = random_mixture(seed, k, 1, spread=1.0)
    sd = np.sqrt(mixture.covariance()[0, 0])
    # Below the median, where a probability has all its digits.
    x = mixture.mean()[0] - sd * np.linspace(0.5, 30, 60)
    x = x[mixture.cdf(x) > 1e-300]
    assert len(x) > 10
    np.testing.assert_allclose(mixture.ppf(mixture.cdf(x)), x, rtol=0, atol=1e-12 * sd)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-3.0, 1e-6), (1e3, 1e9)])
def test_one_component_has_scipys_quantiles(mean, sd):
    mixture = Mixture([1.0], [[mean]], [[sd**2]], "diag")
    got = (mixture.ppf(LEVELS) - mean) / sd
    np.testing.assert_allclose(got, stats.norm.ppf(LEVELS), rtol=1e-13, atol=1e-9)


def test_an_affine_map_maps_the_quantiles():
    mixture = random_mixture(5, 4, 1)
    mapped = Mixture(mixture.weights, mixture.means * 1e-7 + 3.0, mixture.covariances * 1e-14)
    np.testing.assert_allclose((mapped.ppf(LEVELS) - 3.0) * 1e7, mixture.ppf(LEVELS), atol=1e-7)


def test_components_of_very_different_width_and_place():
    mixture = Mixture([0.3, 0.3, 0.4], [[-1e6], [0.0], [1e6]], [1e-12, 1.0, 1e4], "spherical")
    q = np.array([1e-9, 0.2, 0.29, 0.31, 0.45, 0.59, 0.61, 0.9, 0.999999])
    np.testing.assert_allclose(mixture.cdf(mixture.ppf(q)), q, rtol=1e-3)
    np.testing.assert_allclose(mixture.cdf(mixture.ppf(q[3:])), q[3:], rtol=1e-9)
    # Between the components nothing is: any value there has this probability.
    assert -1e6 < mixture.ppf(0.3) < 0
    assert mixture.cdf(mixture.ppf(0.3)) == pytest.approx(0.3, rel=1e-12)


def test_the_smallest_probability_that_there_is():
    mixture = random_mixture(2, 3, 1)
    x = mixture.ppf(5e-324)
    assert np.isfinite(x)
    assert 0 <= mixture.cdf(x) <= 1e-322


def test_the_ends_are_infinite_and_shapes_are_kept():
    mixture = random_mixture(2, 3, 1)
    assert mixture.ppf([0.0, 1.0]).tolist() == [-np.inf, np.inf]
    assert mixture.ppf([[0.5], [0.25]]).shape == mixture.cdf([[0.5], [0.25]]).shape == (2, 1)
    assert mixture.ppf([]).shape == mixture.cdf([]).shape == (0,)
    assert np.ndim(mixture.ppf(0.5)) == np.ndim(mixture.cdf(0.5)) == 0
    assert float(mixture.cdf(mixture.ppf(0.25))) == pytest.approx(0.25)


def test_quantiles_are_those_of_a_sample():
    mixture = random_mixture(8, 3, 1)
    q = np.array([0.05, 0.3, 0.8])
    got = np.quantile(mixture.sample(400_000, seed=1), q)
    spread = np.sqrt(q * (1 - q) / 400_000) / pdf(mixture, mixture.ppf(q))
    assert (np.abs(got - mixture.ppf(q)) < 4 * spread).all()


@pytest.mark.parametrize("q", [-1e-9, 1.000001, np.inf, -np.inf])
def test_what_is_no_probability_is_refused(q):
    with pytest.raises(InvalidInput, match=r"not a probability.*0 to 1"):
        random_mixture(1, 2, 1).ppf([0.5, q])


@pytest.mark.parametrize("method", ["cdf", "ppf"])
def test_without_scipy_it_is_named(monkeypatch, method):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtra, match=r"quantiles need scipy\. Run: pip install scipy"):
        getattr(random_mixture(1, 2, 1), method)([0.5])


@pytest.mark.parametrize("method", ["cdf", "ppf"])
def test_more_features_nan_and_text_are_refused(method):
    with pytest.raises(InvalidInput, match=r"Take a marginal first"):
        getattr(random_mixture(1, 2, 2), method)([0.5])
    with pytest.raises(InvalidInput, match="NaN"):
        getattr(random_mixture(1, 2, 1), method)([0.5, np.nan])
    with pytest.raises(InvalidInput, match="not numbers"):
        getattr(random_mixture(1, 2, 1), method)(["a"])
