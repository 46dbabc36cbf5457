"""EM with categorical features: laws, a slow oracle, and rows that levels alone tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levels import random_mixed
from mixtures import KINDS, kinds, random_mixture, seeds

from gmm_core.em import fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.fitting.categories import Categories, categorical
from gmm_core.fitting.coded import CodedRows
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import Parameters, numpy_kernel
from gmm_core.fitting.rows import Rows
from gmm_core.mixed.em import fit_mixed, smoothing_share
from gmm_core.mixed.levels import as_codes, level_shares_of
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture

SIZES = (2, 4)


def slow_em(X, d, start, steps, smoothing, weight):
    """Row by row, component by component, by inverses and determinants."""
    n, k, sizes = len(X), start.n_components, start.sizes
    weights, means, full = start.weights, start.numeric.means, start.numeric.full_covariances()
    tables = [table.copy() for table in start.level_probabilities]
    for step in range(steps + 1):
        s = smoothing if step < steps else 0.0
        joint = np.empty((n, k))
        for i, x in enumerate(X):
            for j in range(k):
                delta = x[:d] - means[j]
                volume = np.sqrt((2 * np.pi) ** d * np.linalg.det(full[j]))
                joint[i, j] = (
                    weights[j] * np.exp(-0.5 * delta @ np.linalg.inv(full[j]) @ delta) / volume
                )
                for f, m in enumerate(sizes):
                    blurred = np.full(m, s / m)
                    blurred[int(x[d + f])] += 1 - s
                    joint[i, j] *= np.exp(blurred @ np.log(tables[f][j]))
        total = joint.sum(axis=1)
        if step == steps:
            break
        shares = joint / total[:, None] * weight[:, None]
        mass = shares.sum(axis=0)
        weights = mass / mass.sum()
        means = shares.T @ X[:, :d] / mass[:, None]
        full = np.empty((k, d, d))
        for j in range(k):
            centred = X[:, :d] - means[j]
            full[j] = (shares[:, j, None] * centred).T @ centred / mass[j]
        stored = start.numeric.kind.of_full(full, weights)
        full = start.numeric.kind.full(stored, k, d)
        for f, m in enumerate(sizes):
            for j in range(k):
                for code in range(m):
                    here = shares[X[:, d + f] == code, j].sum() / mass[j]
                    tables[f][j, code] = (1 - s) * here + s / m
    return weights, means, full, tables, float(np.average(np.log(total), weights=weight))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_against_a_slow_oracle(kind, weighted, kernel, monkeypatch):
    monkeypatch.setattr("gmm_core.fitting.coded._MANY", 10)  # some combinations are, some not
    X = random_mixed(5, 3, 2, SIZES).sample(80, 1)
    start = random_mixed(6, 2, 2, SIZES, kind)
    weight = np.random.default_rng(1).random(80) + 0.1 if weighted else np.ones(80)
    result = fit_mixed(
        X,
        SIZES,
        2,
        covariance_type=kind,
        start=start,
        reg_covar=0,
        smoothing=1.5,
        tol=0,
        max_iter=5,
        sample_weight=weight if weighted else None,
        kernel=kernel,
    )
    assert result.smoothing == pytest.approx(3 / 83)
    weights, means, full, tables, likelihood = slow_em(X, 2, start, 5, result.smoothing, weight)
    np.testing.assert_allclose(result.mixture.weights, weights, atol=1e-9)
    np.testing.assert_allclose(result.mixture.numeric.means, means, atol=1e-8)
    np.testing.assert_allclose(result.mixture.numeric.full_covariances(), full, atol=1e-8)
    for mine, theirs in zip(result.mixture.level_probabilities, tables, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    assert result.log_likelihood == pytest.approx(likelihood, abs=1e-9)
    own = np.average(result.mixture.log_prob(X), weights=weight)
    assert result.log_likelihood == pytest.approx(own, abs=1e-9)


@given(seeds, kinds, st.floats(0.01, 20))
def test_em_never_lowers_what_it_raises(seed, kind, smoothing):
    X = random_mixed(seed, 3, 2, SIZES).sample(120, seed)
    covariance = np.cov(X[:, :2].T)
    near = Mixture([0.5, 0.5], X[[0, 60], :2], [covariance, covariance]).as_type(kind)
    start = MixedMixture(near, random_mixed(seed + 1, 2, 2, SIZES).level_probabilities)
    result = fit_mixed(
        X, SIZES, 2, covariance_type=kind, start=start, reg_covar=0, smoothing=smoothing, tol=0, max_iter=12
    )  # fmt: skip
    if not result.reseeded:
        assert np.diff(result.trace).min() > -1e-10


@given(seeds, kinds)
def test_moments_and_level_shares_are_those_of_the_rows(seed, kind):
    X = random_mixed(seed, 3, 2, SIZES).sample(150, seed)
    result = fit_mixed(X, SIZES, 3, covariance_type=kind, reg_covar=0, max_iter=7, seed=seed)
    np.testing.assert_allclose(result.mixture.numeric.mean(), X[:, :2].mean(axis=0), atol=1e-10)
    wanted = level_shares_of(X[:, 2:], SIZES, result.smoothing)
    for shares, own in zip(result.mixture.level_shares(), wanted, strict=True):
        np.testing.assert_allclose(shares, own.smoothed, atol=1e-12)


@given(seeds)
def test_names_of_levels_do_not_matter(seed):
    X = random_mixed(seed, 3, 2, SIZES).sample(100, seed)
    order = np.random.default_rng(seed).permutation(4)
    there = X.copy()
    there[:, 3] = order[X[:, 3].astype(int)]
    one, other = (fit_mixed(rows, SIZES, 2, max_iter=9, seed=3) for rows in (X, there))
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(
        one.mixture.level_probabilities[1],
        other.mixture.level_probabilities[1][:, order],
        atol=1e-8,
    )


@given(seeds)
def test_one_component_is_the_moments_and_the_shares(seed):
    X = random_mixed(seed, 2, 2, SIZES).sample(60, seed)
    mixture = fit_mixed(X, SIZES, 1, reg_covar=0, smoothing=1e-9).mixture
    np.testing.assert_allclose(mixture.numeric.covariances[0], np.cov(X[:, :2].T, bias=True))
    shares = np.bincount(X[:, 3].astype(int), minlength=4) / 60
    np.testing.assert_allclose(mixture.level_probabilities[1][0], shares, atol=1e-9)


def test_a_feature_of_one_level_changes_nothing():
    X = random_mixture(3, 3, 2).sample(400, 1)
    start = random_mixture(4, 3, 2)
    plain = fit(X, 3, start=start, max_iter=20, tol=0)
    coded = np.column_stack([X, np.zeros(400)])
    mixed = fit_mixed(
        coded, [2], 3, start=MixedMixture(start, (np.full((3, 2), 0.5),)), max_iter=20, tol=0
    )
    np.testing.assert_allclose(mixed.mixture.numeric.means, plain.mixture.means, atol=1e-9)
    np.testing.assert_allclose(mixed.mixture.weights, plain.mixture.weights, atol=1e-10)


def test_levels_alone_tell_components_apart():
    """Two equal Gaussians: a fit of the numbers cannot know which row is whose."""
    same = Mixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], "spherical")
    tables = ([0.85, 0.15], [0.8, 0.1, 0.1], [0.1, 0.9], [0.2, 0.7, 0.1])
    truth = MixedMixture(same, tuple(np.array([row, row[::-1]]) for row in tables))
    X = truth.sample(4_000, 1)
    best = truth.log_prob(X).mean()
    found = fit_mixed(X, truth.sizes, 2, n_init=3, covariance_type="spherical")
    assert found.log_likelihood > best - 1e-3
    order = np.argsort(-found.mixture.level_probabilities[0][:, 0])
    for mine, theirs in zip(found.mixture.level_probabilities, tables, strict=True):
        np.testing.assert_allclose(mine[order[0]], theirs, atol=0.06)
    agree = (found.mixture.component(X) == order[truth.component(X)]).mean()
    assert agree > 0.97
    # What the numbers say: nothing beyond chance.
    alone = fit(X[:, :2], 2, n_init=3, covariance_type="spherical").mixture
    blind = (alone.component(X[:, :2]) == truth.component(X)).mean()
    assert 0.4 < blind < 0.6
    shares = [np.tile(np.bincount(column.astype(int)) / len(X), (2, 1)) for column in X[:, 2:].T]
    assert MixedMixture(alone, tuple(shares)).log_prob(X).mean() < best - 0.3


@given(seeds, kinds, st.booleans())
def test_kernels_and_ways_to_serve_rows_agree(seed, kind, weighted):
    rng = np.random.default_rng(seed)
    X = random_mixed(seed, 3, 2, SIZES).sample(400, seed)
    weight = rng.random(400) + 0.1 if weighted else None
    rows, _ = Rows.of(X[:, :2], weight, 0.0, 3)
    mixed = random_mixed(seed + 1, 3, 2, SIZES, kind)
    levels = np.concatenate(mixed.level_probabilities, axis=1)
    own = mixed.numeric
    joint = Parameters(own.weights, own.means / 4, own.covariances, levels=levels).joint(own.kind)
    categories, found = Categories(SIZES, 0.1), []
    with pytest.MonkeyPatch.context() as patch:
        for many in (1, 60, 10**9):
            patch.setattr("gmm_core.fitting.coded._MANY", many)
            coded = CodedRows.coded(rows, as_codes(X[:, 2:], SIZES))
            assert sum(len(one.rows) for one in coded.split[0]) + len(coded.split[1]) == 400
            found += [
                categorical(kernel, categories)(coded, joint, own.kind)
                for kernel in (numpy_kernel, compiled_kernel)
            ]
    for one in found[1:]:
        assert one.log_likelihood == pytest.approx(found[0].log_likelihood, rel=1e-11)
        for name in ("weight", "mean", "scatter", "levels"):
            np.testing.assert_allclose(getattr(one, name), getattr(found[0], name), atol=1e-9)


def test_many_rows_start_from_a_sample():
    truth = random_mixed(7, 3, 2, SIZES, spread=8.0)
    X = truth.sample(80_000, 1)
    result = fit_mixed(X, SIZES, 3)
    assert result.log_likelihood > truth.log_prob(X).mean() - 5e-3
    again = fit_mixed(X, SIZES, 3)
    assert again.mixture == result.mixture


def test_float32_rows():
    X = random_mixed(6, 3, 2, SIZES).sample(300, 1)
    single = fit_mixed(X.astype(np.float32), SIZES, 2, kernel="numpy")
    double = fit_mixed(X, SIZES, 2, kernel="numpy")
    np.testing.assert_allclose(
        single.mixture.numeric.means, double.mixture.numeric.means, atol=1e-4
    )


def test_unseen_levels_keep_a_probability():
    X = random_mixed(6, 2, 1, (2,)).sample(200, 1)
    table = fit_mixed(X, [5], 2).mixture.level_probabilities[0]
    s = smoothing_share(0.5, 2, 200)
    np.testing.assert_allclose(table[:, 2:], s / 5)


GOOD = np.column_stack([np.arange(8.0), np.arange(8) % 3])


@pytest.mark.parametrize(
    ("X", "levels", "arguments", "message"),
    [
        (GOOD, [2], {}, "3 are none|codes of levels: 2 are none, the first in row 2"),
        (GOOD, [], {}, "levels: got"),
        (GOOD, [1], {}, "levels: got"),
        (GOOD, ["a"], {}, "levels: got"),
        (GOOD[:, 1:], [3], {}, "numeric features of the rows: got 0"),
        (GOOD, [3], {"smoothing": 0.0}, "smoothing: got 0.0; allowed: above 0"),
        (GOOD, [3], {"max_iter": 0}, "max_iter"),
        (GOOD, [3], {"n_components": 9}, "fewer rows than components"),
        (GOOD, [3], {"start": random_mixture(1, 2, 1)}, "a MixedMixture"),
        (GOOD, [3], {"start": random_mixed(1, 2, 1, (4,))}, "levels of the start"),
        (GOOD, [3], {"sample_weight": -np.ones(8)}, "negative"),
        (np.where(GOOD == 3, np.nan, GOOD), [3], {}, "NaN"),
    ],
)
def test_what_is_refused(X, levels, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        fit_mixed(X, levels, **{"n_components": 2, **arguments})


def test_a_constant_feature_fails_as_it_does_without_levels():
    rows = np.column_stack([np.arange(8.0), np.ones(8), np.arange(8) % 2])
    with pytest.raises(FitFailed, match="constant"):
        fit_mixed(rows, [2], 2, reg_covar=0)


def test_rows_of_weight_nothing_do_not_count():
    X = random_mixed(6, 2, 1, (3,)).sample(100, 1)
    more = np.vstack([X, X + np.array([100.0, 0.0])])
    weight = np.repeat([1.0, 0.0], 100)
    assert (
        fit_mixed(more, [3], 2, sample_weight=weight).mixture
        == fit_mixed(X, [3], 2, sample_weight=np.ones(100)).mixture
    )
