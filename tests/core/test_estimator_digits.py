"""float32 rows of any size: attributes and answers keep float32 where it holds them."""

from __future__ import annotations

import numpy as np
import pytest
from mixtures import KINDS, random_rows

from gmm_core import BayesianGaussianMixture, GaussianMixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
INITS = ("kmeans", "k-means++", "random", "random_from_data")


@pytest.mark.parametrize("estimator", [GaussianMixture, BayesianGaussianMixture])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [-66, -40, 0, 40, 80, 110])
def test_a_power_of_two_as_unit_changes_nothing_but_the_type(estimator, kind, power):
    X = random_rows(3, 200, 2).astype(np.float32)
    how = {"n_components": 2, "covariance_type": kind, "reg_covar": 0, "random_state": 0}
    plain, scaled = estimator(**how).fit(X), estimator(**how).fit(np.ldexp(X, power))
    for name in ATTRIBUTES:
        values = getattr(scaled, name)
        assert values.dtype == (np.float32 if abs(power) <= 40 else np.float64), name
        assert np.isfinite(values).all(), name
    np.testing.assert_allclose(np.ldexp(scaled.means_, -power), plain.means_, rtol=1e-3, atol=1e-3)
    rows, _ = scaled.sample(50)
    assert np.isfinite(rows).all()
    density = scaled.score_samples(np.ldexp(X, power))
    assert density.dtype == (np.float32 if abs(power) <= 40 else np.float64)
    expected = plain.score_samples(X) - 2 * power * np.log(2)
    np.testing.assert_allclose(density, expected, rtol=1e-3, atol=2e-2)
    assert np.mean(scaled.predict(np.ldexp(X, power)) == plain.predict(X)) > 0.99


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [-1, 1])
def test_starts_square_no_row_beyond_the_numbers(init, dtype, sign):
    X = random_rows(3, 200, 2).astype(dtype)
    power = sign * (60 if dtype == np.float32 else 440)
    how = {"init_params": init, "random_state": 0, "tol": 1e-6, "max_iter": 500}
    plain = GaussianMixture(2, reg_covar=1e-2, **how).fit(X)
    scaled = GaussianMixture(2, reg_covar=np.ldexp(1e-2, 2 * power), **how)
    scaled.fit(np.ldexp(X, power))
    np.testing.assert_allclose(np.ldexp(scaled.means_, -power), plain.means_, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("estimator", [GaussianMixture, BayesianGaussianMixture])
def test_a_density_that_float32_cannot_hold_is_float64(estimator):
    X = random_rows(3, 200, 1).astype(np.float32)
    model = estimator(random_state=0).fit(X)
    near, far = model.score_samples(X), model.score_samples(np.float32([[1e30]]))
    assert near.dtype == np.float32
    assert far.dtype == np.float64
    assert np.isfinite(far).all()
    assert model.score(np.float32([[1e30]])) == far[0]


@pytest.mark.parametrize("estimator", [GaussianMixture, BayesianGaussianMixture])
def test_a_row_far_out_belongs_to_the_nearest_component(estimator):
    X = np.vstack([random_rows(3, 200, 1, groups=1), 50 + 9 * random_rows(4, 200, 1, groups=1)])
    model = estimator(n_components=2, random_state=0).fit(X)
    wide = int(model.covariances_.ravel().argmax())
    for row in ([[1e200]], [[-1e250]]):
        assert model.predict(row) == [wide]
        np.testing.assert_array_equal(model.predict_proba(row)[0], np.eye(2)[wide])
