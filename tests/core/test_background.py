"""A uniform background: laws, a plain oracle, and what outliers do with it and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import (
    KINDS,
    OWN_KINDS,
    kinds,
    own_kinds,
    random_mixture,
    random_rows,
    seeds,
    start_for,
)
from scipy.optimize import linear_sum_assignment

from gmm_core.em import fit
from gmm_core.errors import InvalidInput
from gmm_core.fitting.background import Background, background_of, start_share
from gmm_core.fitting.estep import Parameters, Statistics, worst_explained
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import kind_of
from gmm_core.mixture import Mixture

TRUTH = Mixture(
    [0.3, 0.3, 0.4],
    [[-6.0, 0.0], [6.0, 2.0], [0.0, 8.0]],
    [[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]], np.eye(2)],
)


def outliers(kind: str, m: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows far from X: in random directions, all at one point, or heavy-tailed."""
    sd, d = X.std(axis=0), X.shape[1]
    direction = rng.normal(size=(m, d))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    distance = 10 ** rng.uniform(2, 4, (m, 1))
    if kind == "heavy-tailed":
        return X.mean(axis=0) + 30 * sd * rng.standard_cauchy((m, d))
    if kind == "at one point":
        direction, distance = np.tile(direction[:1], (m, 1)), distance[:1]
    return X.mean(axis=0) + direction * distance * sd


def with_outliers(
    kind: str, seed: int, truth: Mixture = TRUTH, n: int = 2_000, share: float = 0.01
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = truth.sample(n, seed)
    X[rng.choice(n, int(share * n), replace=False)] = outliers(kind, int(share * n), X, rng)
    return X


def error_of_means(mixture: Mixture, truth: Mixture = TRUTH) -> float:
    distance = np.linalg.norm(mixture.means[:, None] - truth.means, axis=2)
    return float(distance[linear_sum_assignment(distance)].max())


KINDS_OF_OUTLIERS = ("in random directions", "at one point", "heavy-tailed")


@given(
    seeds,
    st.integers(1, 4),
    st.integers(1, 3),
    kinds,
    st.sampled_from([True, 0.3]),
    st.sampled_from(KINDS_OF_OUTLIERS),
)
def test_the_log_likelihood_never_falls(seed, k, d, kind, background, far):
    X = with_outliers(far, seed % 1_000, random_mixture(seed, 3, d), n=200, share=0.03)
    result = fit(
        X,
        k,
        covariance_type=kind,
        reg_covar=0,
        tol=0,
        max_iter=25,
        seed=seed,
        background=background,
    )
    assert (np.diff(result.trace) >= -1e-11 * (1 + np.abs(result.trace[:-1]))).all()
    assert 0 <= result.background <= 1
    assert result.mixture.weights.sum() == pytest.approx(1, abs=1e-12)


def textbook(
    X: np.ndarray, start: Mixture, share: float, steps: int, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """EM with one more component, of density 1 / volume of the rows' box, in the rows' own units."""
    k, d = start.n_components, X.shape[1]
    box = 1 / np.prod(np.ptp(X, axis=0))
    weights, means, covariances = (
        start.weights * (1 - share),
        start.means,
        start.full_covariances(),
    )
    for step in range(steps + 1):
        parts = np.empty((len(X), k + 1))
        for j in range(k):
            delta = X - means[j]
            squared = np.sum(delta @ np.linalg.inv(covariances[j]) * delta, axis=1)
            volume = np.sqrt((2 * np.pi) ** d * np.linalg.det(covariances[j]))
            parts[:, j] = weights[j] * np.exp(-squared / 2) / volume
        parts[:, k] = share * box
        density = parts.sum(axis=1)
        shares = parts / density[:, None] * weight[:, None]
        if step == steps:
            break
        mass = shares.sum(axis=0)
        weights, share = mass[:k] / mass.sum(), mass[k] / mass.sum()
        means = shares[:, :k].T @ X / mass[:k, None]
        full = np.stack(
            [(shares[:, j, None] * (X - means[j])).T @ (X - means[j]) / mass[j] for j in range(k)]
        )
        stored = start.kind.of_full(full, mass[:k] / mass[:k].sum())
        covariances = start.kind.full(stored, k, d)
    behind = float(shares[:, k].sum() / weight.sum())
    return weights / (1 - share), means, covariances, float(weight @ np.log(density)), behind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_against_the_textbook(kind, kernel):
    X = np.vstack([random_rows(11, 150, 2), [[40.0, -30.0], [-60.0, 10.0], [40.0, -30.0]]])
    weight = np.random.default_rng(1).random(len(X)) + 0.5
    start = start_for(X, 3, kind, 12)
    result = fit(
        X,
        3,
        covariance_type=kind,
        start=start,
        reg_covar=0,
        tol=0,
        max_iter=6,
        sample_weight=weight,
        background=0.05,
        kernel=kernel,
    )
    weights, means, covariances, likelihood, behind = textbook(X, start, 0.05, 6, weight)
    np.testing.assert_allclose(result.mixture.weights, weights, atol=1e-9)
    np.testing.assert_allclose(result.mixture.means, means, atol=1e-8)
    np.testing.assert_allclose(result.mixture.full_covariances(), covariances, atol=1e-8)
    assert result.log_likelihood == pytest.approx(likelihood / weight.sum(), abs=1e-10)
    assert result.background == pytest.approx(behind, abs=1e-10)


@pytest.mark.parametrize("far", KINDS_OF_OUTLIERS)
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_one_percent_of_outliers_moves_the_means_ten_times_less(far, kind):
    for seed in range(3):
        X = with_outliers(far, seed)
        plain = fit(X, 3, covariance_type=kind, n_init=2, seed=seed)
        robust = fit(X, 3, covariance_type=kind, n_init=2, seed=seed, background=True)
        error = error_of_means(robust.mixture)
        assert error < 0.2
        assert error_of_means(plain.mixture) > 10 * error
        assert robust.background == pytest.approx(0.01, abs=0.002)


def test_outliers_do_no_harm_in_more_features_and_in_float32():
    rng = np.random.default_rng(0)
    truth = Mixture([0.25] * 4, 8 * rng.normal(size=(4, 6)), np.tile(np.eye(6), (4, 1, 1)))
    X = with_outliers("in random directions", 1, truth).astype(np.float32)
    robust = fit(X, 4, n_init=3, background=True, kernel="compiled")
    assert error_of_means(robust.mixture, truth) < 0.3
    assert robust.background == pytest.approx(0.01, abs=0.002)


def test_a_sample_to_start_from_is_central_too():
    X = with_outliers("at one point", 4, n=70_000)
    robust = fit(X, 3, background=True)
    assert error_of_means(robust.mixture) < 0.05
    assert robust.background == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_without_outliers_the_fit_is_nearly_the_plain_one(kind):
    for seed in range(3):
        X = TRUTH.sample(2_000, seed)
        plain = fit(X, 3, covariance_type=kind, n_init=2, seed=seed).mixture
        robust = fit(X, 3, covariance_type=kind, n_init=2, seed=seed, background=True)
        assert error_of_means(robust.mixture, plain) < 0.03
        np.testing.assert_allclose(robust.mixture.covariance(), plain.covariance(), atol=0.3)
        assert robust.background < 0.01


@given(seeds, own_kinds, st.sampled_from([1e-6, 1e-3, 1e3, 1e6]), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, kind, unit, offset):
    X = with_outliers("heavy-tailed", seed % 1_000, n=200, share=0.03)
    scale = np.array([unit, 1.0])
    same = {"covariance_type": kind, "seed": seed, "max_iter": 10, "tol": 0, "background": True}
    here = fit(X, 3, reg_covar=1e-3, **same)
    there = fit(X * scale + offset, 3, reg_covar=1e-3 * scale**2, **same)
    atol = 1e-6 + 1e-11 * abs(offset) / unit
    np.testing.assert_allclose(
        (there.mixture.means - offset) / scale, here.mixture.means, atol=atol
    )
    assert there.background == pytest.approx(here.background, abs=atol)
    assert there.log_likelihood == pytest.approx(here.log_likelihood - np.log(unit), abs=10 * atol)


@given(seeds, kinds)
def test_off_is_no_background_at_all(seed, kind):
    X = random_rows(seed, 100, 2)
    plain = fit(X, 2, covariance_type=kind, seed=seed, max_iter=10)
    for off in (False, 0, 0.0):
        other = fit(X, 2, covariance_type=kind, seed=seed, max_iter=10, background=off)
        assert other.mixture == plain.mixture
        assert other.background == plain.background == 0.0


def test_the_share_of_a_real_background_is_found():
    X = np.vstack([TRUTH.sample(1_800, 1), np.random.default_rng(2).uniform(-40, 40, (200, 2))])
    result = fit(X, 3, n_init=2, background=True)
    assert result.background == pytest.approx(0.1, abs=0.02)
    assert error_of_means(result.mixture) < 0.2


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_an_empty_component_is_not_placed_at_an_outlier(kind):
    X = with_outliers("in random directions", 3)
    good = fit(X, 3, covariance_type=kind, background=True, n_init=2).mixture
    means = good.means.copy()
    means[1] = 1e7
    start = Mixture(good.weights, means, good.covariances, kind)
    result = fit(X, 3, covariance_type=kind, start=start, background=True)
    assert result.reseeded == 1
    assert error_of_means(result.mixture) < 0.2


def test_its_share_is_at_most_one_half():
    behind = Background(0.01, np.log([2.0, 5.0]))
    before = Parameters(np.array([0.25, 0.75]), np.zeros((2, 2)), np.ones((2, 2)))
    weight, zeros = np.array([4.0, 6.0]), np.zeros((2, 2))
    for explained, share in ((90.0, 0.5), (2.5, 0.2)):
        after = behind.maximised(before, Statistics(0.0, weight, zeros, zeros, explained))
        assert np.exp(after.background) * 10 == pytest.approx(share)
        np.testing.assert_allclose(after.weights, before.weights * (1 - share))
    assert behind.maximised(before, Statistics(0.0, weight, zeros, zeros)).background == -np.inf


def test_the_worst_explained_row_is_so_for_the_components_alone():
    X = random_rows(1, 50, 2)
    rows, _ = Rows.of(X, None, 1e-6, 1)
    joint = Parameters(np.ones(1), np.zeros((1, 2)), np.ones((1, 2))).joint(kind_of("diag"))
    alone = worst_explained(rows, joint, kind_of("diag"), 3)
    beside = worst_explained(rows, replace(joint, background=50.0), kind_of("diag"), 3)
    np.testing.assert_array_equal(beside, alone)
    np.testing.assert_allclose(alone[0], max(rows.at(slice(None)), key=np.linalg.norm))


def test_rows_that_are_mostly_equal_are_no_obstacle():
    X = np.hstack([random_rows(1, 200, 1), np.full((200, 1), 0.1)])
    X[:4, 1] = [5.0, -5.0, 7.0, 9.0]
    result = fit(X, 2, reg_covar=1e-3, background=True)
    np.testing.assert_allclose(result.mixture.means[:, 1], 0.1, atol=1e-3)
    constant = np.hstack([random_rows(1, 50, 1), np.full((50, 1), 0.1)])
    assert np.isfinite(fit(constant, 2, reg_covar=1e-3, background=True).log_likelihood)


@given(seeds, st.integers(1, 3))
def test_the_fence_holds_the_bulk_and_the_box_everything(seed, d):
    X = with_outliers("at one point", seed % 1_000, random_mixture(seed, 2, d), n=400)
    rows, added = Rows.of(X, None, 1e-3, 2)
    fenced, more, behind = background_of(rows, added, 0.01, isotropic=False)
    kept = fenced.central(2)
    assert 0.7 * len(X) < len(kept) <= 0.99 * len(X)
    np.testing.assert_allclose(more * fenced.scale**2, 1e-3)
    # A side of the box is at least that of a uniform feature of deviation 1.
    sides = np.maximum(np.ptp(X, axis=0) / fenced.scale, np.sqrt(12))
    np.testing.assert_allclose(np.exp(behind.log_widths), sides)


@pytest.mark.parametrize("background", [-0.1, 0.6, 1, float("nan"), "much", None, [0.1]])
def test_what_is_refused(background):
    with pytest.raises(InvalidInput, match=r"background: .*a share from 0 to 0\.5"):
        fit(random_rows(1, 20, 2), 2, background=background)
    with pytest.raises(InvalidInput, match="background"):
        start_share(background)
