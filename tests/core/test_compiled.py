"""The compiled kernel against the reference, whatever the rows' number, layout, type and weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from esteps import (
    WEIGHTS,
    assert_agree,
    joint_of,
    plain_rows,
    random_estep,
    said_by,
    same_bits,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, seeds

from gmm_core.em import fit
from gmm_core.errors import InvalidInput
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import numpy_kernel
from gmm_core.gaussian import kind_of
from gmm_core.kernels import spans

# Around tiles of 32, 64, 192 and 224 and stacks of four tiles, and more than one stack.
BORDERS = (1, 31, 32, 33, 65, 192, 193, 223, 224, 225, 768, 769, 896, 897, 3000)
TYPES = (np.float64, np.float32)
both_types = pytest.mark.parametrize("dtype", TYPES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def calls(monkeypatch):
    """What the reference was called for."""
    seen = []

    def counted(*arguments):
        seen.append(arguments)
        return numpy_kernel(*arguments)

    monkeypatch.setattr("gmm_core.fitting.compiled.numpy_kernel", counted)
    return seen


@settings(max_examples=150)
@given(
    seeds,
    kinds,
    st.sampled_from(BORDERS),
    st.integers(1, 20),
    st.integers(1, 8),
    st.sampled_from(TYPES),
    st.sampled_from(WEIGHTS),
    st.booleans(),
)
def test_it_agrees_with_the_reference(seed, kind, n, d, k, dtype, weights, background):
    rows, joint = random_estep(
        seed, kind, n=n, d=d, k=k, dtype=dtype, weights=weights, background=background
    )
    want = numpy_kernel(rows, joint, kind_of(kind))
    assert_agree(compiled_kernel(rows, joint, kind_of(kind)), want, rows, joint)


@both_types
@every_kind
@pytest.mark.parametrize("n", BORDERS)
@pytest.mark.parametrize("d", [1, 2, 7, 8])
def test_at_every_border_of_a_tile(calls, kind, dtype, n, d):
    rows, joint = random_estep(n + d, kind, n=n, d=d, k=3, dtype=dtype, weights="random")
    got = compiled_kernel(rows, joint, kind_of(kind))
    assert not calls
    assert_agree(got, numpy_kernel(rows, joint, kind_of(kind)), rows, joint)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("d", [60, 130])
def test_rows_so_wide_that_tiles_are_short(calls, kind, dtype, d):
    rows, joint = random_estep(d, kind, n=500, d=d, k=2, dtype=dtype)
    got = compiled_kernel(rows, joint, kind_of(kind))
    assert not calls
    assert_agree(got, numpy_kernel(rows, joint, kind_of(kind)), rows, joint)


@both_types
@every_kind
def test_what_no_component_explains_is_the_backgrounds(kind, dtype):
    X = np.vstack([np.random.default_rng(1).normal(size=(500, 3)), np.full((7, 3), 40.0)])
    rows = plain_rows(X.astype(dtype))
    how = kind_of(kind)
    covariances = how.of_full(np.tile(np.eye(3), (2, 1, 1)), np.ones(2))
    joint = joint_of([0.4, 0.5], [[0, 0, 0], [1, 0, 0]], covariances, kind)
    with_it = compiled_kernel(rows, replace(joint, background=-30.0), how)
    assert with_it.background == pytest.approx(7, abs=1e-4)
    assert with_it.weight.sum() + with_it.background == pytest.approx(507, rel=1e-6)
    without = compiled_kernel(rows, joint, how)
    assert without.background == 0
    assert without.weight.sum() == pytest.approx(507, rel=1e-6)


@both_types
@every_kind
def test_the_layout_of_the_rows_does_not_matter(kind, dtype):
    rows, joint = random_estep(3, kind, n=1_000, d=5, k=3, dtype=dtype, weights="random")
    values, how = rows.values, kind_of(kind)
    here = compiled_kernel(rows, joint, how)
    frozen = values.copy()
    frozen.flags.writeable = False
    wide = np.full((2_000, 11), np.nan, dtype)
    wide[::2, 1::2] = values
    odd = np.empty(values.nbytes + 1, np.uint8)[1:].view(dtype).reshape(values.shape)
    odd[:] = values
    assert odd.flags.writeable
    assert not odd.flags.aligned
    layouts = {
        "of columns": np.asfortranarray(values),
        "read-only": frozen,
        "strided": wide[::2, 1::2],
        "backwards": values[::-1].copy()[::-1],
        "unaligned": odd,
    }
    for name, other in layouts.items():
        np.testing.assert_array_equal(other, values)
        assert same_bits(compiled_kernel(replace(rows, values=other), joint, how), here), name
    # One compilation per type, which takes seconds, and none per layout.
    for kernel in (spans.full_span, spans.diag_span):
        assert len(kernel.signatures) <= len(TYPES)


@both_types
@every_kind
@pytest.mark.parametrize("n", [1, 33, 224, 896])
@pytest.mark.parametrize("d", [1, 3, 4, 8, 11])
def test_nothing_around_the_rows_is_used(kind, dtype, n, d):
    rows, joint = random_estep(n, kind, n=n, d=d, k=2, dtype=dtype)
    around = np.full((n + 200, d), np.nan, dtype)
    around[100 : n + 100] = rows.values
    inside = replace(rows, values=around[100 : n + 100])
    here = compiled_kernel(rows, joint, kind_of(kind))
    assert np.isfinite(here.log_likelihood)
    assert same_bits(compiled_kernel(inside, joint, kind_of(kind)), here)


def test_nothing_behind_the_rows_is_read():
    """The rows end where memory does: reading on would end the process."""
    program = """
import numpy as np
from esteps import before_a_wall, random_estep
from dataclasses import replace
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.gaussian import kind_of
for dtype in (np.float64, np.float32):
    for kind in ("full", "diag"):
        for d in (1, 2, 3, 5, 8, 13):
            for n in (1, 33, 224, 896):
                rows, joint = random_estep(n, kind, n=n, d=d, k=2, dtype=dtype)
                values = before_a_wall(rows.values)
                compiled_kernel(replace(rows, values=values), joint, kind_of(kind))
print("alive")
"""
    assert said_by(program) == "alive"


@pytest.mark.parametrize("dtype", [*TYPES])
@every_kind
def test_rows_given_in_parts_are_all_counted(kind, dtype, monkeypatch):
    rows, joint = random_estep(5, kind, n=1_001, d=3, k=2, dtype=dtype)
    monkeypatch.setattr("gmm_core.fitting.compiled._PART", 40 * rows.values[:1].nbytes)
    got = compiled_kernel(rows, joint, kind_of(kind))
    assert_agree(got, numpy_kernel(rows, joint, kind_of(kind)), rows, joint)


@both_types
def test_far_outliers_have_a_density_and_the_right_shares(calls, dtype):
    """A million deviations out: the density itself is no number, its logarithm is."""
    X = np.random.default_rng(1).normal(size=(300, 2))
    X[7], X[11] = [1e6, 0], [0, -1e6]
    rows = plain_rows(X.astype(dtype))
    narrow_and_wide = [np.eye(2), np.diag([4.0, 0.25])]
    joint = joint_of([0.5, 0.5], [[0, 0], [0, 0]], narrow_and_wide)
    got = compiled_kernel(rows, joint, kind_of("full"))
    want = numpy_kernel(rows, joint, kind_of("full"))
    assert not calls
    assert np.isfinite(got.log_likelihood)
    assert_agree(got, want, rows, joint)
    # Each is the component's that is wider in its direction, wholly.
    assert got.mean[1, 0] * got.weight[1] == pytest.approx(1e6, rel=1e-3)
    assert got.mean[0, 1] * got.weight[0] == pytest.approx(-1e6, rel=1e-3)


@both_types
@every_kind
@pytest.mark.parametrize("deviations", [0.3, 3, 30, 150])
@pytest.mark.parametrize(("n", "d"), [(2_000, 1), (2_000, 2), (1_203, 7), (1_203, 10)])
def test_components_that_share_all_rows_or_none(calls, kind, dtype, deviations, n, d):
    """However far apart: sums about one origin or each mean, of all rows or those that count."""
    rng = np.random.default_rng(d)
    group = rng.integers(3, size=n)
    X = (rng.normal(size=(n, d)) + deviations * group[:, None]).astype(dtype)
    how = kind_of(kind)
    covariances = how.of_full(np.tile(np.eye(d), (3, 1, 1)), np.ones(3) / 3)
    means = deviations * np.arange(3)[:, None] + 0.1 * rng.normal(size=(3, d))
    joint = joint_of([0.2, 0.3, 0.5], means, covariances, kind)
    got = compiled_kernel(plain_rows(X), joint, how)
    assert not calls
    assert_agree(got, numpy_kernel(plain_rows(X), joint, how), plain_rows(X), joint)


@both_types
@every_kind
def test_a_mean_that_moved_far_is_left_to_the_reference(calls, kind, dtype):
    deviations = 1e5 if dtype == np.float64 else 100.0
    X = np.random.default_rng(1).normal(size=(400, 3)) / deviations
    rows, how = plain_rows(X.astype(dtype)), kind_of(kind)
    covariances = how.of_full(np.eye(3)[None] / deviations**2, np.ones(1))
    far, near = (joint_of([1], [[mean, 0, 0]], covariances, kind) for mean in (1.0, 0.0))
    got = compiled_kernel(rows, far, how)
    assert len(calls) == 1
    assert same_bits(got, numpy_kernel(rows, far, how))
    compiled_kernel(rows, near, how)
    assert len(calls) == 1


@both_types
@every_kind
def test_rows_that_are_all_alike_are_not(calls, kind, dtype):
    """A component that holds one value has no spread: it must not cost the reference for ever."""
    X = np.random.default_rng(1).normal(size=(2_000, 3))
    X[::2] = [5.3, 0.1, -7.7]
    result = fit(X.astype(dtype), 2, covariance_type=kind, reg_covar=1e-6, kernel="compiled")
    assert len(calls) <= 2
    nearest = np.abs(result.mixture.means - [5.3, 0.1, -7.7]).max(axis=1).min()
    assert nearest < (1e-9 if dtype == np.float64 else 1e-3) or kind == "tied"


@pytest.mark.parametrize(
    ("dtype", "mean", "deviation", "rows_at"),
    [
        (np.float32, 1e3, 1e-3, 1e3),  # the row less the mean has no digit left
        (np.float32, 0.0, 1e-20, 1e3),  # the square of a whitened row is no number
        (np.float64, 1e6, 1e-9, 1e6),
    ],
)
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_where_digits_would_be_lost_the_reference_answers(
    calls, kind, dtype, mean, deviation, rows_at
):
    X = (rows_at + deviation * np.random.default_rng(1).normal(size=(50, 2))).astype(dtype)
    rows, how = plain_rows(X), kind_of(kind)
    covariances = how.of_full(np.eye(2)[None] * deviation**2, np.ones(1))
    joint = joint_of([1], [[mean, mean]], covariances, kind)
    got = compiled_kernel(rows, joint, how)
    assert calls
    assert same_bits(got, numpy_kernel(rows, joint, how))


def test_a_row_beyond_all_numbers_is_left_to_the_reference(calls):
    X = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    X[3] = 1e25  # its square is none in float32
    rows, joint = plain_rows(X), joint_of([1], [[0, 0]], [np.eye(2)])
    got = compiled_kernel(rows, joint, kind_of("full"))
    assert calls
    assert got.log_likelihood == pytest.approx(-0.5 * 2e50, rel=1e-6)


def test_the_kernels_name_is_checked():
    with pytest.raises(InvalidInput, match="kernel: got 'fast'; allowed: auto, compiled, numpy"):
        fit(np.zeros((3, 2)), 1, kernel="fast")
