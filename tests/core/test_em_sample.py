"""The start on a sample, which a fit of many rows makes: as good, and no less lawful."""

from __future__ import annotations

import numpy as np
import pytest
from mixtures import KINDS, assert_moments_are_those_of, random_rows

from gmm_core.em import fit
from gmm_core.mixture import Mixture

GROUPS = Mixture(
    [0.2, 0.3, 0.5], [[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]], np.tile(np.eye(2), (3, 1, 1))
)


@pytest.fixture
def sizes(monkeypatch):
    """Samples of 200 rows from 800 on; the list tells the size of each that was drawn."""
    from gmm_core.fitting.rows import Rows

    drawn = []
    original = Rows.sample

    def counted(self, n, rng):
        drawn.append(n)
        return original(self, n, rng)

    monkeypatch.setattr("gmm_core.fitting.starts._SAMPLE", 200)
    monkeypatch.setattr("gmm_core.fitting.starts._SAMPLE_PER_VALUE", 1)
    # Fewer rows than any start is narrowed on: every sample drawn is that of the start.
    monkeypatch.setattr("gmm_core.fitting.starts._ENOUGH", 10_000)
    monkeypatch.setattr(Rows, "sample", counted)
    return drawn


def test_few_rows_are_all_used(sizes):
    fit(random_rows(1, 799, 2), 2)
    assert sizes == []
    fit(random_rows(1, 800, 2), 2)
    assert sizes[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_as_good_on_average_as_a_start_on_all_rows(sizes, kind, monkeypatch):
    rows = [random_rows(seed, 1_200, 2, groups=4) for seed in range(8)]

    def outcomes() -> list[float]:
        return [
            fit(X, 4, covariance_type=kind, reg_covar=1e-3, seed=seed).log_likelihood
            for seed, X in enumerate(rows)
        ]

    sampled = outcomes()
    assert sizes
    monkeypatch.setattr("gmm_core.fitting.starts._SAMPLE", 10_000)
    sizes.clear()
    whole = outcomes()
    assert not sizes
    assert np.mean(sampled) > np.mean(whole) - 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_iter", [1, 3, 100])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_laws_are_those_of_all_rows(sizes, kind, max_iter, weighted):
    X = random_rows(2, 1_000, 2)
    weight = np.random.default_rng(2).random(1_000) if weighted else None
    result = fit(
        X, 3, covariance_type=kind, reg_covar=1e-3, max_iter=max_iter, sample_weight=weight
    )
    assert sizes
    assert_moments_are_those_of(X, result, 1e-3, weight)
    assert 1 <= result.iterations <= max_iter
    own = np.average(result.mixture.log_prob(X), weights=weight)
    assert result.log_likelihood == pytest.approx(own, abs=1e-10)


def test_most_of_the_way_is_gone_on_the_sample(sizes, monkeypatch):
    X = random_rows(4, 4_000, 2, groups=6)
    sampled = fit(X, 6, seed=1, max_iter=1_000).iterations
    monkeypatch.setattr("gmm_core.fitting.starts._SAMPLE", 10_000)
    assert sampled < fit(X, 6, seed=1, max_iter=1_000).iterations


def test_weights_count_in_the_sample(sizes):
    """From the start alone: one step over all rows could not repair it."""
    X = GROUPS.sample(3_000, seed=1)
    group = ((X[:, None, :] - GROUPS.means) ** 2).sum(axis=2).argmin(axis=1)
    weight = np.array([9.0, 3.0, 0.5])[group]
    weight[::7] = 0
    result = fit(X, 3, sample_weight=weight, max_iter=1)
    assert sizes
    order = np.argsort(result.mixture.means[:, 0])
    shares = np.bincount(group, weight) / weight.sum()
    np.testing.assert_allclose(result.mixture.weights[order], shares, atol=1e-6)
    np.testing.assert_allclose(result.mixture.means[order], GROUPS.means, atol=0.2)


def test_a_row_without_weight_is_in_no_sample(sizes):
    X = np.vstack([GROUPS.sample(1_000, seed=1), np.full((1_000, 2), 1e6)])
    result = fit(X, 3, sample_weight=np.repeat([1.0, 0.0], 1_000))
    assert sizes
    assert result == fit(X[:1_000], 3) or result.mixture == fit(X[:1_000], 3).mixture


def test_the_seed_decides_the_sample(sizes):
    X = random_rows(8, 1_000, 2, groups=6)
    a, b, c = (fit(X, 5, seed=seed, max_iter=3).mixture for seed in (3, 3, 4))
    assert a == b
    assert a != c
    assert sizes


@pytest.mark.parametrize("kind", KINDS)
def test_rows_too_rare_for_the_sample_are_found_among_all(sizes, kind):
    X = np.zeros((4_000, 2))
    X[[17, 1_900, 3_333]] = [[0.0, 9.0], [9.0, 0.0], [9.0, 9.0]]
    result = fit(X, 4, covariance_type=kind, reg_covar=1e-3, seed=1)
    assert sizes
    found = {tuple(mean) for mean in result.mixture.means.round(3) + 0.0}
    assert found == {(0, 0), (0, 9), (9, 0), (9, 9)}
    assert_moments_are_those_of(X, result, 1e-3)


def test_a_feature_that_is_constant_in_the_sample_is_no_failure(sizes):
    X = random_rows(1, 4_000, 2)
    X[:, 1] = 0
    X[[17, 1_900, 3_333], 1] = [1.0, 2.0, 3.0]
    result = fit(X, 1, reg_covar=0)
    assert sizes
    assert_moments_are_those_of(X, result)


def test_a_sample_on_which_em_fails_in_the_end_is_no_failure(sizes, monkeypatch):
    from gmm_core.errors import FitFailed
    from gmm_core.fitting import starts

    original, X, failed = starts.run, random_rows(1, 1_000, 2), []

    def failing(task, parameters):
        if len(task.rows) < len(X) and task.tol > 0:
            failed.append(task)
            raise FitFailed("made up", remedy="none")
        return original(task, parameters)

    monkeypatch.setattr("gmm_core.fitting.starts.run", failing)
    assert_moments_are_those_of(X, fit(X, 3), 1e-6)
    assert failed
