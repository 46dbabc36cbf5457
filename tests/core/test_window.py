"""The window: selection, pooling, hash, memory model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import OWN_KINDS, random_rows, random_summary

from gmm_core.block import fit_block
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.invariants import violations, window_laws
from gmm_core.memory import memory_model
from gmm_core.moments import Moments
from gmm_core.pooling import pool, pooled_regularisation
from gmm_core.reduction import reduce
from gmm_core.strategy import Strategy
from gmm_core.window import block_set_hash, select_blocks, window_mixture

KEYS = [f"2024-05-{day:02d}" for day in range(1, 9)]
SUMMARIES = {
    kind: [
        random_summary(index, key, n=60 + 40 * index, covariance_type=kind)
        for index, key in enumerate(KEYS)
    ]
    for kind in OWN_KINDS
}
subsets = st.lists(st.sampled_from(range(8)), min_size=1, max_size=8, unique=True)
own_kinds = st.sampled_from(OWN_KINDS)
strategies = st.sampled_from(
    ["default", "paper", Strategy(refine="soft", guard_points=0), Strategy(guard_points=0)]
)


@given(st.lists(st.dates()), st.dates(), st.integers(1, 10))
def test_the_window_is_the_newest_blocks_up_to_the_key(days, as_of, blocks):
    keys = [str(day) for day in days]
    window = select_blocks(keys, str(as_of), blocks)
    assert window == sorted(window)
    assert len(set(window)) == len(window) <= blocks
    older = {key for key in keys if key <= str(as_of)} - set(window)
    assert all(key <= str(as_of) for key in window)
    assert not older or (len(window) == blocks and max(older) < window[0])


def test_a_window_of_no_blocks_is_refused():
    with pytest.raises(InvalidInput, match="got 0"):
        select_blocks(KEYS, KEYS[-1], 0)


@given(subsets, own_kinds, strategies, st.randoms(use_true_random=False))
def test_pooling_and_hash_do_not_depend_on_the_order_of_blocks(chosen, kind, strategy, random):
    blocks = [SUMMARIES[kind][index] for index in chosen]
    shuffled = random.sample(blocks, len(blocks))
    assert pool(shuffled) == pool(blocks)
    assert block_set_hash(shuffled) == block_set_hash(blocks)
    assert window_mixture(shuffled, 3, strategy) == window_mixture(blocks, 3, strategy)
    np.testing.assert_array_equal(pooled_regularisation(shuffled), pooled_regularisation(blocks))


@given(subsets, subsets)
def test_the_hash_tells_sets_of_blocks_apart(a, b):
    first = block_set_hash(SUMMARIES["full"][index] for index in a)
    second = block_set_hash(SUMMARIES["full"][index] for index in b)
    assert (first == second) == (set(a) == set(b))


def test_the_hash_goes_by_the_content_of_blocks_not_by_their_keys_alone():
    block = SUMMARIES["full"][0]
    refitted = random_summary(99, block.key)
    moved = dataclasses.replace(block, key="2024-06-01")
    slower = dataclasses.replace(block, fit=dataclasses.replace(block.fit, seconds=99.0))
    assert len({block_set_hash([b]) for b in (block, refitted, moved)}) == 3
    assert block_set_hash([slower]) == block_set_hash([block])


@given(subsets, own_kinds)
def test_pooling_keeps_every_component_weighted_by_rows(chosen, kind):
    blocks = sorted((SUMMARIES[kind][index] for index in chosen), key=lambda b: b.key)
    pooled = pool(blocks)
    rows = sum(block.rows for block in blocks)
    want = np.concatenate([block.mixture.weights * block.rows / rows for block in blocks])
    np.testing.assert_allclose(pooled.weights, want, rtol=1e-12)
    np.testing.assert_array_equal(pooled.means, np.vstack([b.mixture.means for b in blocks]))


@given(subsets, own_kinds)
def test_the_pooled_density_is_the_blocks_densities_averaged_by_rows(chosen, kind):
    blocks = [SUMMARIES[kind][index] for index in chosen]
    X = np.random.default_rng(1).normal(0, 4, (20, 2))
    densities = np.array([np.exp(block.mixture.log_prob(X)) for block in blocks])
    want = np.average(densities, axis=0, weights=[block.rows for block in blocks])
    np.testing.assert_allclose(np.exp(pool(blocks).log_prob(X)), want, rtol=1e-9, atol=1e-300)


@given(subsets, own_kinds, st.integers(1, 3), strategies)
def test_the_window_mixture_has_the_moments_of_all_rows(chosen, kind, k, strategy):
    blocks = [SUMMARIES[kind][index] for index in chosen]
    mixture = window_mixture(blocks, k, strategy)
    assert mixture.n_components == k
    assert not violations(window_laws(mixture, blocks, condition_number=1e8, maximum_weight=1.0))
    moments = sum((block.moments for block in blocks), Moments.empty(2))
    np.testing.assert_allclose(mixture.mean(), moments.mean, atol=1e-10)


def test_a_criterion_s_name_is_a_plain_reduction_by_it():
    blocks = SUMMARIES["full"]
    for name in ("hotelling", "runnalls"):
        assert window_mixture(blocks, 3, name) == reduce(pool(blocks), 3, criterion=name)
    assert window_mixture(blocks, 3, "paper") == window_mixture(blocks, 3, "hotelling")
    with pytest.raises(InvalidInput, match="unknown criterion: got 'nearest'"):
        window_mixture(blocks, 3, "nearest")


def test_the_default_explains_the_rows_better_than_the_paper_s():
    rows, blocks = [], []
    for index, key in enumerate(KEYS):
        rows.append(random_rows(7, 2_400, 2, groups=4)[300 * index : 300 * (index + 1)])
        features = [Feature("x0"), Feature("x1")]
        blocks.append(fit_block("s", key, features, rows[-1], k=8, restarts=1, max_iterations=30))
    whole = np.vstack(rows)
    default, paper = (window_mixture(blocks, 4, name) for name in ("default", "paper"))
    assert default.log_prob(whole).mean() >= paper.log_prob(whole).mean() - 1e-3


def test_sliding_is_pooling_again_without_the_block_that_left():
    full = SUMMARIES["full"]
    assert block_set_hash(full[1:4]) == block_set_hash([b for b in full[:4] if b is not full[0]])
    assert window_mixture(full[1:4], 3) != window_mixture(full[:3], 3)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_blocks_far_from_zero(kind):
    features = [Feature("epoch"), Feature("value")]
    blocks = [
        fit_block(
            "s",
            key,
            features,
            np.random.default_rng(index).normal([1.7e9, 0.0], [3e4, 1.0], (300, 2)),
            k=2,
            covariance_type=kind,
        )
        for index, key in enumerate(KEYS)
    ]
    laws = window_laws(window_mixture(blocks, 2), blocks, condition_number=1e12, maximum_weight=1)
    assert not violations(laws)


def test_blocks_of_both_covariance_types_pool_as_full():
    full, diag = SUMMARIES["full"][0], SUMMARIES["diag"][1]
    pooled = pool([full, diag])
    assert pooled.covariance_type == "full"
    same = pool([full, dataclasses.replace(diag, mixture=diag.mixture.as_type("full"))])
    assert pooled == same
    mixture = window_mixture([full, diag], 2, covariance_type="diag")
    assert mixture.covariance_type == "diag"
    bounds = {"condition_number": 1e8, "maximum_weight": 1.0}
    for window in (mixture, window_mixture([full, diag], 2)):
        assert not violations(window_laws(window, [full, diag], **bounds))
    np.testing.assert_allclose(np.diagonal(mixture.covariance()), np.diagonal(pooled.covariance()))


def test_what_is_refused():
    full = SUMMARIES["full"]
    other_stream = dataclasses.replace(full[1], stream="other")
    other_feature = dataclasses.replace(full[1], features=(Feature("x0"), Feature("x1", "log1p")))
    for blocks, message in (
        ([], "no block summaries"),
        ([full[0], full[0]], "twice"),
        ([full[0], other_stream], "stream"),
        ([full[0], other_feature], "features"),
    ):
        with pytest.raises(InvalidInput, match=message):
            pool(blocks)
    with pytest.raises(InvalidInput, match="1 to 3"):
        window_mixture(full[:1], 4)


TABLE = [  # paper, n = 50,000, d = 10: k, full b_opt and R, diag b_opt and R
    (1, 87.04, 43.519, 154.30, 77.152),
    (2, 61.55, 30.773, 109.11, 54.554),
    (5, 38.92, 19.462, 69.01, 34.503),
    (10, 27.52, 13.762, 48.80, 24.398),
]


@pytest.mark.parametrize(("k", "full_b", "full_r", "diag_b", "diag_r"), TABLE)
def test_the_memory_model_gives_the_papers_table(k, full_b, full_r, diag_b, diag_r):
    full, diag = (memory_model(50_000, 10, k, kind) for kind in ("full", "diag"))
    assert (round(full.optimal_blocks, 2), round(full.best_compression, 3)) == (full_b, full_r)
    assert (round(diag.optimal_blocks, 2), round(diag.best_compression, 3)) == (diag_b, diag_r)
    assert (full.per_component, diag.per_component) == (66, 21)


@given(st.integers(1, 10**7), st.integers(1, 50), st.integers(1, 30), own_kinds)
def test_the_optimal_block_count_is_where_memory_is_least(n, d, k, kind):
    model = memory_model(n, d, k, kind)
    best = model.optimal_blocks
    least = 2 * np.sqrt(n * d * k * model.per_component)
    assert model.stored(best) == pytest.approx(least, rel=1e-12)
    assert all(model.stored(best * factor) >= least for factor in (0.5, 0.99, 1.01, 2))


def test_the_memory_model_counts_what_a_block_mixture_stores():
    for kind in OWN_KINDS:
        mixture = SUMMARIES[kind][0].mixture
        distinct = np.unique(mixture.covariances[0]).size  # a random covariance repeats none
        assert memory_model(1, 2, 1, kind).per_component == 1 + 2 + distinct
    with pytest.raises(InvalidInput, match=r"\(0, 1, 1\)"):
        memory_model(0, 1, 1, "full")
