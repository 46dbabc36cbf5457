"""Laws of Moments: a commutative monoid, exact against the rows it stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import random_rows, seeds

from gmm_core.errors import InvalidInput
from gmm_core.moments import Moments

offsets = st.sampled_from([0.0, 1.0, -1e4, 1e8])


def assert_same(a: Moments, b: Moments, scale: float = 1.0) -> None:
    """Equal up to rounding; `scale` is the size of the numbers that went in."""
    assert a.weight == pytest.approx(b.weight, rel=1e-12)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-14, atol=1e-14 * scale)
    # A mean of size `scale` is known to scale * eps: its square is what the scatter can be off by.
    atol = 1e-10 + 10 * a.weight * (scale * 1e-15) * max(1.0, scale * 1e-15)
    np.testing.assert_allclose(a.scatter, b.scatter, rtol=1e-11, atol=atol)


@given(seeds, st.integers(2, 60), st.integers(1, 4), offsets, st.data())
def test_adding_is_the_same_as_seeing_all_rows(seed, n, d, offset, data):
    X = random_rows(seed, n, d) + offset
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    parts = np.split(X, cuts)
    added = sum((Moments.of(part) for part in parts), Moments.empty(d))
    assert_same(added, Moments.of(X), 1 + abs(offset))


@given(seeds, st.integers(1, 4), offsets)
def test_adding_is_associative_and_commutative(seed, d, offset):
    a, b, c = (Moments.of(random_rows(seed + i, n, d) + offset) for i, n in enumerate((3, 20, 7)))
    scale = 1 + abs(offset)
    assert_same((a + b) + c, a + (b + c), scale)
    assert a + b == b + a  # bit for bit, for unequal weights


@given(seeds, st.integers(1, 4))
def test_the_empty_element_is_neutral(seed, d):
    moments = Moments.of(random_rows(seed, 5, d))
    empty = Moments.empty(d)
    assert moments + empty == moments == empty + moments
    assert empty + empty == empty


@given(seeds, st.integers(2, 30), st.integers(1, 3))
def test_a_weight_counts_rows(seed, n, d):
    X = random_rows(seed, n, d)
    times = np.random.default_rng(seed).integers(0, 4, n)
    times[0] = 1
    assert_same(Moments.of(X, times), Moments.of(np.repeat(X, times, axis=0)), 10)


def test_against_numpy():
    X = random_rows(3, 500, 3)
    weight = np.random.default_rng(3).random(500)
    moments = Moments.of(X, weight)
    np.testing.assert_allclose(moments.mean, np.average(X, axis=0, weights=weight), rtol=1e-13)
    np.testing.assert_allclose(
        moments.covariance, np.cov(X.T, aweights=weight, ddof=0), rtol=1e-12, atol=1e-14
    )


def test_a_far_offset_costs_no_digits_of_the_variance():
    # Whole numbers of variance 2/3 at 1e8: E[x^2] - mean^2 would give 0 or 2 here.
    X = 1e8 + np.tile([[-1.0], [0.0], [1.0]], (10_000, 1))
    moments = Moments.of(X)
    assert moments.mean[0] == 1e8
    assert moments.covariance[0, 0] == pytest.approx(2 / 3, rel=1e-14)


def test_a_far_mean_is_right_to_its_last_digit():
    X = random_rows(7, 5_000, 2) + 1e8
    weight = np.random.default_rng(7).random(5_000)
    plain, weighted = Moments.of(X), Moments.of(X, weight)
    for column in range(2):
        exact = math.fsum(X[:, column]) / len(X)
        assert abs(plain.mean[column] - exact) <= np.spacing(exact)
        exact = math.fsum(X[:, column] * weight) / math.fsum(weight)
        assert abs(weighted.mean[column] - exact) <= 2 * np.spacing(exact)


def test_many_chunks_are_one(monkeypatch):
    X = random_rows(5, 1_000, 2) + 1e6
    whole = Moments.of(X)
    monkeypatch.setattr("gmm_core.moments._CHUNK", 7)
    assert_same(Moments.of(X), whole, 1e6)


def test_moments_are_read_only():
    moments = Moments.of([[1.0], [2.0]])
    with pytest.raises(ValueError, match="read-only"):
        moments.mean[0] = 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments.of([[np.nan]]), "row 0, column 0"),
        (lambda: Moments.of([1.0, 2.0]), "two-dimensional"),
        (lambda: Moments.of([[1e200], [-1e200]]), "infinite"),
        (lambda: Moments.of([[1.0], [2.0]], [1.0, -1.0]), "negative"),
        (lambda: Moments.of([[1.0], [2.0]], [0.0, 0.0]), "zero for every row"),
        (lambda: Moments.of([[1.0], [2.0]], [1.0]), "shape"),
        (lambda: Moments.empty(2) + Moments.empty(3), "different numbers of features"),
        (lambda: Moments.empty(2).covariance, "no rows"),
        (lambda: Moments(-1.0, [0.0], [[0.0]]), "weight"),
        (lambda: Moments(1.0, [0.0], [[0.0, 1.0]]), "shape"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
