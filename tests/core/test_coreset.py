"""Rows kept of blocks: a fair sample, and what the window's polish makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import random_rows, seeds

from gmm_core import codec
from gmm_core.block import fit_block, join_shards
from gmm_core.coreset import coreset_of, joined_coreset
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.invariants import violations, window_laws
from gmm_core.pooling import pool
from gmm_core.refinement.kept import calibrated
from gmm_core.refinement.parts import Parts
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

FEATURES = [Feature("a"), Feature("b")]


def spiky(rng: np.random.Generator, n: int) -> np.ndarray:
    """A count and a skewed amount: peaks next to nothing wide, which few components blur."""
    counts, amounts = rng.poisson(1.2, n), rng.gamma(1.0, 1.0, n)
    return np.column_stack([np.log1p(counts), np.log(amounts + 0.01)])


def blocks_of(coreset: int, days: int = 10, n: int = 200, **given) -> list[BlockSummary]:
    rng = np.random.default_rng(3)
    settings = {"k": 3, "restarts": 1, "regularisation": 1e-4, "coreset": coreset} | given
    return [
        fit_block("s", f"2024-05-{day:02d}", FEATURES, spiky(rng, n), **settings)
        for day in range(1, days + 1)
    ]


@given(seeds, st.integers(0, 60))
def test_a_sample_is_of_the_rows_each_at_most_once(seed, most):
    X = np.arange(100.0).reshape(50, 2)
    got = coreset_of(X, most, seed)
    assert len(got) == min(most, 50)
    assert len(np.unique(got, axis=0)) == len(got)
    assert set(map(tuple, got)) <= set(map(tuple, X))


def test_every_row_is_as_likely_as_any_other():
    X = np.arange(20.0)[:, None]
    drawn = np.concatenate([coreset_of(X, 5, seed) for seed in range(2_000)])
    count = np.bincount(drawn[:, 0].astype(int), minlength=20)
    assert abs(count - 500).max() < 5 * np.sqrt(2_000 * 0.25 * 0.75)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 30), seeds)
def test_joined_samples_have_each_part_by_its_rows(sizes, most, seed):
    parts = [np.full((size, 1), float(place)) for place, size in enumerate(sizes)]
    kept = [coreset_of(part, most, seed) for part in parts]
    got = joined_coreset(kept, sizes, most, seed)
    assert len(got) == min(most, sum(sizes))
    share = np.array(sizes) * len(got) / sum(sizes)
    count = np.bincount(got[:, 0].astype(int), minlength=len(sizes))
    assert abs(count - share).max() <= 1


def test_a_joined_sample_is_fair():
    parts = [np.arange(4.0)[:, None], np.arange(4.0, 12.0)[:, None]]
    count = np.zeros(12)
    for seed in range(2_000):
        kept = [coreset_of(part, 6, 7 * seed + place) for place, part in enumerate(parts)]
        count[joined_coreset(kept, [4, 8], 6, 10_000 + seed)[:, 0].astype(int)] += 1
    assert abs(count - 1_000).max() < 5 * np.sqrt(2_000 * 0.25)


def test_summaries_without_are_what_they_were():
    without, with_rows = blocks_of(0, days=1)[0], blocks_of(20, days=1)[0]
    assert "coreset" not in codec.to_dict(without)
    assert without.coreset.shape == (0, 2)
    assert with_rows.digest != without.digest
    assert with_rows.mixture == without.mixture


def test_a_summary_with_rows_comes_back_from_its_codec():
    summary = blocks_of(20, days=1)[0]
    back = codec.from_dict(codec.to_dict(summary), BlockSummary)
    assert back == summary
    np.testing.assert_array_equal(back.coreset, summary.coreset)
    assert not back.coreset.flags.writeable


def test_the_order_of_rows_does_not_matter():
    X = spiky(np.random.default_rng(0), 300)
    one, other = (
        fit_block("s", "2024-05-01", FEATURES, rows, k=2, restarts=1, coreset=30)
        for rows in (X, X[::-1])
    )
    np.testing.assert_array_equal(one.coreset, other.coreset)


def test_shards_keep_as_many_rows_as_a_block():
    shards = blocks_of(30, days=3)
    same = [
        BlockSummary(**{**{f: getattr(s, f) for f in s.__dataclass_fields__}, "key": "2024-05-01"})
        for s in shards
    ]
    joined = join_shards(same, 4)
    assert joined.coreset.shape == (30, 2)
    every = {tuple(row) for shard in same for row in shard.coreset}
    assert {tuple(row) for row in joined.coreset} <= every


@settings(max_examples=25)
@given(seeds)
def test_calibrated_weights_give_the_target_and_move_as_little_as_possible(seed):
    rng = np.random.default_rng(seed)
    X = random_rows(seed, 400, 2)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    whole = Parts(np.full(400, 1 / 400), X, None)
    target = whole.features @ whole.weights
    some = Parts(np.full(100, 1 / 100), X[rng.permutation(400)[:100]], None)
    found = calibrated(some, target)
    if found is None:  # too far off, which is said rather than forced
        return
    np.testing.assert_allclose(found.features @ found.weights, target, atol=1e-12)
    # Any other weights with these sums are further away: the factors are linear in the features.
    factors = found.weights / some.weights
    fitted = np.linalg.lstsq(some.features.T, factors, rcond=None)[0] @ some.features
    np.testing.assert_allclose(factors, fitted, rtol=1e-9)


def test_what_cannot_be_calibrated_is_left():
    few = Parts(np.full(5, 0.2), np.arange(10.0).reshape(5, 2), None)
    assert calibrated(few, few.features @ few.weights) is None
    many = Parts(np.full(50, 0.02), random_rows(0, 50, 2), None)
    far = many.features @ many.weights
    far[1] += 1e3
    assert calibrated(many, far) is None


def test_a_window_of_blocks_that_kept_rows_explains_more_and_keeps_its_laws():
    plain, kept = blocks_of(0), blocks_of(300)
    later = spiky(np.random.default_rng(4), 4_000)
    without, polished = window_mixture(plain, 3), window_mixture(kept, 3)
    assert polished.log_prob(later).mean() > without.log_prob(later).mean() + 0.1
    assert not violations(window_laws(polished, kept, condition_number=1e12, maximum_weight=1.0))
    np.testing.assert_allclose(polished.covariance(), pool(kept).covariance(), rtol=1e-10)
    assert window_mixture(kept[::-1], 3) == polished


def test_rows_do_not_count_unless_all_blocks_kept_some_and_the_strategy_polishes():
    plain, kept = blocks_of(0), blocks_of(300)
    assert window_mixture([*kept[:-1], plain[-1]], 3) == window_mixture(plain, 3)
    assert window_mixture(kept, 3, "runnalls") == window_mixture(plain, 3, "runnalls")


def test_a_sample_too_small_to_say_anything_changes_nothing():
    assert window_mixture(blocks_of(8), 3) == window_mixture(blocks_of(0), 3)


@pytest.mark.parametrize("most", [-1, 10_001])
def test_a_wrong_size_is_refused(most):
    with pytest.raises(InvalidInput, match="rows of a coreset"):
        blocks_of(most, days=1)
