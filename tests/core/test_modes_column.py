"""The compiled ascent over cells of a column: the general loop's numbers, and its start from few cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import seeds
from numba import njit
from scipy.special import digamma

from gmm_core.fitting.rows import Rows
from gmm_core.kernels import column as kernel
from gmm_core.variational import starts
from gmm_core.variational.fit import BayesianResult, fit_bayesian


@njit
def digamma_of(x):
    """What only compiled code calls."""
    return kernel.digamma(x)


def cells_of(seed: int, m: int, unit: float = 1.0, offset: float = 0.0):
    """Means, weights and variances of m cells, ascending; some means twice."""
    rng = np.random.default_rng(seed)
    mean = np.sort(rng.normal(rng.integers(-3, 4, m) * 2.0, rng.uniform(0.05, 1.0, m)).round(2))
    return offset + unit * mean, rng.uniform(0.2, 9.0, m), np.square(unit * rng.uniform(0, 0.1, m))


def fitted(cells, k: int, name: str, **options) -> BayesianResult:
    mean, weight, variance = cells
    return fit_bayesian(
        mean[:, None], k, covariance_type="spherical", weight_concentration_prior=1e-3,
        sample_weight=weight, within=variance, kernel=name, seed=3,
        **{"reg_covar": 1e-6 * variance.max(), "tol": 0, "max_iter": 12, **options},
    )  # fmt: skip


@settings(max_examples=8)
@given(seeds, st.sampled_from([40, 1_200]), st.integers(2, 7), st.sampled_from([1e-5, 1.0, 1e7]))
def test_it_is_the_general_loop_to_rounding(seed, m, k, unit):
    cells = cells_of(seed, m, unit, offset=100 * unit)
    own, general = fitted(cells, k, "compiled"), fitted(cells, k, "numpy")
    np.testing.assert_allclose(own.trace, general.trace, rtol=1e-9, atol=1e-9 * m)
    for name in ("weights", "means", "covariances"):
        got, want = getattr(own.mixture, name), getattr(general.mixture, name)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7 * unit, err_msg=name)
    assert own.status == general.status


def test_it_ends_where_an_iteration_gains_little():
    cells = cells_of(1, 300)
    own, general = (
        fitted(cells, 4, name, tol=1e-2, max_iter=500) for name in ("compiled", "numpy")
    )
    assert own.converged
    assert own.iterations == general.iterations < 500
    assert abs(own.trace[-1] - own.trace[-2]) < 1e-2 <= abs(own.trace[-2] - own.trace[-3])


def test_where_it_is_in_doubt_the_general_loop_goes_on(monkeypatch):
    """The compiled loop stops after three iterations, as where differences have too few digits."""
    cells, compiled = cells_of(2, 200), kernel.ascend

    def in_doubt(*arguments):
        steps, _ = compiled(*arguments[:-1], arguments[-1][:3])
        return steps, kernel.LEFT

    want = fitted(cells, 4, "compiled")
    monkeypatch.setattr(kernel, "ascend", in_doubt)
    got = fitted(cells, 4, "compiled")
    np.testing.assert_allclose(got.trace, want.trace, rtol=1e-12)
    np.testing.assert_allclose(got.mixture.means, want.mixture.means, rtol=1e-9)


@given(seeds, st.integers(8, 300), st.integers(1, 8))
def test_pooled_cells_keep_weight_mean_and_variance(seed, m, n):
    mean, weight, variance = cells_of(seed, m, offset=1e6)
    rows, _ = Rows.of(mean[:, None], weight, 0.0, 1, within=variance)
    few = starts.pooled(rows, n)
    assert len(few) == n
    assert (np.diff(few.values[:, 0]) >= 0).all()

    def moments(r: Rows):
        middle = np.average(r.values[:, 0] - 1e6, weights=r.weight)
        square = r.within + np.square(r.values[:, 0] - 1e6 - middle)
        return r.weight.sum(), middle, np.average(square, weights=r.weight)

    np.testing.assert_allclose(moments(few), moments(rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("x", [1e-9, 1e-3, 0.5, 1.0, 3.7, 9.99, 10.0, 1e3, 1e12])
def test_digamma(x):
    assert digamma_of(x) == pytest.approx(digamma(x), rel=1e-14, abs=1e-15)
