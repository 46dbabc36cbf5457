"""Rows of unit variance a hundred million away from zero, where others lose every digit."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
from mixtures import KINDS, assert_moments_are_those_of, random_rows, start_for

from gmm_core.em import fit
from gmm_core.gaussian import kind_of
from gmm_core.mixture import Mixture

OFFSET = 1e8
both_kernels = pytest.mark.parametrize("kernel", ["numpy", "compiled"])


def unit_rows() -> np.ndarray:
    """Two correlated groups; the offset rounds them to 1.5e-8 once, so the rest is arithmetic."""
    rng = np.random.default_rng(4)
    groups = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 2_000)
    groups[1_000:] += [6, -6]
    return groups + OFFSET - OFFSET


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_covariances_are_right_also_where_scikit_learns_are_not(kind, kernel):
    from sklearn.mixture import GaussianMixture

    X = unit_rows()
    start = start_for(X, 2, kind, 1)
    steps = {"covariance_type": kind, "reg_covar": 1e-6, "tol": 0, "max_iter": 20}
    near = fit(X, 2, start=start, kernel=kernel, **steps)
    moved = Mixture(start.weights, start.means + OFFSET, start.covariances, kind)
    far = fit(X + OFFSET, 2, start=moved, kernel=kernel, **steps)
    np.testing.assert_allclose(far.mixture.means - OFFSET, near.mixture.means, atol=1e-7)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-9)
    inverted = np.linalg.inv if kind in ("full", "tied") else np.reciprocal
    peer = GaussianMixture(
        2,
        weights_init=start.weights,
        means_init=moved.means,
        precisions_init=inverted(start.covariances),
        **steps,
    )
    assert np.abs(far.mixture.covariances - near.mixture.covariances).max() < 1e-12
    error = np.inf
    with warnings.catch_warnings(), contextlib.suppress(ValueError):  # "ill-defined covariance"
        warnings.simplefilter("ignore")
        error = np.abs(peer.fit(X + OFFSET).covariances_ - near.mixture.covariances).max()
    print(f"{kind}: error of scikit-learn's covariances {error:.1e}")
    assert kind == "full" or error > 1e-3  # it subtracts squares of means, but not there


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_from_nothing_is_the_same_near_and_far(kind, kernel):
    X = random_rows(4, 2_000, 2)
    near, far = (
        fit(rows, 3, covariance_type=kind, reg_covar=0, seed=1, kernel=kernel)
        for rows in (X, X + OFFSET)
    )
    assert_moments_are_those_of(X + OFFSET, far)
    # The rows themselves are rounded to 1.5e-8 there.
    np.testing.assert_allclose(
        far.mixture.covariances, near.mixture.covariances, rtol=1e-5, atol=1e-6
    )
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_far_from_the_others_keeps_its_digits(kind):
    """Not the rows' own mean but another group is far: its width is 1e-8 of the rows' deviation."""
    near = np.random.default_rng(1).normal(size=(500, 2))
    far = np.random.default_rng(2).normal(size=(500, 2)) + OFFSET
    X = np.vstack([near, far])
    fitted = {
        kernel: fit(X, 2, covariance_type=kind, reg_covar=1e-6, kernel=kernel).mixture
        for kernel in ("numpy", "compiled")
    }
    groups = np.stack([np.cov(rows.T, ddof=0) for rows in (near, far - OFFSET)])
    if kind == "tied":
        groups[:] = groups.mean(axis=0)
    want = kind_of(kind).of_full(groups, np.ones(2))
    for kernel, mixture in fitted.items():
        order = np.argsort(mixture.means[:, 0])
        got = mixture.kind.picked(mixture.covariances, order)
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=kernel)
