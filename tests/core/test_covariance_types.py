"""What pooling, merging, laws and files make of each covariance type."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KEPT, KINDS, kinds, permuted, random_mixture, seeds

from gmm_core.block import join_shards
from gmm_core.codec import from_dict, to_dict
from gmm_core.features import Feature
from gmm_core.invariants import block_laws, violations, window_laws
from gmm_core.memory import memory_model
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.pooling import pool
from gmm_core.reduction import merge_pair, reduce
from gmm_core.summary import BlockSummary, FitReport
from gmm_core.window import window_mixture

BOUNDS = {"condition_number": 1e8, "maximum_weight": 1.0}
pairs = list(itertools.product(KINDS, KINDS))


def summary_of(mixture: Mixture, key: str, rows: float = 100.0) -> BlockSummary:
    """A block whose rows have the mixture's own moments."""
    d = mixture.n_features
    return BlockSummary(
        stream="made_up",
        key=key,
        features=tuple(Feature(f"x{i}") for i in range(d)),
        mixture=mixture,
        moments=Moments(rows, mixture.mean(), mixture.covariance() * rows),
        minimum=mixture.means.min(axis=0) - 1,
        maximum=mixture.means.max(axis=0) + 1,
        regularisation=np.zeros(d),
        fit=FitReport("made up", True, 1, 0.0, 1, 0, 0.0),
        input_digest=f"digest of {mixture.content_hash()}",
        fit_fingerprint="settings",
    )


def blocks_of(*kinds: str) -> list[BlockSummary]:
    return [
        summary_of(random_mixture(i, 3, 3, kind), f"2024-05-0{i + 1}", 50.0 + 20 * i)
        for i, kind in enumerate(kinds)
    ]


def assert_kept(got: Mixture, want: Mixture, *kinds: str) -> None:
    """The mean, and of the covariance what every one of these kinds keeps."""
    np.testing.assert_allclose(got.mean(), want.mean(), atol=1e-12)
    least = max(kinds, key=KINDS.index)
    np.testing.assert_allclose(
        KEPT[least](got.covariance()), KEPT[least](want.covariance()), rtol=1e-11, atol=1e-11
    )


@given(seeds, st.integers(2, 6), st.integers(1, 4), kinds, st.data())
def test_merging_a_pair_keeps_what_the_type_can(seed, k, d, kind, data):
    mixture = random_mixture(seed, k, d, kind)
    i, j = data.draw(st.permutations(range(k)))[:2]
    merged = merge_pair(mixture, i, j)
    assert (merged.n_components, merged.covariance_type) == (k - 1, kind)
    assert_kept(merged, mixture, kind)


@given(seeds, st.integers(1, 9), st.integers(1, 3), kinds, st.data())
def test_reducing_keeps_what_the_type_can(seed, size, d, kind, data):
    mixture = random_mixture(seed, size, d, kind)
    k = data.draw(st.integers(1, size))
    reduced = reduce(mixture, k)
    assert (reduced.n_components, reduced.covariance_type) == (k, kind)
    assert_kept(reduced, mixture, kind)
    assert reduce(permuted(mixture, seed), k) == reduced


@given(seeds, st.integers(1, 6), kinds)
def test_reducing_to_as_many_only_orders(seed, k, kind):
    mixture = random_mixture(seed, k, 2, kind)
    order = np.lexsort(mixture.means.T[::-1])
    reduced = reduce(mixture, k)
    np.testing.assert_array_equal(reduced.means, mixture.means[order])
    np.testing.assert_array_equal(
        reduced.covariances, mixture.kind.picked(mixture.covariances, order)
    )


@pytest.mark.parametrize("kind", ["tied", "spherical"])
def test_what_is_shared_is_merged_apart_and_shared_again(kind):
    mixture = random_mixture(3, 7, 2, kind)
    own = mixture.as_type(mixture.kind.scatter_type)
    assert reduce(mixture, 3) == reduce(own, 3).as_type(kind)
    assert merge_pair(mixture, 2, 5) == merge_pair(own, 2, 5).as_type(kind)


@pytest.mark.parametrize(("first", "second"), pairs)
def test_pooling_loses_nothing_whatever_the_types(first, second):
    blocks = blocks_of(first, second, first)
    pooled = pool(blocks)
    X = np.random.default_rng(1).normal(0, 5, (50, 3))
    share = np.array([block.moments.weight for block in blocks])
    share /= share.sum()
    densities = [np.exp(block.mixture.log_prob(X)) for block in blocks]
    np.testing.assert_allclose(np.exp(pooled.log_prob(X)), share @ densities, rtol=1e-10)
    assert pool(blocks[::-1]) == pooled


@pytest.mark.parametrize(("first", "second"), pairs)
@pytest.mark.parametrize("wanted", [None, *KINDS])
def test_a_window_of_any_types_keeps_its_laws(first, second, wanted):
    blocks = blocks_of(first, second, second)
    mixture = window_mixture(blocks, 4, covariance_type=wanted)
    assert mixture.covariance_type == (wanted or (first if first == second else "full"))
    assert violations(window_laws(mixture, blocks, **BOUNDS)) == []
    assert_kept(mixture, pool(blocks), mixture.covariance_type)
    wider = dataclasses.replace(mixture, covariances=mixture.covariances * (1 + 1e-5))
    broken = violations(window_laws(wider, blocks, **BOUNDS))
    assert [law.name for law in broken] == ["covariance_preserved"]


@pytest.mark.parametrize("kind", ["tied", "spherical"])
def test_a_window_shares_only_after_the_merges(kind):
    blocks = blocks_of(kind, kind, kind)
    assert window_mixture(blocks, 4, "runnalls") == reduce(pool(blocks), 4).as_type(kind)
    if kind == "tied":  # averaged over the blocks first, other components would be the closest
        assert window_mixture(blocks, 4, "runnalls") != reduce(pool(blocks).as_type(kind), 4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_law_of_a_block_asks_what_its_type_can_keep(kind):
    block = summary_of(random_mixture(1, 3, 2, kind), "2024-05-01")

    def broken(change: np.ndarray) -> list[str]:
        covariance = block.moments.covariance + change
        other = Moments(block.moments.weight, block.moments.mean, covariance * block.moments.weight)
        laws = block_laws(dataclasses.replace(block, moments=other), **BOUNDS)
        return [law.name for law in violations(laws)]

    off, uneven, wider = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.diag([1, 0])
    caught = ["covariance_preserved"]
    assert broken(0 * off) == []
    assert broken(1e-6 * off) == (caught if kind in ("full", "tied") else [])
    assert broken(1e-6 * uneven) == (caught if kind != "spherical" else [])
    assert broken(1e-6 * wider) == caught


def test_each_law_names_what_it_compares():
    says = {}
    for kind in KINDS:
        laws = block_laws(summary_of(random_mixture(1, 2, 2, kind), "2024-05-01"), **BOUNDS)
        (law,) = [law for law in laws if law.name == "covariance_preserved"]
        says[kind] = law.says
    assert "covariance, less the regularisation, equals" in says["full"]
    assert says["tied"] == says["full"]
    assert "variances, less the regularisation, equal the" in says["diag"]
    assert "total variance, less the regularisation, equals" in says["spherical"]


@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_joined_in_their_own_type(kind):
    shards = [summary_of(random_mixture(i, 3, 2, kind), "2024-05-01", 80.0 + i) for i in range(3)]
    joined = join_shards(shards, 3)
    assert joined.mixture.covariance_type == kind
    assert violations(block_laws(joined, **BOUNDS)) == []
    assert join_shards(shards[::-1], 3) == joined


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_every_type_comes_back_from_its_file(kind):
    mixture = random_mixture(4, 3, 2, kind)
    data = json.loads(json.dumps(to_dict(mixture), allow_nan=False))
    assert data["schema"] == "blockmix/mixture/1"
    assert data["covariance_type"] == kind
    back = from_dict(data, Mixture)
    assert back == mixture
    assert back.covariances.tobytes() == mixture.covariances.tobytes()
    assert np.shape(data["covariances"]) == mixture.kind.shape(3, 2)


def test_a_component_stores_as_much_as_its_pooled_type():
    per_component = {kind: memory_model(1_000, 4, 2, kind).per_component for kind in KINDS}
    assert per_component == {"full": 15, "tied": 15, "diag": 9, "spherical": 6}
