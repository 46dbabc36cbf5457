"""Cells keep what they stand for: pooling, moments, and nothing lost, whatever the values are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmm_core.errors import InvalidInput
from gmm_core.moments import Moments
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.grid import Grid, Zone

seeds = st.integers(0, 2**32 - 1)
SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "far": lambda rng, n: rng.normal(size=n) + 1e8,
    "spikes": lambda rng, n: np.where(rng.random(n) < 0.4, 1.5, rng.normal(size=n)),
    "wide": lambda rng, n: np.where(rng.random(n) < 0.5, rng.normal(size=n), 1e6 + rng.normal(size=n)),
    "whole numbers": lambda rng, n: rng.poisson(5, n).astype(float),
    "tiny": lambda rng, n: 1e-30 * rng.normal(size=n),
}  # fmt: skip
shapes = st.sampled_from(sorted(SHAPES))


def rows_of(shape, seed, n):
    return SHAPES[shape](np.random.default_rng(seed), n)


@given(shapes, seeds, st.integers(1, 3_000))
def test_moments_and_range_are_those_of_the_rows(shape, seed, n):
    x = rows_of(shape, seed, n)
    cells = Cells.of(x, Grid.of_sample(x[: n // 2 + 1]))
    exact = Moments.of(x[:, None])
    deviation = max(np.sqrt(exact.covariance[0, 0]), 1e-300)
    rounding = 1e-12 + 1e-14 * np.abs(x).max() / deviation
    assert cells.rows == n
    assert abs(cells.moments.mean[0] - exact.mean[0]) <= rounding * deviation
    assert abs(cells.moments.covariance[0, 0] - exact.covariance[0, 0]) <= rounding * deviation**2
    assert (cells.minimum.min(), cells.maximum.max()) == (x.min(), x.max())


@given(shapes, seeds, st.tuples(*[st.integers(0, 500)] * 3))
def test_pooling_is_associative_and_that_of_all_rows(shape, seed, sizes):
    x = rows_of(shape, seed, sum(sizes) + 1)
    grid = Grid.of_sample(x)
    ends = np.cumsum(sizes)
    a, b, c = (Cells.of(part, grid) for part in np.split(x, ends)[:3])
    rest = Cells.of(x[ends[-1] :], grid)
    whole = Cells.of(x, grid)
    wide = grid.widths(whole.mean)
    for pooled in ((a + b) + (c + rest), a + (b + (c + rest)), ((rest + c) + b) + a):
        np.testing.assert_array_equal(pooled.key, whole.key)
        np.testing.assert_array_equal(pooled.weight, whole.weight)
        np.testing.assert_array_equal(pooled.minimum, whole.minimum)
        # A mean is written down no finer than its own last digits.
        digits = 4e-16 * np.abs(whole.mean)
        assert (np.abs(pooled.mean - whole.mean) <= 1e-8 * wide + digits).all()
        assert (np.abs(pooled.variance - whole.variance) <= (1e-6 * wide + digits) * wide).all()


@given(shapes, seeds)
def test_a_cell_is_an_interval_as_wide_as_the_grid_says(shape, seed):
    x = rows_of(shape, seed, 2_000)
    grid = Grid.of_sample(x)
    cells = Cells.of(x, grid)
    assert (cells.minimum[1:] > cells.maximum[:-1]).all(), "no cell reaches into another"
    wide = np.maximum(grid.widths(cells.minimum), grid.widths(cells.maximum))
    assert (cells.maximum - cells.minimum <= 2.01 * wide).all()
    assert (cells.variance <= np.square(cells.maximum - cells.minimum) / 4 * (1 + 1e-9)).all()
    zone, key, offset = grid.keys(x)
    pivot, unit, _ = (part[zone] for part in grid.columns())
    np.testing.assert_allclose(
        pivot + unit * (key + offset), x, rtol=1e-15, atol=2e-16 * np.abs(pivot).max()
    )


@given(seeds, st.integers(1, 400))
def test_what_is_no_number_is_counted_apart(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.choice([1.0, np.nan, np.inf, -np.inf, 1e200, -2.5], n)
    weight = rng.integers(1, 4, n).astype(float)
    cells = Cells.of(x, Grid.scale_free(), weight)
    assert cells.apart.nan == weight[np.isnan(x)].sum()
    assert cells.apart.infinite == weight[np.abs(x) > 1e140].sum()
    assert cells.rows + cells.apart.total == weight.sum()


def test_weights_count_as_rows_would():
    x, w = np.array([1.0, 2.0, 1.0, 5.5]), np.array([2, 1, 0, 3])
    grid = Grid.of_sample(x)
    one, other = Cells.of(x, grid, w), Cells.of(np.repeat(x, w), grid)
    np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(one.mean, other.mean)


@pytest.mark.parametrize("values", [np.arange(3_000.0), np.round(np.arange(200) * 0.25, 2)])
def test_few_different_values_stay_exact(values):
    rng = np.random.default_rng(1)
    x = rng.choice(values, 20_000)
    cells = Cells.of(x, Grid.of_sample(x[:10_000]))
    assert (cells.variance == 0).all()
    np.testing.assert_array_equal(cells.mean, np.unique(x))


def test_every_dense_place_of_a_sample_gets_narrow_cells():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=5_000), 1e6 + 1e-3 * rng.normal(size=5_000)])
    grid = Grid.of_sample(x)
    assert grid.widths(np.array([1e6]))[0] < 1e-3 / 20
    assert grid.widths(np.array([0.0]))[0] < 1 / 20
    assert len(Cells.of(x, grid)) < 10_000


def test_a_grid_covers_what_no_sample_showed():
    x = 10.0 ** np.arange(-100, 100)
    cells = Cells.of(np.concatenate([x, -x]), Grid.of_sample([1.0, 2.0]))
    assert cells.rows == 400
    far = np.abs(cells.mean) > 1_000
    assert (cells.maximum - cells.minimum)[far].max() == 0, "powers of ten are far enough apart"
    assert far.sum() == 2 * 96


def test_cells_of_other_grids_are_refused():
    one = Cells.of([1.0], Grid.scale_free())
    with pytest.raises(InvalidInput, match="different grids"):
        _ = one + Cells.of([1.0], Grid((Zone(0.0, 2.0, 3),)))


def test_nothing_at_all():
    none = Cells.of([np.nan], Grid.of_sample([]))
    assert (len(none), none.rows, none.apart.nan) == (0, 0.0, 1.0)
    some = Cells.of([3.0], none.grid)
    assert (none + some).rows == (some + none).rows == 1
