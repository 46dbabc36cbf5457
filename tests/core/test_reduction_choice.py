"""Choice of k from the pooled components: right, free of order and units, steady from day to day."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import (
    KINDS,
    assert_same_mixture,
    kinds,
    mapped,
    permuted,
    random_mixture,
    seeds,
)

from gmm_core import WindowedGaussianMixture
from gmm_core.block import fit_block
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.pooling import pool
from gmm_core.reduction import reduce
from gmm_core.reduction.choice import choose
from gmm_core.reduction.searches import SEARCHES, nested
from gmm_core.strategy import Strategy
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

FIVE = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0], [16.0, 4.0]])
NEAR = 3.2  # apart: two groups or one, by which rows came
MIRRORED = np.array([[-1.5, 0.4], [0.3, 0.7]])


def groups(means: np.ndarray) -> Mixture:
    k, d = means.shape
    return Mixture(np.full(k, 1 / k), means, np.tile(np.eye(d), (k, 1, 1)))


def block(truth: Mixture, day: int, n: int, k: int) -> BlockSummary:
    features = [Feature(f"x{index}") for index in range(truth.n_features)]
    rows, key = truth.sample(n, seed=day), f"{day:03d}"
    return fit_block("s", key, features, rows, k=k, restarts=1, seed=day, max_iterations=60)


def followed(blocks: list[BlockSummary], window: int, margin: float, ks: range) -> list[int]:
    """k day by day, each with the one before as the previous."""
    chosen: list[int] = []
    for last in range(window, len(blocks) + 1):
        part = blocks[last - window : last]
        rows = sum(summary.rows for summary in part)
        previous = chosen[-1] if chosen else None
        choice = choose(pool(part), ks, rows, previous=previous, margin=margin, seed=last)
        chosen.append(choice.k)
    return chosen


@given(seeds, kinds, st.sampled_from(sorted(SEARCHES)), st.sampled_from(["runnalls", "jeffreys"]))
@settings(max_examples=12)
def test_the_family_is_the_reductions(seed, kind, search, criterion):
    mixture = random_mixture(seed, 14, 2, kind)
    family = nested(mixture, range(1, 15), criterion=criterion, search=search)
    for k, one in family.items():
        assert one == reduce(mixture, k, criterion=criterion, search=search)


def test_the_family_of_a_large_pool_is_the_reductions_too():
    mixture = random_mixture(3, 200, 3, spread=1.0)
    for k, one in nested(mixture, (2, 5, 31, 64, 150)).items():
        assert one == reduce(mixture, k, criterion="runnalls")


@given(
    seeds,
    kinds,
    st.sampled_from(["bic", "icl"]),
    st.floats(2, 3e3),
    st.sets(st.integers(1, 9), min_size=1),
)
@settings(max_examples=12)
def test_k_is_the_best_of_those_asked(seed, kind, criterion, rows, ks):
    mixture = random_mixture(seed, 9, 2, kind)
    choice = choose(mixture, ks, rows, criterion=criterion, strategy="runnalls")
    assert set(choice.scores) == set(choice.family) == ks
    assert choice.k == min(ks, key=lambda k: (choice.scores[k], k))
    assert not choice.kept
    own = mixture.as_type(mixture.kind.scatter_type)
    for k, one in choice.family.items():
        assert_same_mixture(one, reduce(own, k, criterion="runnalls").as_type(kind), rtol=1e-9)


@given(seeds)
@settings(max_examples=8)
def test_neither_order_nor_units_and_offsets_matter(seed):
    mixture = random_mixture(seed, 10, 2)
    first = choose(mixture, range(1, 6), 3_000, seed=4)
    assert choose(permuted(mixture, seed), range(1, 6), 3_000, seed=4).scores == first.scores
    other = choose(mapped(mixture, np.diag([50.0, 0.01]), 7.0), range(1, 6), 3_000, seed=4)
    shift = 2 * 3_000 * np.log(50.0 * 0.01)
    for k, score in first.scores.items():
        assert other.scores[k] - shift == pytest.approx(score, rel=1e-7, abs=1e-3)
    assert other.k == first.k


@pytest.mark.parametrize("seed", range(4))
def test_an_affine_map_that_turns_the_points_leaves_a_clear_choice(seed):
    base = groups(FIVE[:3])
    copies = Mixture(
        np.repeat(base.weights, 4) / 4,
        np.repeat(FIVE[:3], 4, axis=0) + np.random.default_rng(seed).normal(0, 0.05, (12, 2)),
        np.tile(np.eye(2), (12, 1, 1)),
    )
    one, other = (choose(m, range(1, 9), 5_000) for m in (copies, mapped(copies, MIRRORED, 3.0)))
    assert one.k == other.k == 3
    shift = 2 * 5_000 * np.log(abs(np.linalg.det(MIRRORED)))
    gaps = [(m.scores[2] - m.scores[3]) / 5_000 for m in (one, other)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.1)
    assert other.scores[3] - shift == pytest.approx(one.scores[3], abs=2 * 5_000 * 0.1)


@pytest.mark.parametrize("criterion", ["bic", "icl"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_exact_duplicates_of_k_components_are_k(k, kind, criterion):
    base = groups(FIVE[:k]).as_type(kind).as_type("diag" if kind == "spherical" else "full")
    copies = Mixture(
        np.repeat(base.weights, 4) / 4,
        np.repeat(base.means, 4, axis=0),
        np.repeat(base.covariances, 4, axis=0),
        base.covariance_type,
    )
    last = min(8, 4 * k)
    choice = choose(copies, range(1, last + 1), 5_000, criterion=criterion, covariance_type=kind)
    assert choice.k == k
    assert choice.family[k].covariance_type == kind


@pytest.mark.parametrize(("k", "n"), [(3, 500), (3, 2_000), (5, 500)])
def test_over_provisioned_blocks_of_a_known_truth_give_its_k(k, n):
    truth = random_mixture({3: 5, 5: 2}[k], k, 2, spread=8.0)
    blocks = [block(truth, day, n, 2 * k) for day in range(6)]
    assert choose(pool(blocks), range(1, 2 * k + 1), 6 * n).k == k


def test_two_new_groups_change_k_once_when_they_are_there():
    before, after = groups(FIVE[:3]), groups(FIVE)
    blocks = [block(before if day < 8 else after, day, 300, 10) for day in range(16)]
    chosen = followed(blocks, 4, 1.0, range(1, 8))
    # Window 5 is the first with a day of five groups.
    assert chosen == [3] * 5 + [5] * 8


def test_a_margin_holds_k_where_two_are_nearly_equal():
    near = groups(np.array([[0.0, 0.0], [NEAR, 0.0], [9.0, 0.0]]))
    blocks = [block(near, day, 200, 6) for day in range(24)]

    def changes(margin: float) -> int:
        chosen = followed(blocks, 4, margin, range(1, 6))
        assert set(chosen) <= {2, 3}
        return int(np.count_nonzero(np.diff(chosen)))

    assert changes(0.0) >= 4
    assert changes(1.0) <= 1


def test_the_margin_counts_prices_of_a_component():
    mixture, rows = random_mixture(1, 8, 2, spread=2.0), 1_000.0
    free = choose(mixture, range(1, 6), rows)
    for previous in set(range(1, 6)) - {free.k}:
        behind = (free.scores[previous] - free.scores[free.k]) / (6 * np.log(rows))
        kept = choose(mixture, range(1, 6), rows, previous=previous, margin=1.001 * behind)
        moved = choose(mixture, range(1, 6), rows, previous=previous, margin=0.999 * behind)
        assert (kept.k, kept.kept) == (previous, True)
        assert (moved.k, moved.kept) == (free.k, False)
    assert choose(mixture, range(1, 6), rows, previous=9, margin=1e9).k == free.k


@given(seeds, st.floats(0.5, 3.0))
@settings(max_examples=10)
def test_icl_costs_more_the_more_groups_overlap(seed, spread):
    # ICL is BIC and an entropy of 0 or more, which one component has none of.
    mixture = random_mixture(seed, 9, 2, spread=spread)
    bic, icl = (
        choose(mixture, range(1, 7), 2_000, criterion=c, strategy="runnalls")
        for c in ("bic", "icl")
    )
    assert icl.scores[1] == pytest.approx(bic.scores[1], rel=1e-12)
    assert all(icl.scores[k] >= bic.scores[k] - 1e-6 for k in bic.scores)


def test_groups_that_overlap_are_one_to_icl_and_two_to_bic():
    means = np.repeat([[0.0, 0.0], [2.5, 0.0]], 4, axis=0)
    by = {c: choose(groups(means), range(1, 5), 20_000, criterion=c).k for c in ("bic", "icl")}
    assert by == {"bic": 2, "icl": 1}


@pytest.mark.parametrize(
    ("ks", "rows", "more", "message"),
    [
        ([], 100, {}, "at least one of them.*give a range"),
        ([0, 1], 100, {}, "1 or more"),
        ([1.5], 100, {}, "whole numbers"),
        (range(1, 5), 100, {}, "got 4.*1 to 3.*lower the range"),
        ([1], 0, {}, "rows.*got 0.*above 1.*all blocks"),
        ([1], -3, {}, "got -3"),
        ([1], float("nan"), {}, "got nan"),
        ([1], 9, {"criterion": "aic"}, "bic, icl"),
        ([1], 9, {"margin": -1.0}, "margin"),
        ([1], 9, {"previous": "two"}, "previous"),
    ],
)
def test_what_is_refused(ks, rows, more, message):
    with pytest.raises(InvalidInput, match=f"(?si){message}"):
        choose(random_mixture(1, 3, 2), ks, rows, **more)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["default", "paper", Strategy(refine="soft")])
def test_a_window_of_a_range_is_the_window_of_the_k_chosen(kind, strategy):
    blocks = [block(groups(FIVE[:3]), day, 150, 5) for day in range(3)]
    chosen = window_mixture(blocks, range(1, 6), strategy, kind)
    assert chosen.n_components in range(1, 6)
    assert chosen == window_mixture(blocks, chosen.n_components, strategy, kind)
    assert chosen == window_mixture(blocks[::-1], [5, 4, 3, 2, 1], strategy, kind)


def test_a_window_keeps_the_previous_k_unless_another_is_clearly_better():
    near = groups(np.array([[0.0, 0.0], [NEAR, 0.0], [9.0, 0.0]]))
    blocks = [block(near, day, 200, 6) for day in range(4)]
    for previous in (2, 3):
        assert window_mixture(blocks, range(1, 6), previous_k=previous).n_components == previous


def test_the_windowed_estimator_chooses_for_the_blocks_that_are_there():
    three, five = groups(FIVE[:3]), groups(FIVE)

    def after(order: list[int], **parameters) -> WindowedGaussianMixture:
        model = WindowedGaussianMixture(range(1, 7), window=2, n_init=1, random_state=0)
        model.set_params(**parameters)
        for day in order:
            model.partial_fit((three if day < 2 else five).sample(400, seed=day), key=day)
        return model

    assert after([0, 1]).n_components_ == len(after([0, 1]).weights_) == 3
    model = after([0, 1, 2, 3], criterion="icl")
    assert model.n_components_ == 5
    assert after([3, 2, 0, 1], criterion="icl").n_components_ == 5
    assert model.summaries_[0].mixture.n_components == 6  # 12, did the rows justify them
    model.set_params(n_components=4)
    assert model.partial_fit(five.sample(400, seed=4)).n_components_ == 4


@pytest.mark.parametrize(
    "wrong", [{"n_components": []}, {"n_components": [0, 2]}, {"criterion": "heldout"}]
)
def test_what_the_windowed_estimator_refuses(wrong):
    rows = groups(FIVE).sample(50)
    with pytest.raises(InvalidInput):
        WindowedGaussianMixture(**wrong).fit(rows)
    with pytest.raises(InvalidInput, match="list"):
        WindowedGaussianMixture(iter([1, 2])).fit(rows)
