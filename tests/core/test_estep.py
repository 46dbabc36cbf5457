"""Parts of the E-step that stand on their own."""

from __future__ import annotations

import numpy as np
import pytest
from esteps import joint_of, plain_rows, random_estep
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, seeds

from gmm_core.fitting.estep import log_joint, numpy_kernel, worst_explained
from gmm_core.gaussian import kind_of, log_normalise


@given(seeds, kinds, st.integers(1, 8), st.booleans())
def test_the_worst_explained_rows_are_those_of_least_density(seed, kind, n, coarse):
    rows, joint = random_estep(seed, kind, n=60, d=2, k=3)
    if coarse:  # few different rows, many times each
        rows = plain_rows(np.round(rows.values / 8))
    X = rows.at(slice(None))
    density, _ = log_normalise(log_joint(X, joint, kind_of(kind)))
    order = np.argsort(density, kind="stable")
    _, first = np.unique(X[order], axis=0, return_index=True)
    want = X[order][np.sort(first)][:n]
    np.testing.assert_array_equal(worst_explained(rows, joint, kind_of(kind), n), want)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_do_not_change_which_rows_these_are(kind, monkeypatch):
    rows, joint = random_estep(1, kind, n=500, d=2, k=3)
    rows = plain_rows(np.repeat(rows.values, 3, axis=0))
    whole = worst_explained(rows, joint, kind_of(kind), 6)
    monkeypatch.setattr("gmm_core.fitting.rows.CHUNK", 17)
    np.testing.assert_array_equal(worst_explained(rows, joint, kind_of(kind), 6), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_sum_to_the_weights_however_far_out_a_row_is(kind):
    X = np.random.default_rng(1).normal(size=(300, 2))
    X[7], X[11] = [1e6, 0], [0, -1e6]
    weight = np.random.default_rng(2).random(300)
    how = kind_of(kind)
    full = np.stack([np.eye(2), np.diag([4.0, 0.25])])
    joint = joint_of([0.5, 0.5], [[0, 0], [0, 0]], how.of_full(full, np.ones(2)), kind)
    statistics = numpy_kernel(plain_rows(X, weight), joint, how)
    assert np.isfinite(statistics.log_likelihood)
    assert statistics.weight.sum() == pytest.approx(weight.sum(), rel=1e-12)
    assert statistics.total == statistics.weight.sum()
