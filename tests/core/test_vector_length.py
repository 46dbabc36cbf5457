"""Kernels for processors whose vectors are shorter than this one's: long, since all is compiled anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("test_elementary.py", "test_compiled.py", "test_compiled_answers.py", "test_grouping.py")


@pytest.mark.long
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
    tests = [str(HERE / name) for name in FILES]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", *tests],
        env=env, capture_output=True, text=True, check=False, cwd=HERE.parents[1],
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3_000:]
