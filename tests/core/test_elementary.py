"""Powers and logarithms of 2 of vectors against numpy's, which are correct to a unit in the last place."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from gmm_core.kernels.elementary import exp2, log2
from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.vectors import load, store

ULPS = 4
LANES = 16  # of the widest vector: every array here is a whole number of them


@njit
def exp2_of(x, out):
    for i in range(0, len(x), VECTOR_BYTES // x.itemsize):
        store(out, i, exp2(load(x, i)))


@njit
def log2_of(x, out):
    for i in range(0, len(x), VECTOR_BYTES // x.itemsize):
        store(out, i, log2(load(x, i)))


def apply(function, x: np.ndarray) -> np.ndarray:
    assert len(x) % LANES == 0
    out = np.empty_like(x)
    function(x, out)
    return out


def ulps(got: np.ndarray, want: np.ndarray) -> float:
    """Largest distance in units in the last place of `want`, a float64 array of more digits."""
    return float(
        (np.abs(got.astype(np.longdouble) - want) / np.spacing(want.astype(got.dtype))).max()
    )


def longer(x: np.ndarray) -> np.ndarray:
    return x.astype(np.longdouble)


@pytest.mark.parametrize(("dtype", "least"), [(np.float64, -1020.0), (np.float32, -124.0)])
def test_exp2_over_its_range(dtype, least):
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            np.linspace(least, 0, 80_000),
            -(10.0 ** rng.uniform(-20, 0, 16_000)),
            # Where the argument is reduced to one and to the other side of zero.
            np.arange(-100, 0).repeat(80) + 0.5 + rng.normal(0, 1e-6, 8_000),
        ]
    ).astype(dtype)
    assert ulps(apply(exp2_of, x), np.exp2(longer(x))) <= ULPS


@pytest.mark.parametrize(
    ("dtype", "least", "floor"), [(np.float64, -1020.0, 1e-307), (np.float32, -124.0, 1e-37)]
)
def test_exp2_of_less_than_its_range_is_next_to_nothing_but_normal(dtype, least, floor):
    x = np.array([0, -0.0, least, 1.01 * least, 10 * least, -1e30, -np.inf, -1] * 2, dtype)
    got = apply(exp2_of, x)
    assert got[:2].tolist() == [1.0, 1.0]
    assert (got[3:7] == got[2]).all()
    assert np.finfo(dtype).smallest_normal < got[2] < floor * 2
    assert got[7] == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log2_over_its_range(dtype):
    rng, numbers = np.random.default_rng(2), np.finfo(dtype)
    lowest, highest = np.log(float(numbers.smallest_normal)), np.log(float(numbers.max))
    x = np.concatenate(
        [
            [numbers.smallest_normal, numbers.max, 1 - numbers.epsneg, 1 + numbers.eps, 2, 0.5],
            np.exp(rng.uniform(lowest + 1e-3, highest - 1e-3, 40_000)),
            rng.uniform(0.5, 100, 40_000),
            # Around 1, where the outcome is small and an error of any part of it shows.
            1 + rng.choice([-1, 1], 16_000) * 10.0 ** rng.uniform(-7, -1, 16_000),
            2.0 ** rng.integers(-100, 100, 8_000) * (1 + rng.normal(0, 1e-6, 8_000)),
        ]
    ).astype(dtype)
    x = x[x != 1]  # 1 itself is below: there an error has no relative size
    x = x[: len(x) // LANES * LANES]
    assert ulps(apply(log2_of, x), np.log2(longer(x))) <= ULPS
    assert (apply(log2_of, np.ones(LANES, dtype)) == 0).all()
