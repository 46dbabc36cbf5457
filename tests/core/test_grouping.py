"""Rows in groups: the bound that carries them holds, and nothing that counts is ever left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from esteps import assert_agree, joint_of, said_by, weights_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import random_mixture, seeds

from gmm_core.em import fit
from gmm_core.fitting import grouping
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import Joint, log_joint, numpy_kernel
from gmm_core.fitting.grouping import deepest, in_groups, largest_share
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import kind_of

TYPES = (np.float64, np.float32)
both_types = pytest.mark.parametrize("dtype", TYPES)
several_kinds = pytest.mark.parametrize("kind", ["full", "diag", "tied"])


def moved(joint: Joint, by: float, seed: int) -> Joint:
    """The joint of parameters so far away, in deviations."""
    rng, (k, d) = np.random.default_rng(seed), joint.means.shape
    noise = by * rng.normal(size=joint.whiteners.shape)
    if joint.whiteners.ndim == 3:
        white = (np.eye(d) + np.tril(noise)) @ joint.whiteners
        away = np.linalg.solve(joint.whiteners, rng.normal(size=(k, d, 1)))[:, :, 0]
    else:
        white = (1 + noise) * joint.whiteners
        away = rng.normal(size=(k, d)) / joint.whiteners
    offsets = joint.offsets + by * rng.normal(size=k)
    return replace(joint, offsets=offsets, means=joint.means + by * away, whiteners=white)


def clusters(kind: str, *, n=12_000, d=3, k=6, dtype=np.float64, weights="none", far=9.0):
    """Rows of components so far apart, in deviations, and the joint that made them."""
    rng = np.random.default_rng(d)
    means = far * rng.normal(size=(k, d))
    X = (means[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(dtype)
    rows, _ = Rows.of(X, weights_of(weights, n, 1), 1e-6, k)
    how = kind_of(kind)
    covariances = how.of_full(
        np.tile(np.diag(1 / np.square(rows.scale)), (k, 1, 1)), np.full(k, 1 / k)
    )
    return rows, joint_of(np.full(k, 1 / k), (means - rows.shift) / rows.scale, covariances, kind)


@settings(max_examples=60)
@given(seeds, st.sampled_from(["full", "diag"]), st.sampled_from([0.0, 1e-3, 0.02, 0.1]))
def test_no_share_grows_beyond_the_bound(seed, kind, by):
    k, d, how = 4, 3, kind_of(kind)
    truth = random_mixture(seed, k, d, kind)
    before = joint_of(truth.weights, 4 * truth.means, truth.covariances, kind)
    after = moved(before, by, seed)
    X = np.random.default_rng(seed).uniform(-25, 25, size=(2_000, d))
    was, now = log_joint(X, before, how), log_joint(X, after, how)
    own = was.argmax(axis=1)
    top, is_ = was.max(axis=1), np.take_along_axis(now, own[:, None], axis=1)
    for gap in (5.0, 38.0):
        bound = largest_share(before, after, gap)
        left_out = (was < top[:, None] - gap) & (top > deepest(before))[:, None]
        share = np.where(left_out, now - is_, -np.inf).max()
        assert share <= bound + 1e-9 * (1 + abs(bound))
        if by == 0:
            assert bound == pytest.approx(-gap, abs=1e-9)


@given(seeds, st.integers(1, 3_000), st.integers(4, 32), st.sampled_from([32, 224]))
def test_a_tile_has_all_components_of_its_rows(seed, n, k, tile):
    rng = np.random.default_rng(seed)
    marks = (1 << rng.integers(0, k, n) | 1 << rng.integers(0, k, n)).astype(np.uint32)
    joint = joint_of(np.full(k, 1 / k), np.zeros((k, 2)), np.tile(np.eye(2), (k, 1, 1)))
    block, grouping._BLOCK = grouping._BLOCK, 1_000
    try:
        order = in_groups(marks, joint, tile)
    finally:
        grouping._BLOCK = block
    seen = []
    for piece in (piece for span in order.spans for piece in span):
        own = marks[piece.block][piece.places]
        assert len(piece.masks) == -(-len(own) // tile)
        assert not (own & ~np.repeat(piece.masks, tile)[: len(own)]).any()
        seen.append(piece.block.start + piece.places.astype(int))
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(n))


@both_types
@several_kinds
@pytest.mark.parametrize("weights", ["none", "random"])
def test_e_steps_in_groups_agree_with_the_reference(kind, dtype, weights):
    rows, joint = clusters(kind, dtype=dtype, weights=weights)
    how = kind_of(kind)
    for step in range(4):  # two to see that little moves, which marks; two in groups
        now = moved(joint, 1e-4, step)
        got = compiled_kernel(rows, now, how)
        assert_agree(got, numpy_kernel(rows, now, how), rows, now)
    (groups,) = rows.memory.values()
    assert groups.order(now).computed < 0.5
    jump = moved(joint, 0.1, 9)
    assert_agree(compiled_kernel(rows, jump, how), numpy_kernel(rows, jump, how), rows, jump)
    assert groups.order(jump) is None


def test_nothing_behind_rows_in_groups_is_read():
    """The rows end where memory does, and the last of them stand in any tile."""
    program = """
from dataclasses import replace
import numpy as np
from esteps import assert_agree, before_a_wall
from test_grouping import clusters, moved
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import numpy_kernel
from gmm_core.gaussian import kind_of
for dtype in (np.float64, np.float32):
    for kind in ("full", "diag"):
        for d, n in ((2, 8_960), (3, 9_001), (10, 8_193)):
            rows, joint = clusters(kind, n=n, d=d, dtype=dtype)
            rows = replace(rows, values=before_a_wall(rows.values))
            how = kind_of(kind)
            for step in range(3):
                now = moved(joint, 1e-4, step)
                assert_agree(compiled_kernel(rows, now, how), numpy_kernel(rows, now, how), rows, now)
            (groups,) = rows.memory.values()
            assert groups.order(now) is not None
print("alive")
"""
    assert said_by(program) == "alive"


@both_types
@several_kinds
def test_fits_in_groups_are_those_of_all_components(kind, dtype, monkeypatch):
    rng = np.random.default_rng(3)
    X = (7 * rng.normal(size=(5, 3)))[rng.integers(5, size=9_001)] + rng.normal(size=(9_001, 3))
    settings = {"covariance_type": kind, "tol": 0, "max_iter": 12, "kernel": "compiled"}
    used, original = [], grouping.Groups.order

    def counted(self, joint):
        used.append(original(self, joint))
        return used[-1]

    monkeypatch.setattr(grouping.Groups, "order", counted)
    in_groups_ = fit(X.astype(dtype), 5, **settings)
    assert sum(order is not None for order in used) > 3
    monkeypatch.setattr(grouping, "_FEWEST", 10**9)
    plain = fit(X.astype(dtype), 5, **settings)
    exact = 1e-10 if dtype == np.float64 else 1e-5
    assert in_groups_.log_likelihood == pytest.approx(plain.log_likelihood, rel=exact)
    np.testing.assert_allclose(in_groups_.mixture.means, plain.mixture.means, atol=1e3 * exact)


def test_components_that_overlap_are_not_grouped():
    rows, joint = clusters("full", far=0.5)
    for _ in range(12):
        compiled_kernel(rows, joint, kind_of("full"))
    (groups,) = rows.memory.values()
    assert groups.order(joint) is None


@several_kinds
def test_rows_a_million_deviations_out_are_in_every_group(kind, monkeypatch):
    """Bounds end where they lie: they are marked for all components, and lose no share."""
    rows, joint = clusters(kind)
    values = rows.values.copy()
    values[[17, 4_000, 11_999]] = 1e6 * np.random.default_rng(4).normal(size=(3, 3))
    rows, how = replace(rows, values=values), kind_of(kind)
    for step in range(4):
        now = moved(joint, 1e-4, step)
        got = compiled_kernel(rows, now, how)
    (groups,) = rows.memory.values()
    assert groups.order(now).computed < 0.5
    monkeypatch.setattr(grouping, "_FEWEST", 10**9)
    plain = compiled_kernel(replace(rows), now, how)
    for found in (plain, numpy_kernel(rows, now, how)):
        assert got.log_likelihood == pytest.approx(found.log_likelihood, rel=1e-12)
        for name in ("weight", "mean", "scatter"):
            one, other = getattr(got, name), getattr(found, name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other).max())
