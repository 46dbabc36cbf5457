"""k-means++ and Lloyd steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, random_rows, seeds

from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start, kmeans_plus_plus, lloyd, nearest
from gmm_core.gaussian import kind_of


def make(X: np.ndarray, k: int, weight: np.ndarray | None = None) -> Rows:
    return Rows.of(X, weight, 1e-6, k)[0]


def inertia(rows: Rows, centres: np.ndarray) -> float:
    X = rows.at(slice(None))
    squared = ((X[:, None, :] - centres) ** 2).sum(axis=2).min(axis=1)
    return float(squared.sum() if rows.weight is None else rows.weight @ squared)


@given(seeds, st.integers(1, 6))
def test_centres_are_different_rows(seed, k):
    rows = make(np.round(random_rows(seed, 40, 2)), k)
    centres = kmeans_plus_plus(rows, k, np.random.default_rng(seed))
    assert len(np.unique(centres, axis=0)) == k
    X = rows.at(slice(None))
    assert all(np.equal(X, centre).all(axis=1).any() for centre in centres)


@given(seeds)
def test_as_many_centres_as_distinct_rows_takes_each_once(seed):
    X = np.repeat(np.arange(4.0)[:, None], [1, 5, 20, 2], axis=0)
    centres = kmeans_plus_plus(make(X, 4), 4, np.random.default_rng(seed))
    assert len(np.unique(centres)) == 4


@given(seeds)
def test_a_row_without_weight_is_never_a_centre(seed):
    X = np.arange(6.0)[:, None]
    weight = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    rows = make(X, 3, weight)
    centres = kmeans_plus_plus(rows, 3, np.random.default_rng(seed)) * rows.scale + rows.shift
    np.testing.assert_allclose(np.sort(centres[:, 0]), [0, 2, 4], atol=1e-12)


def test_rows_whose_weight_is_no_number_beside_the_others_still_have_a_group():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 2)) + 20 * rng.integers(2, size=(300, 1))
    weight = np.where(X[:, 0] > 10, 1e200, 1e-300)
    begun = cold_start(make(X, 2, weight), 2, kind_of("full"), np.full(2, 1e-6), rng)
    assert np.isfinite(begun.means).all()
    assert np.isfinite(begun.covariances).all()


def test_first_centres_come_in_proportion_to_weight():
    rows = make(np.array([[0.0], [1.0]]), 1, np.array([1.0, 9.0]))
    values = rows.at(slice(None))
    picks = [kmeans_plus_plus(rows, 1, np.random.default_rng(i))[0, 0] for i in range(500)]
    assert np.mean(np.isclose(picks, values[1, 0])) == pytest.approx(0.9, abs=0.05)


def test_far_groups_each_get_a_centre():
    X = np.concatenate([random_rows(1, 50, 2, groups=1) + 1e3 * i for i in range(5)])
    rows = make(X, 5)
    for seed in range(20):
        centres = kmeans_plus_plus(rows, 5, np.random.default_rng(seed))
        labels = nearest(rows.at(slice(None)), centres)
        assert all(len(set(labels[50 * i : 50 * i + 50])) == 1 for i in range(5))


@given(seeds, st.booleans())
def test_lloyd_never_makes_it_worse(seed, weighted):
    weight = np.random.default_rng(seed).random(60) + 0.01 if weighted else None
    rows = make(random_rows(seed, 60, 2), 4, weight)
    centres = kmeans_plus_plus(rows, 4, np.random.default_rng(seed))
    values = [inertia(rows, lloyd(rows, centres, steps)) for steps in range(6)]
    assert (np.diff(values) <= 1e-9 * values[0]).all()


def test_lloyd_leaves_an_empty_centre_where_it_is():
    rows = make(np.array([[0.0], [1.0], [2.0]]), 1)
    far = np.array([[0.0], [1e3]])
    moved = lloyd(rows, far, 5)
    assert moved[1, 0] == 1e3
    np.testing.assert_allclose(moved[0, 0], rows.at(slice(None)).mean(), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cold_start_has_usable_covariances_even_for_groups_of_one_row(kind):
    X = np.vstack([random_rows(1, 50, 2, groups=1), [[1e3, 1e3], [-1e3, 1e3]]])
    rows = make(X, 3)
    start = cold_start(rows, 3, kind_of(kind), np.zeros(2), np.random.default_rng(1))
    assert start.weights.sum() == pytest.approx(1)
    assert kind_of(kind).condition_numbers(start.covariances, 3, 2).max() < 1e3


def test_seeding_weighs_features_alike_whatever_their_units():
    X = random_rows(3, 100, 2)
    a = kmeans_plus_plus(make(X, 5), 5, np.random.default_rng(1))
    b = kmeans_plus_plus(make(X * [1e6, 1e-3], 5), 5, np.random.default_rng(1))
    np.testing.assert_allclose(a, b, atol=1e-9)
