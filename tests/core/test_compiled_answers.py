"""Compiled answers about rows against the plain ones, whatever their number, layout and type."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds

from gmm_core import evaluation
from gmm_core.evaluation import parts_of
from gmm_core.features import Feature
from gmm_core.fitting.answers import answers
from gmm_core.gaussian import log_normalise
from gmm_core.health.scores import Scores
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel

# Around tiles of 32, 192 and 224 rows, and more than a thread takes at a time.
SIZES = (0, 1, 31, 32, 33, 193, 223, 224, 225, 448, 8193)
EVERYTHING = 10**12  # rows: compiled code pays, however few are asked about


def plain(mixture, rows):
    logs = mixture.log_joint(rows.astype(np.float64))
    return *log_normalise(logs), logs.argmax(axis=1)


def assert_agree(mixture, rows):
    density, component, shares = answers(rows, mixture._joint, shares=True)
    log_prob, log_shares, likeliest = plain(mixture, rows)
    size = np.maximum(np.abs(log_prob), 1.0)
    np.testing.assert_array_less(np.abs(density - log_prob), 1e-12 * size + 1e-300)
    off = np.abs(shares - log_shares) - 1e-12 * np.maximum(np.abs(log_shares), size[:, None])
    assert not len(off) or off.max() <= 0
    # Of two shares that are equal but for rounding either may be the larger.
    taken = np.take_along_axis(log_shares, component[:, None], axis=1)[:, 0]
    best = np.take_along_axis(log_shares, likeliest[:, None], axis=1)[:, 0]
    np.testing.assert_array_less(best - taken, 1e-12 * size + 1e-300)
    assert (component.dtype, component.shape) == (np.int64, (len(rows),))
    alone, same, nothing = answers(rows, mixture._joint)
    assert (alone == density).all()
    assert (same == component).all()
    assert len(nothing) == 0


@settings(max_examples=60)
@given(
    seeds, kinds, st.sampled_from(SIZES), st.integers(1, 12), st.integers(1, 11),
    st.sampled_from(["C", "F", "float32", "readonly", "every other"]),
)  # fmt: skip
def test_they_agree_with_the_plain_answers(seed, kind, n, k, d, layout):
    rows = random_rows(seed, max(2 * n, 1), d)[: 2 * n]
    rows = rows[::2] if layout == "every other" else rows[:n]
    if layout == "F":
        rows = np.asfortranarray(rows)
    if layout == "float32":
        rows = rows.astype(np.float32)
    if layout == "readonly":
        rows = rows.copy()
        rows.flags.writeable = False
    assert_agree(random_mixture(seed, k, d, kind), rows)


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_costs_no_digits(kind):
    """Of rows a hundred million away from 0, as of rows about it; no difference but the input's own."""
    mixture = random_mixture(3, 4, 3, kind)
    moved = Mixture(mixture.weights, mixture.means + 2.0**27, mixture.covariances, kind)
    rows = np.round(random_rows(5, 500, 3) * 2.0**10) * 2.0**-10
    far = answers(rows + 2.0**27, moved._joint)[0]
    np.testing.assert_allclose(far, plain(moved, rows + 2.0**27)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_out_of_reach_and_rows_with_gaps_are_answered_as_before(kind):
    mixture, rows = random_mixture(1, 3, 2, kind), random_rows(2, 300, 2)
    rows[[0, 50, 299]] = [[1e150, -1e150], [1e160, 1e160], [1e200, 3.0]]
    rows[[7, 100], [0, 1]] = np.nan
    rows[8] = np.nan
    names = ("log_prob", "component", "log_responsibilities", "density_and_component")
    want = {name: getattr(mixture, name)(rows, missing="marginalise") for name in names}
    with parts_of(EVERYTHING):
        got = {name: getattr(mixture, name)(rows, missing="marginalise") for name in names}
    for name in names[:3]:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-12, atol=1e-12, err_msg=name)
    for one, other in zip(got[names[3]], want[names[3]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_many_rows_and_parts_of_many_are_answered_by_compiled_code(monkeypatch):
    mixture, rows, asked = random_mixture(1, 3, 2), random_rows(2, 100, 2), []
    monkeypatch.setattr(evaluation, "optional", lambda *names: asked.append(names[0]) or Plain)
    mixture.log_prob(rows)
    assert asked == [], "too few to load compiled code for"
    with parts_of(evaluation._MUCH // 21 - 1):
        mixture.log_prob(rows)
    assert asked == []
    with parts_of(evaluation._MUCH // 21 + 1):
        mixture.log_prob(rows)
    assert asked == ["gmm_core.fitting.answers"]
    mixture.log_prob(rows)
    assert len(asked) == 1, "the end of the block is the end of it"


class Plain:
    @staticmethod
    def answers(rows, joint, *, shares):
        nothing = np.full(len(rows), np.nan)
        return nothing, np.zeros(len(rows), np.int64), np.zeros((0, 3))


def test_without_numba_plain_code_answers(monkeypatch):
    mixture, rows = random_mixture(1, 3, 2), random_rows(2, 100, 2)
    want = mixture.log_prob(rows)
    monkeypatch.setitem(sys.modules, "gmm_core.fitting.answers", None)
    with parts_of(EVERYTHING):
        assert (mixture.log_prob(rows) == want).all()


def test_a_models_answers_are_those_of_the_plain_code():
    rows = random_rows(4, 3_000, 3)
    model = DensityModel.build("s", [Feature(n) for n in "abc"], random_mixture(3, 4, 3), 0.99)
    columns = {name: rows[:, at] for at, name in enumerate("abc")}
    want, scores = model.transform(columns), Scores.of([model], columns)
    with parts_of(EVERYTHING):
        got, again = model.transform(columns), Scores.of([model], columns)
    assert list(got) == list(want)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-12, atol=1e-12, err_msg=name)
    assert again.tallies == scores.tallies
    np.testing.assert_allclose(again.log_prob.mean, scores.log_prob.mean, rtol=1e-12)
