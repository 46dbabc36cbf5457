"""Fading: older blocks count for less, and every law holds for rows so weighted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, random_summary

from gmm_core.errors import InvalidInput
from gmm_core.invariants import violations, window_laws
from gmm_core.moments import Moments
from gmm_core.pooling import faded, pool
from gmm_core.window import window_mixture

KEYS = ["2024-02-27", "2024-02-29", "2024-03-01", "2024-03-05"]
AGES = np.array([7, 5, 4, 0])
BLOCKS = {
    kind: [
        random_summary(index, key, n=60 + 40 * index, covariance_type=kind)
        for index, key in enumerate(KEYS)
    ]
    for kind in KINDS
}
half_lives = st.floats(0.5, 100)


@given(half_lives, st.sampled_from(KINDS))
def test_each_block_counts_by_its_age_in_days(half_life, kind):
    blocks = BLOCKS[kind]
    got = faded(blocks, KEYS[-1], half_life)
    weights = np.array([b.rows for b in blocks]) * 0.5 ** (AGES / half_life)
    np.testing.assert_allclose([b.moments.weight for b in got], weights, rtol=1e-12)
    for one, whole in zip(got, blocks, strict=True):
        np.testing.assert_array_equal(one.moments.mean, whole.moments.mean)
        np.testing.assert_allclose(one.moments.covariance, whole.moments.covariance, rtol=1e-12)
        assert one.mixture is whole.mixture
        assert (one.digest == whole.digest) is (one.key == KEYS[-1])
    X = np.random.default_rng(0).normal(0, 4, (20, 2))
    densities = [np.exp(b.mixture.log_prob(X)) for b in blocks]
    want = np.average(densities, axis=0, weights=weights)
    np.testing.assert_allclose(np.exp(pool(got).log_prob(X)), want, rtol=1e-9, atol=1e-300)


@given(half_lives, st.sampled_from(KINDS), st.integers(1, 3))
def test_the_window_laws_hold_for_faded_blocks_and_not_without(half_life, kind, k):
    blocks = BLOCKS[kind]
    counted = faded(blocks, KEYS[-1], half_life)
    mixture = window_mixture(counted, k, covariance_type=kind)
    bounds = {"condition_number": 1e8, "maximum_weight": 1.0}
    assert not violations(window_laws(mixture, counted, **bounds))
    if half_life < 10:
        names = {law.name for law in violations(window_laws(mixture, blocks, **bounds))}
        assert "mean_preserved" in names
    exact = sum((block.moments for block in counted), Moments.empty(2))
    np.testing.assert_allclose(mixture.mean(), exact.mean, atol=1e-9)


@given(half_lives, st.integers(0, 400))
def test_a_later_key_takes_the_same_share_of_every_block(half_life, later):
    as_of = str(np.datetime64(KEYS[-1]) + later)
    now = faded(BLOCKS["full"], KEYS[-1], half_life)
    if 2.0 ** (-later / half_life) == 0:
        return
    then = faded(BLOCKS["full"], as_of, half_life)
    np.testing.assert_allclose(pool(then).weights, pool(now).weights, rtol=1e-9)
    total = sum(b.moments.weight for b in now) * 2.0 ** (-later / half_life)
    assert sum(b.moments.weight for b in then) == pytest.approx(total, rel=1e-9)


def test_without_a_half_life_nothing_fades_and_with_a_tiny_one_the_newest_stays():
    blocks = BLOCKS["full"]
    assert faded(blocks, KEYS[-1], None) == blocks
    assert [block.key for block in faded(blocks, KEYS[-1], 1e-3)] == [KEYS[-1]]
    assert [block.key for block in faded(blocks, KEYS[-1], 0.1)] == KEYS[-2:]
    assert faded([], KEYS[0], 1.0) == []


@pytest.mark.parametrize("half_life", [0, -1, float("nan")])
def test_a_half_life_is_above_0(half_life):
    with pytest.raises(InvalidInput, match="half_life"):
        faded(BLOCKS["full"], KEYS[-1], half_life)


def test_a_block_of_the_future_is_refused():
    with pytest.raises(InvalidInput, match=f"up to {KEYS[0]}"):
        faded(BLOCKS["full"], KEYS[0], 2.0)
