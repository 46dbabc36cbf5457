"""How long vectors are, what depends on it, and kernels for processors whose vectors are shorter."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.processor import length_with
from gmm_core.kernels.tiles import padded, tile_rows, vacant

HERE = Path(__file__).parent
TESTS = (
    "test_elementary.py",
    "test_compiled.py",
    "test_compiled_answers.py",
    "test_grouping.py",
    "test_reduction_searches.py::test_compiled_and_plain_merge_the_same",
    "test_refinement.py::test_compiled_passes_are_those_in_numpy",
)


@pytest.mark.parametrize(
    ("features", "length"),
    [
        ("", 32),
        ("+neon,+fp-armv8", 32),
        ("+avx,+avx2,-avx512f,-avx512dq,-avx512vl", 32),
        ("+avx512f,-avx512dq,-avx512vl", 32),
        ("+avx2,+avx512vl,+avx512f,+avx512bw,+avx512dq", 64),
    ],
)
def test_the_length_is_that_of_the_registers(features, length):
    assert length_with(features) == length


@given(st.integers(1, 400), st.sampled_from([np.float64, np.float32]))
def test_tiles_are_whole_steps(d, dtype):
    size = np.dtype(dtype).itemsize
    width = padded(d + 1, dtype)
    rows = tile_rows.py_func(width, size)
    assert width > d
    assert rows % (4 * VECTOR_BYTES // size) == 0
    assert 0 < rows <= 224


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_compiled_code_start_a_cache_line(dtype):
    @njit
    def arrays(like, count):
        return vacant(count, like.dtype), vacant(count + 1, like.dtype)

    for count in (1, 7, 1000):
        made = arrays(np.empty(0, dtype), count)
        assert [len(array) for array in made] == [count, count + 1]
        assert all(array.dtype == dtype and array.ctypes.data % 64 == 0 for array in made)


@pytest.mark.long  # since all is compiled anew
@pytest.mark.skipif(platform.machine() != "x86_64", reason="features of another processor")
def test_kernels_are_right_with_vectors_of_32_bytes(tmp_path):
    env = os.environ | {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    length = "from gmm_core.kernels.emit import VECTOR_BYTES; print(VECTOR_BYTES)"
    said = subprocess.run(
        [sys.executable, "-c", length], env=env, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "32"
    tests = [str(HERE / name) for name in TESTS]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", *tests],
        env=env, capture_output=True, text=True, check=False, cwd=HERE.parents[1],
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3_000:]
