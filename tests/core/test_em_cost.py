"""What a fit costs before and beside its arithmetic: imports, compilation, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

MIB = 1 << 20


def run(program: str, *arguments: str, **environment: str) -> str:
    """What the program prints, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("module", ["gmm_core", "gmm_core.em"])
def test_importing_is_quick_and_leaves_numba_alone(module):
    program = f"""
import sys, time
began = time.perf_counter()
import {module}
print(time.perf_counter() - began, "numba" in sys.modules, "llvmlite" in sys.modules)
"""
    outcomes = [run(program).split() for _ in range(3)]
    assert min(float(outcome[0]) for outcome in outcomes) < 0.5
    assert all(outcome[1:] == ["False", "False"] for outcome in outcomes)


def test_a_small_fit_leaves_numba_alone_too():
    program = """
import sys
import numpy as np
from gmm_core.em import fit
fit(np.random.default_rng(1).normal(size=(500, 2)), 2)
print("numba" in sys.modules)
"""
    assert run(program).strip() == "False"


COMPILE = """
import json, sys, time
import numpy as np
from gmm_core.em import fit
X = np.random.default_rng(1).normal(size=(500, 3)).astype(sys.argv[1])
began = time.process_time()  # compiling keeps one processor busy, whatever else runs
fit(X, 2, covariance_type=sys.argv[2], kernel="compiled", max_iter=1)
seconds = time.process_time() - began
import importlib, pkgutil
from gmm_core import kernels
from gmm_core.kernels import spans
from numba.core import types
names = [module.name for module in pkgutil.iter_modules(kernels.__path__, "gmm_core.kernels.")]
# Where arrays are not counted none may be given back: whoever got it would free what is not theirs.
for dispatcher in (one for name in names for one in vars(importlib.import_module(name)).values()):
    if getattr(dispatcher, "targetoptions", {}).get("_nrt") is False:
        for signature in dispatcher.nopython_signatures:
            given = signature.return_type
            parts = given.types if isinstance(given, types.BaseTuple) else [given]
            assert not any(isinstance(part, types.Array) for part in parts), dispatcher
stats = (spans.full_span if sys.argv[2] == "full" else spans.diag_span).stats
print(json.dumps([seconds, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_compiling_takes_seconds_and_is_done_once(tmp_path, dtype, kind):
    def outcome() -> list[float]:
        return json.loads(run(COMPILE, dtype, kind, NUMBA_CACHE_DIR=str(tmp_path)))

    seconds, hits, misses = outcome()
    print(f"{kind} {dtype}: compiled in {seconds:.1f} s")
    assert (hits, misses) == (0, 1)
    assert seconds < 10
    seconds, hits, misses = outcome()
    print(f"{kind} {dtype}: loaded in {seconds:.1f} s")
    assert (hits, misses) == (1, 0)
    assert seconds < 2


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from gmm_core.em import fit

n, d = 5_000_000, 10
order, dtype, kind, weighted, rows = sys.argv[1:]

def memory(field):
    return 1024 * int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

rng = np.random.default_rng(0)
fit(rng.normal(size=(20_000, d)).astype(dtype), 3, covariance_type=kind, kernel="compiled")
X = np.empty((n, d), dtype, order=order)
for first in range(0, n, 100_000):
    part = X[first : first + 100_000]
    part[:] = rng.normal(size=part.shape) + 4 * rng.integers(0, 3, len(part))[:, None]
if rows == "alike":
    X[:] = 1.5
    X[7], X[n // 2] = 3, 9
weight = np.ones(n) if weighted == "weighted" else None
if weight is not None:
    weight[::2] = 2
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = memory("VmRSS")
result = fit(X, 3, covariance_type=kind, sample_weight=weight, max_iter=3)
print(X.nbytes, before, memory("VmHWM"))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak")
@pytest.mark.parametrize(
    ("order", "dtype", "kind", "weighted", "rows"),
    [
        ("C", "float64", "full", "unweighted", "apart"),
        ("F", "float64", "full", "unweighted", "apart"),
        ("C", "float64", "diag", "weighted", "apart"),
        ("F", "float32", "tied", "weighted", "apart"),
        ("C", "float64", "full", "unweighted", "alike"),  # no sample has three different rows
    ],
)
def test_a_fit_needs_little_memory_beside_its_rows(order, dtype, kind, weighted, rows):
    began = time.perf_counter()
    size, before, after = map(int, run(PEAK, order, dtype, kind, weighted, rows).split())
    assert size >= 200e6
    assert before > size
    more, seconds = (after - before) / MIB, time.perf_counter() - began
    print(f"{order} {dtype} {kind} {weighted} {rows}: +{more:.0f} MiB, {seconds:.0f} s in all")
    assert more < 64
