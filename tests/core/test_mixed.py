"""Mixtures with categorical features as values: answers, draws, refusals, storage."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levels import random_mixed
from mixtures import kinds, random_mixture, seeds
from scipy.stats import multivariate_normal

from gmm_core.answering.scoring import TailCurve
from gmm_core.codec import from_dict, to_dict
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import MixedMixture


@given(seeds, st.integers(1, 4), kinds)
def test_the_density_is_that_of_a_slow_sum(seed, k, kind):
    mixed = random_mixed(seed, k, 2, (2, 4), kind)
    X = mixed.sample(20, seed)
    full = mixed.numeric.full_covariances()
    for x, log_prob, shares in zip(X, mixed.log_prob(X), mixed.responsibilities(X), strict=True):
        each = [
            mixed.weights[j]
            * multivariate_normal(mixed.numeric.means[j], full[j]).pdf(x[:2])
            * mixed.level_probabilities[0][j, int(x[2])]
            * mixed.level_probabilities[1][j, int(x[3])]
            for j in range(k)
        ]
        assert log_prob == pytest.approx(np.log(sum(each)), abs=1e-9)
        np.testing.assert_allclose(shares, np.array(each) / sum(each), atol=1e-9)
    np.testing.assert_array_equal(mixed.component(X), mixed.responsibilities(X).argmax(axis=1))


@given(seeds)
def test_over_all_levels_the_density_is_the_numeric_one(seed):
    mixed = random_mixed(seed, 3, 2, (2, 3))
    x = mixed.numeric.sample(5, seed)
    total = np.zeros(5)
    for first in range(2):
        for second in range(3):
            rows = np.column_stack([x, np.full(5, first), np.full(5, second)])
            total += np.exp(mixed.log_prob(rows))
    np.testing.assert_allclose(np.log(total), mixed.numeric.log_prob(x), rtol=1e-10)


@given(seeds)
def test_names_of_levels_do_not_matter(seed):
    mixed = random_mixed(seed, 3, 2, (2, 5))
    order = np.random.default_rng(seed).permutation(5)
    tables = (mixed.level_probabilities[0], mixed.level_probabilities[1][:, order])
    renamed = MixedMixture(mixed.numeric, tables)
    X = mixed.sample(30, seed)
    there = X.copy()
    there[:, 3] = np.argsort(order)[X[:, 3].astype(int)]
    np.testing.assert_allclose(renamed.log_prob(there), mixed.log_prob(X), rtol=1e-12)


def test_draws_are_distributed_as_the_mixture_says():
    mixed = random_mixed(3, 3, 1, (3, 4))
    X = mixed.sample(200_000, 1)
    assert X.shape == (200_000, 3)
    np.testing.assert_array_equal(X, mixed.sample(200_000, 1))
    for column, shares in zip(X[:, 1:].T, mixed.level_shares(), strict=True):
        found = np.bincount(column.astype(int), minlength=len(shares)) / len(X)
        np.testing.assert_allclose(found, shares, atol=0.006)
    for code in range(3):
        there = X[X[:, 1] == code, 0]
        part = mixed.given({0: code})
        assert there.mean() == pytest.approx(part.mean()[0], abs=0.06)
        assert there.var() == pytest.approx(part.covariance()[0, 0], rel=0.03)
    # And jointly: cross-entropy of the draws is what the density says of fresh draws.
    fresh = mixed.log_prob(mixed.sample(200_000, 2)).mean()
    assert mixed.log_prob(X).mean() == pytest.approx(fresh, abs=0.02)


def test_a_tail_curve_of_it():
    mixed = random_mixed(3, 2, 1, (3,))
    curve = TailCurve.of(mixed, 0)
    scores = curve.score(mixed.log_prob(mixed.sample(20_000, 9)))
    assert np.mean(scores > 0.9) == pytest.approx(0.1, abs=0.01)


def test_it_is_a_value():
    mixed = random_mixed(1, 3, 2, (2, 3))
    for again in (
        MixedMixture(mixed.numeric, mixed.level_probabilities),
        from_dict(json.loads(json.dumps(to_dict(mixed))), MixedMixture),
        pickle.loads(pickle.dumps(mixed)),
    ):
        assert again == mixed
        assert hash(again) == hash(mixed)
        assert repr(again) == repr(mixed)
        with pytest.raises(ValueError, match="read-only"):
            again.level_probabilities[0][0, 0] = 1
    assert mixed != mixed.numeric
    assert mixed != mixed.picked([1, 0, 2])
    assert mixed.picked([2, 0]).level_probabilities[1].tolist() == (
        mixed.level_probabilities[1][[2, 0]].tolist()
    )
    assert mixed.as_type("diag").level_shares()[0].tolist() == mixed.level_shares()[0].tolist()
    assert (mixed.n_features, mixed.n_categorical, mixed.sizes) == (4, 2, (2, 3))


PAIR = random_mixture(1, 2, 1)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "needs categorical features"),
        ([[[0.5, 0.5]]], "feature 0 has the wrong shape"),
        ([[[1.0], [1.0]]], "two levels"),
        ([[[1.0, 0.0], [0.5, 0.5]]], "above 0"),
        ([[[0.5, 0.5], [0.5, 0.6]]], "do not sum to one in component 1"),
        ([[[0.5, 0.5], [0.5, 0.5]], [[0.5, np.nan], [0.5, 0.5]]], "feature 1 holds 1 NaN"),
    ],
)
def test_what_is_no_mixture(tables, message):
    with pytest.raises(InvalidInput, match=message):
        MixedMixture(PAIR, tables)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, 2.0], "row 0, categorical feature 0: got 2.0; allowed: whole numbers from 0 to 1"),
        ([0.0, -1.0], "whole numbers from 0 to 1"),
        ([0.0, 0.5], "got 0.5"),
        ([0.0, np.nan], "NaN"),
        ([0.0], "wrong number of features"),
    ],
)
def test_what_is_no_row(row, message):
    mixed = MixedMixture(PAIR, ([[0.5, 0.5], [0.5, 0.5]],))
    with pytest.raises(InvalidInput, match=message):
        mixed.log_prob([row])


def test_what_is_no_level():
    mixed = MixedMixture(PAIR, ([[0.5, 0.5], [0.5, 0.5]],))
    for levels in ({1: 0}, {0: 2}, {0: -1}):
        with pytest.raises(InvalidInput, match="level: got"):
            mixed.given(levels)
    with pytest.raises(InvalidInput, match="a Mixture"):
        MixedMixture(mixed, ([[0.5, 0.5], [0.5, 0.5]],))
