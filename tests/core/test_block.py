"""Blocks: the block laws, shards, and what makes a fit fail."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, OWN_KINDS, own_kinds, random_mixture, random_rows, random_summary, seeds

from gmm_core.block import fit_block, join_shards
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.features import Feature
from gmm_core.invariants import block_laws, violations
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.refinement.warm import warm_start
from gmm_core.summary import BlockSummary

FEATURES = [Feature("price", "log"), Feature("delay")]


def fitted(X: np.ndarray, key: str = "2024-05-01", **settings) -> BlockSummary:
    return fit_block("orders", key, FEATURES, X, **{"k": 3, "restarts": 1} | settings)


def broken_laws(summary: BlockSummary) -> list[str]:
    laws = block_laws(summary, condition_number=1e10, maximum_weight=1.0)
    return [law.name for law in violations(laws)]


@given(seeds, st.integers(1, 5), own_kinds, st.sampled_from([1e-6, 1e-3, 0.3]), st.integers(1, 30))
def test_a_fitted_block_keeps_every_law(seed, k, kind, regularisation, iterations):
    X = random_rows(seed, 150, 2)
    summary = fitted(
        X,
        k=k,
        covariance_type=kind,
        regularisation=regularisation,
        max_iterations=iterations,
        seed=seed,
    )
    assert not broken_laws(summary)
    assert summary.rows == 150
    np.testing.assert_array_equal(summary.minimum, X.min(axis=0))
    np.testing.assert_array_equal(summary.maximum, X.max(axis=0))
    moments = Moments.of(X)
    np.testing.assert_allclose(summary.moments.mean, moments.mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(summary.moments.scatter, moments.scatter, rtol=1e-12)
    np.testing.assert_allclose(summary.regularisation, regularisation * X.var(axis=0), rtol=1e-9)


@given(seeds, own_kinds, st.sampled_from([1e-9, 1e-3, 1.0, 1e6]))
def test_units_do_not_matter(seed, kind, unit):
    X, scale = random_rows(seed, 150, 2), np.array([unit, 1.0])
    a = fitted(X, covariance_type=kind, max_iterations=15, tolerance=1e-12).mixture
    b = fitted(X * scale, covariance_type=kind, max_iterations=15, tolerance=1e-12).mixture
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-6)
    np.testing.assert_allclose(b.means / scale, a.means, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        b.full_covariances() / np.outer(scale, scale), a.full_covariances(), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_a_block_far_from_zero(kind):
    summary = fitted(random_rows(1, 500, 2) + np.array([1e8, -1e8]), covariance_type=kind)
    assert not broken_laws(summary)
    assert summary.fit.converged


def test_the_report_is_that_of_the_fit():
    X = random_rows(1, 300, 2)
    summary = fitted(X, restarts=4, input_digest="abc", fit_fingerprint="def")
    assert summary.fit.restarts == 4
    assert summary.fit.converged
    assert summary.fit.status.startswith("converged")
    assert summary.fit.log_likelihood == pytest.approx(summary.mixture.log_prob(X).mean())
    assert summary.fit.seconds > 0
    assert (summary.input_digest, summary.fit_fingerprint) == ("abc", "def")


def test_fitting_again_gives_the_same_digest():
    X = random_rows(1, 300, 2)
    assert fitted(X, seed=5).digest == fitted(X, seed=5).digest
    assert fitted(X, seed=5).digest != fitted(X[:-1], seed=5).digest


def test_the_order_of_the_rows_does_not_matter():
    X = random_rows(1, 300, 2)
    assert fitted(np.random.default_rng(1).permutation(X)).digest == fitted(X).digest


def test_a_constant_feature_fails_by_name_in_source_units():
    X = random_rows(1, 100, 2)
    X[:, 0] = np.log(20.0)
    with pytest.raises(
        FitFailed, match=r"'price' is constant in block 2024-05-01: got 20\.0; .*stream file"
    ):
        fitted(X)


@pytest.mark.parametrize(
    ("X", "settings", "error", "message"),
    [
        (np.empty((0, 2)), {}, InvalidInput, "block 2024-05-01 has no rows"),
        (np.ones((5, 3)), {}, InvalidInput, "wrong number of features"),
        ([[1.0, 2.0], [2.0, 3.0]], {}, InvalidInput, "fewer rows than components"),
        ([[1.0, np.nan]] * 5, {}, InvalidInput, "NaN"),
        (random_rows(1, 9, 2), {"regularisation": -1.0}, InvalidInput, "regularisation"),
        (random_rows(1, 9, 2), {"regularisation": np.nan}, InvalidInput, "regularisation"),
        (random_rows(1, 99, 1) * [1, 2], {"regularisation": 0.0}, FitFailed, "no usable mixture"),
    ],
)
def test_what_is_refused(X, settings, error, message):
    with pytest.raises(error, match=message):
        fitted(X, **settings)


@given(seeds, st.sampled_from([[150], [20, 60], [200, 230, 260]]), own_kinds)
def test_joined_shards_keep_every_law_of_a_block(seed, cuts, kind):
    parts = np.split(random_rows(seed, 300, 2), cuts)
    joined = join_shards([fitted(part, covariance_type=kind, seed=seed) for part in parts], 3)
    whole = Moments.of(np.vstack(parts))
    assert not broken_laws(joined)
    assert joined.mixture.n_components == 3
    assert joined.rows == 300
    np.testing.assert_allclose(joined.moments.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(joined.moments.scatter, whole.scatter, rtol=1e-10)
    np.testing.assert_array_equal(joined.minimum, np.vstack(parts).min(axis=0))
    np.testing.assert_array_equal(joined.maximum, np.vstack(parts).max(axis=0))


def test_the_order_in_which_shards_arrive_does_not_matter():
    shards = [fitted(part) for part in np.array_split(random_rows(1, 300, 2), 3)]
    a, b = join_shards(shards, 3), join_shards([shards[i] for i in (2, 0, 1)], 3)
    assert a.digest == b.digest


def test_a_single_shard_is_the_block():
    shard = fitted(random_rows(1, 100, 2))
    assert join_shards([shard], 3) is shard
    assert join_shards([shard], 2).mixture.n_components == 2


def test_the_joined_report_is_honest():
    parts = np.array_split(random_rows(1, 300, 2), 3)
    hasty = fitted(parts[0], max_iterations=1)
    shards = [hasty, *(fitted(part, max_iterations=500) for part in parts[1:])]
    report = join_shards(shards, 3).fit
    assert report.status == "joined from 3 shards, 2 of which converged"
    assert not report.converged
    assert report.iterations == max(shard.fit.iterations for shard in shards)
    assert report.seconds == pytest.approx(sum(shard.fit.seconds for shard in shards))
    want = np.mean([shard.fit.log_likelihood for shard in shards])
    assert report.log_likelihood == pytest.approx(want)


def test_shards_of_different_things_are_refused():
    a = fitted(random_rows(1, 50, 2))
    for change, message in (
        ({"key": "2024-05-02"}, "differ in key"),
        ({"fit_fingerprint": "other"}, "differ in fit_fingerprint"),
        ({"stream": "other"}, "differ in stream"),
    ):
        with pytest.raises(InvalidInput, match=message):
            join_shards([a, dataclasses.replace(a, **change)], 3)
    with pytest.raises(InvalidInput, match="no block summaries"):
        join_shards([], 3)


def test_shards_with_one_digest_keep_it_and_others_are_combined():
    a, b = random_summary(1), random_summary(2)
    one = dataclasses.replace(b, input_digest=a.input_digest)
    assert join_shards([a, one], 3).input_digest == a.input_digest
    assert len(join_shards([a, b], 3).input_digest) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": (Feature("x0"),)}, "disagree"),
        ({"minimum": [0.0]}, "minimum has the wrong shape"),
        ({"maximum": [0.0, np.nan]}, "maximum holds 1 NaN"),
        ({"regularisation": [0.0, -1.0]}, "regularisation"),
        ({"moments": Moments.empty(2)}, "needs rows"),
    ],
)
def test_a_summary_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        dataclasses.replace(random_summary(1), **change)


def test_a_summary_is_equal_and_hashed_by_content():
    a, b = random_summary(1), random_summary(1)
    assert dataclasses.replace(a, fit=b.fit) == b
    assert hash(a) == hash(b)
    for change in (
        {"stream": "other"},
        {"key": "2024-05-02"},
        {"features": (Feature("x0"), Feature("y"))},
        {"minimum": a.minimum - 1},
        {"maximum": a.maximum + 1},
        {"regularisation": a.regularisation * 2},
        {"input_digest": "other"},
        {"fit_fingerprint": "other"},
        {"fit": dataclasses.replace(a.fit, status="other")},
        {"fit": dataclasses.replace(a.fit, converged=not a.fit.converged)},
        {"fit": dataclasses.replace(a.fit, iterations=a.fit.iterations + 1)},
        {"fit": dataclasses.replace(a.fit, log_likelihood=a.fit.log_likelihood + 1e-12)},
        {"fit": dataclasses.replace(a.fit, restarts=a.fit.restarts + 1)},
        {"fit": dataclasses.replace(a.fit, reseeded=a.fit.reseeded + 1)},
        {"moments": a.moments + Moments.of([[0.0, 0.0]])},
        {"mixture": random_summary(2).mixture},
    ):
        assert dataclasses.replace(a, **change).digest != a.digest
        assert dataclasses.replace(a, **change) != a


def warm(X: np.ndarray, last: Mixture, **settings) -> BlockSummary:
    return fitted(X, k=4, last=last, max_iterations=5, **settings)


@given(seeds, st.sampled_from(KINDS), st.sampled_from([2, 4, 6]))
def test_a_warm_block_keeps_every_law_whatever_the_last_window(seed, kind, components):
    X = random_rows(seed, 200, 2)
    last = random_mixture(seed + 1, components, 2, kind)
    summary = warm(X, last, covariance_type=kind, seed=seed)
    assert not broken_laws(summary)
    assert summary.mixture.n_components == 4
    assert warm(X, last, covariance_type=kind, seed=seed).digest == summary.digest


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_a_window_of_yesterday_saves_iterations(kind):
    X, Y = np.array_split(random_rows(3, 2_000, 2, groups=3), 2)
    last = fitted(X, k=3, covariance_type=kind, max_iterations=200).mixture
    short = {"k": 4, "covariance_type": kind, "max_iterations": 3}
    cold = fitted(Y, **short).fit.log_likelihood
    assert fitted(Y, last=last, **short).fit.log_likelihood >= cold - 0.02


@pytest.mark.parametrize("far", [1e3, 1e-3])
def test_a_window_that_says_nothing_of_the_day_costs_nothing(far):
    X = random_rows(3, 1_000, 2)
    last = random_mixture(5, 3, 2)
    wrong = dataclasses.replace(last, means=last.means * far + 50 * far)
    report, cold = (fitted(X, k=4, last=one, max_iterations=60).fit for one in (wrong, None))
    assert report.log_likelihood >= cold.log_likelihood - 0.05


def test_newborn_components_stand_where_the_window_misses_rows():
    old, new = random_rows(1, 400, 2), np.random.default_rng(0).normal(60, 0.5, (80, 2))
    last = fitted(old, k=2).mixture
    X = np.vstack([old, new])
    start = warm_start(X, 4, last, Moments.of(X))
    assert start is None or np.abs(start.means - 60).max(axis=1).min() < 3
    assert np.abs(warm(X, last).mixture.means - 60).max(axis=1).min() < 3


def test_rows_in_a_plane_start_cold():
    X = random_rows(1, 300, 1) * [1.0, 2.0]
    last = random_mixture(1, 2, 2)
    assert warm_start(X, 4, last, Moments.of(X)) is None
    assert not broken_laws(warm(X, last))


def test_a_last_window_of_other_features_is_refused():
    with pytest.raises(InvalidInput, match="features of the last window mixture: got 3"):
        warm(random_rows(1, 99, 2), random_mixture(1, 2, 3))
