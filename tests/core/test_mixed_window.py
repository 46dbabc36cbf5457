"""Blocks and windows with categorical features: pooled, merged, reduced, labelled; their laws."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levels import features_of, mixed_block, random_mixed
from mixtures import OWN_KINDS, random_mixture, seeds

from gmm_core.block import fit_block, join_shards
from gmm_core.codec import from_dict, to_dict
from gmm_core.errors import InvalidInput
from gmm_core.features import OTHER, Feature, categorical_of, numeric_of, to_matrix
from gmm_core.invariants import block_laws, violations, window_laws
from gmm_core.labels import component_distances, first_labels, relabel
from gmm_core.mixed.levels import LevelShares
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.pooling import faded, pool
from gmm_core.reduction import reduce
from gmm_core.reduction.mixed import MIXED_CRITERIA, MixedPool
from gmm_core.reduction.searches import nested
from gmm_core.refinement.hard import harden
from gmm_core.refinement.parts import Model
from gmm_core.refinement.passes import log_density, log_joint, shared
from gmm_core.refinement.points import drawn
from gmm_core.refinement.units import Units
from gmm_core.strategy import Strategy
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

SIZES = (3, 5)
LOOSE = {"condition_number": 1e12, "maximum_weight": 1.0}
BOLD = Strategy(guard_points=0)  # accepts every move


def close(mine: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12, rtol=0)


@given(seeds, st.sampled_from(OWN_KINDS), st.sampled_from(sorted(MIXED_CRITERIA)), st.data())
def test_a_reduction_keeps_moments_and_level_shares(seed, kind, criterion, data):
    mixed = random_mixed(seed, data.draw(st.integers(1, 9)), 2, SIZES, kind)
    k = data.draw(st.integers(1, mixed.n_components))
    reduced = reduce(mixed, k, criterion=criterion)
    assert reduced.n_components == k
    close(reduced.level_shares(), mixed.level_shares())
    np.testing.assert_allclose(reduced.numeric.mean(), mixed.numeric.mean(), atol=1e-10)
    kept = np.diagonal if kind == "diag" else np.asarray
    np.testing.assert_allclose(
        kept(reduced.numeric.covariance()), kept(mixed.numeric.covariance()), rtol=1e-9
    )
    order = np.random.default_rng(seed).permutation(mixed.n_components)
    again = reduce(mixed.picked(order.tolist()), k, criterion=criterion)
    close(again.level_probabilities, reduced.level_probabilities)


@given(seeds)
def test_costs_are_those_of_slow_sums(seed):
    mixed = random_mixed(seed, 5, 2, SIZES)
    pool_ = MixedPool.of_mixed(mixed)
    tables = np.split(pool_.levels, [3], axis=1)
    numeric = pool_.mixture()
    costs = {
        name: np.stack([criterion(pool_, i) for i in range(5)])
        for name, criterion in MIXED_CRITERIA.items()
    }
    log_det = np.linalg.slogdet(numeric.covariances)[1]
    for i in range(5):
        for j in range(5):
            if i == j:
                continue
            a, b = numeric.weights[i], numeric.weights[j]
            pair = numeric.picked([i, j])
            bound = 0.5 * (
                (a + b) * np.linalg.slogdet(pair.covariance())[1] - a * log_det[i] - b * log_det[j]
            )
            jeffreys = 0.5 * (
                np.trace(np.linalg.solve(numeric.covariances[j], numeric.covariances[i]))
                + np.trace(np.linalg.solve(numeric.covariances[i], numeric.covariances[j]))
                - 4
            )
            delta = numeric.means[i] - numeric.means[j]
            for one in (i, j):
                jeffreys += 0.5 * delta @ np.linalg.solve(numeric.covariances[one], delta)
            for table in tables:
                p, q = table[i], table[j]
                m = (a * p + b * q) / (a + b)
                bound += a * (p @ np.log(p / m)) + b * (q @ np.log(q / m))
                jeffreys += p @ np.log(p / q) + q @ np.log(q / p)
            assert costs["runnalls"][i, j] == pytest.approx(bound, abs=1e-9)
            assert costs["jeffreys"][i, j] == pytest.approx(jeffreys * a * b / (a + b), rel=1e-9)


def test_levels_decide_what_is_merged_where_numbers_do_not():
    same = random_mixture(2, 1, 2)
    four = MixedMixture(
        type(same)([0.25] * 4, np.tile(same.means, (4, 1)), np.tile(same.covariances, (4, 1, 1))),
        (np.array([[0.9, 0.1], [0.2, 0.8], [0.88, 0.12], [0.1, 0.9]]),),
    )
    for criterion in MIXED_CRITERIA:
        found = reduce(four, 2, criterion=criterion).level_probabilities[0][:, 0]
        np.testing.assert_allclose(sorted(found), [0.15, 0.89])


def test_criteria_and_searches_that_do_not_know_levels_say_so():
    mixed = random_mixed(1, 4, 2, SIZES)
    for arguments in ({"criterion": "hotelling"}, {"criterion": "bures-wasserstein"}):
        with pytest.raises(InvalidInput, match=r'does not know categorical.*criterion "runnalls"'):
            reduce(mixed, 2, **arguments)
    with pytest.raises(InvalidInput, match="search that does not know"):
        reduce(mixed, 2, criterion="runnalls", search="kmeans-euclidean")
    blocks = [mixed_block(seed, f"2024-05-0{seed}", 80, SIZES) for seed in (1, 2)]
    with pytest.raises(InvalidInput, match="does not know categorical"):
        window_mixture(blocks, 2, "paper")


@settings(max_examples=12)
@given(seeds)
def test_blocks_and_windows_keep_their_laws(seed):
    sizes = [60, 100, 140]
    blocks = [mixed_block(seed + i, f"2024-05-0{i + 1}", n, SIZES) for i, n in enumerate(sizes)]
    for block in blocks:
        laws = block_laws(block, **LOOSE)
        assert not violations(laws)
        [law] = [law for law in laws if law.name == "level_shares_preserved"]
        assert law.got < 1e-12
    pooled = pool(blocks)
    assert pool(blocks[::-1]) == pooled
    own = [np.array(sizes) / 300 @ np.stack([b.levels[f].smoothed for b in blocks]) for f in (0, 1)]
    close(pooled.level_shares(), tuple(own))
    for strategy in ("runnalls", BOLD, "default"):
        window = window_mixture(blocks, 2, strategy)
        assert isinstance(window, MixedMixture)
        close(window.level_shares(), tuple(own))
        assert not violations(window_laws(window, blocks, **LOOSE))
        assert window_mixture(blocks[::-1], 2, strategy) == window
    # The law can fail: other shares, or tables that lost their component.
    table = window.level_probabilities[0]
    moved = (np.roll(table, 1, axis=1), window.level_probabilities[1])
    [broken] = violations(window_laws(MixedMixture(window.numeric, moved), blocks, **LOOSE))
    assert broken.name == "level_shares_preserved"


def test_faded_blocks_count_for_less():
    blocks = [mixed_block(i, f"2024-05-0{i}", 80, SIZES) for i in (1, 2)]
    counted = faded(blocks, "2024-05-02", 1.0)
    window = window_mixture(counted, 2, "runnalls")
    assert not violations(window_laws(window, counted, **LOOSE))
    [law] = violations(window_laws(window, blocks, **LOOSE))[-1:]
    assert law.name == "level_shares_preserved"


def test_shards_are_joined_as_blocks_are():
    rows = random_mixed(1, 3, 2, SIZES).sample(600, 1)
    shards = [
        fit_block("s", "2024-05-01", features_of(2, SIZES), part, k=3, restarts=1)
        for part in (rows[:200], rows[200:])
    ]
    joined = join_shards(shards, 3)
    assert not violations(block_laws(joined, **LOOSE))
    assert join_shards(shards[::-1], 3) == joined
    for one, column in zip(joined.levels, rows[:, 2:].T, strict=True):
        np.testing.assert_allclose(
            one.shares, np.bincount(column.astype(int), minlength=len(one.shares)) / 600, atol=1e-12
        )


def test_the_order_of_rows_does_not_matter():
    rows = random_mixed(1, 3, 2, SIZES).sample(300, 1)
    order = np.random.default_rng(0).permutation(300)
    one, other = (
        fit_block("s", "2024-05-01", features_of(2, SIZES), part, k=2, restarts=1)
        for part in (rows, rows[order])
    )
    assert one.digest == other.digest


def test_summaries_are_stored_and_told_apart():
    block = mixed_block(1, "2024-05-01", 80, SIZES)
    stored = json.loads(json.dumps(to_dict(block)))
    assert from_dict(stored, BlockSummary) == block
    other = LevelShares(block.levels[0].shares[::-1], block.levels[0].added[::-1])
    assert replace(block, levels=(other, block.levels[1])).digest != block.digest
    renamed = (*block.features[:3], Feature("c1", levels=("a", "b", "c", "d")))
    assert replace(block, features=renamed).digest != block.digest
    for wrong in ({"levels": ()}, {"mixture": block.mixture.numeric}):
        with pytest.raises(InvalidInput):
            replace(block, **wrong)


def test_a_block_stored_before_there_were_categories_still_loads():
    rows = random_mixture(1, 2, 1).sample(50, 1)
    block = fit_block("s", "2024-05-01", [Feature("x")], rows, k=2)
    stored = to_dict(block)
    assert "levels" not in stored
    assert stored["features"] == [{"name": "x", "transform": "identity"}]
    assert from_dict(stored, BlockSummary) == block


def alike_in_numbers(k: int) -> MixedMixture:
    """Components that nothing but one feature's levels, k of them, tells apart."""
    one = random_mixture(5, 1, 2)
    numeric = Mixture(
        np.full(k, 1 / k), np.tile(one.means, (k, 1)), np.tile(one.covariances, (k, 1, 1))
    )
    first = 0.04 / k + 0.96 * np.eye(k)
    second = np.eye(k)[::-1] * 0.96 + 0.04 / k
    return MixedMixture(numeric, (first, second))


@settings(max_examples=15)
@given(seeds)
def test_nested_reductions_are_the_single_ones(seed):
    mixed = random_mixed(seed, 5, 2, SIZES)
    for criterion in MIXED_CRITERIA:
        for k, found in nested(mixed, (3, 2, 5), criterion=criterion).items():
            assert found == reduce(mixed, k, criterion=criterion)


def test_k_is_chosen_by_levels_where_numbers_tell_nothing():
    truth = alike_in_numbers(3)
    blocks = [
        fit_block(
            "s", f"2024-05-0{day}", features_of(2, (3, 3)), truth.sample(600, day), k=4, restarts=2
        )
        for day in (1, 2, 3)
    ]
    chosen = window_mixture(blocks, range(1, 5))
    assert chosen.n_components == 3
    assert chosen == window_mixture(blocks, 3)
    rows = truth.sample(4_000, 9)
    assert chosen.log_prob(rows).mean() > truth.log_prob(rows).mean() - 0.02


def test_a_warm_start_keeps_the_levels_of_the_components():
    truth = alike_in_numbers(3)
    rows = truth.sample(400, 1)
    fitted = {"k": 4, "restarts": 1, "max_iterations": 3}
    names = features_of(2, (3, 3))
    warm = fit_block("s", "2024-05-01", names, rows, last=truth, **fitted)
    cold = fit_block("s", "2024-05-01", names, rows, **fitted)
    assert not violations(block_laws(warm, **LOOSE))
    # Three steps from where the components are say more than three from anywhere.
    assert warm.fit.log_likelihood > cold.fit.log_likelihood
    for wrong in (truth.numeric, random_mixed(1, 2, 2, (3, 4))):
        with pytest.raises(InvalidInput, match="of the last window mixture"):
            fit_block("s", "2024-05-01", names, rows, last=wrong, **fitted)


@settings(max_examples=15)
@given(seeds)
def test_parts_with_levels_are_asked_by_the_definition(seed):
    """Expected log-density of numbers and levels; of points it is the density of their rows."""
    pooled, model = random_mixed(seed, 6, 2, SIZES), random_mixed(seed + 1, 3, 2, SIZES)
    own = Model.of(model)
    parts = Model.of(pooled).parts()
    numbers = replace(parts, levels=None, sizes=())
    joint = log_joint(numbers, replace(own, levels=None, sizes=()))
    for p, table in zip(pooled.level_probabilities, model.level_probabilities, strict=True):
        joint = joint + np.log(table) @ p.T
    np.testing.assert_allclose(log_joint(parts, own), joint, rtol=1e-9, atol=1e-9)
    points = drawn(Model.of(pooled), 30, np.random.default_rng(seed))
    tables = np.split(points.levels, [3], axis=1)
    rows = np.column_stack([points.means, *(table.argmax(axis=1) for table in tables)])
    for one in (points, replace(points, compiled=True)):
        np.testing.assert_allclose(log_density(one, own), model.log_prob(rows), rtol=1e-9)
    merged = parts.merged(shared(parts, own)[0])
    np.testing.assert_allclose(merged.weights @ merged.levels, pooled.weights @ parts.levels)


def test_drawn_levels_are_those_of_the_components():
    pooled = random_mixed(3, 2, 2, SIZES)
    points = drawn(Model.of(pooled), 40_000, np.random.default_rng(0))
    share = points.levels.reshape(2, -1, 8).mean(axis=1)
    np.testing.assert_allclose(share, np.concatenate(pooled.level_probabilities, axis=1), atol=0.02)


def test_refinement_sees_levels():
    """A reduction that mixed up what levels tell apart is put right."""
    truth = alike_in_numbers(2)
    four = pool(
        [
            fit_block(
                "s",
                f"2024-05-0{day}",
                features_of(2, (2, 2)),
                truth.sample(800, day),
                k=2,
                restarts=2,
            )
            for day in (1, 2)
        ]
    )
    mixed_up = MixedMixture(
        random_mixture(5, 2, 2), tuple(np.array([[0.55, 0.45], [0.45, 0.55]]) for _ in (0, 1))
    )
    start = Units.of(four).into(mixed_up)
    parts = Units.of(four).into(four).parts()
    put_right = harden(parts, start, steps=20).model
    tables = np.sort(put_right.levels[:, 0])
    np.testing.assert_allclose(tables, [0.02, 0.98], atol=0.03)


@given(seeds)
def test_ids_follow_components_that_levels_alone_tell_apart(seed):
    order = np.random.default_rng(seed).permutation(3).tolist()
    one = random_mixture(seed, 1, 2)
    numeric = type(one)(
        [0.5, 0.3, 0.2], np.tile(one.means, (3, 1)), np.tile(one.covariances, (3, 1, 1))
    )
    table = 0.02 / 3 + 0.98 * np.eye(3)
    before = MixedMixture(numeric, (table,))
    now = MixedMixture(numeric.picked(order), (table[order],))
    labels = relabel(before, first_labels(before), now)
    assert labels.ids == tuple(first_labels(before).ids[index] for index in order)
    assert not labels.born
    with pytest.raises(InvalidInput, match="different features"):
        component_distances(before, numeric)


def test_columns_become_codes_and_models_answer_them():
    features = [
        Feature("x"),
        Feature("shop", levels=("north", "south")),
        Feature("n", levels=("1", "2")),
    ]
    assert [f.name for f in numeric_of(features)] == ["x"]
    assert [f.name for f in categorical_of(features)] == ["shop", "n"]
    columns = {
        "x": [1.0, 2.0, 3.0],
        "shop": np.array(["south", None, "West"], dtype=object),
        "n": np.array([1.0, 2.0, np.nan]),
    }
    rows = to_matrix(features, columns)
    assert rows.tolist() == [[1.0, 1.0, 0.0], [2.0, 2.0, 1.0], [3.0, 2.0, 2.0]]
    mixed = random_mixed(1, 2, 1, (3, 3))
    model = DensityModel.build("s", features, mixed, 0.99)
    made = model.transform(columns)
    np.testing.assert_allclose(made["log_prob"], mixed.log_prob(rows))
    assert [name for name in made if name.endswith("_normalised")] == ["x_normalised"]
    np.testing.assert_allclose(model.restore(made)["x"], columns["x"])
    assert {row["feature"] for row in model.component_table()} == {"x"}
    levels = model.level_table()
    assert len(levels) == 2 * (3 + 3)
    assert levels[2] == {
        "component": 0,
        "component_id": 0,
        "weight": mixed.weights[0],
        "feature": "shop",
        "level": OTHER,
        "probability": mixed.level_probabilities[0][0, 2],
    }
    again = from_dict(json.loads(json.dumps(to_dict(model))), DensityModel)
    assert again == model
    with pytest.raises(InvalidInput, match="after the numeric"):
        DensityModel.build("s", features[::-1], mixed, 0.99)
    with pytest.raises(InvalidInput, match="levels of the categorical"):
        DensityModel.build("s", features, random_mixed(1, 2, 1, (3, 4)), 0.99)


@pytest.mark.parametrize("levels", [(), ("a", "a"), ("a", OTHER), (1,), "ab"])
def test_what_are_no_levels(levels):
    with pytest.raises(InvalidInput, match="levels of feature 'c'"):
        Feature("c", levels=levels)
    with pytest.raises(InvalidInput, match="transform"):
        Feature("c", "log", levels=("a",))
