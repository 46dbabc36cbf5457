"""Whole fits from nothing, and what the library costs before it computes: import, compiling, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from bench.cases import CASES, rows_of
from bench.measuring import seconds
from gmm_core import fit

__all__ = ["costs", "whole_fit"]

_FITS, _OURS = 5, 3  # of the peer's, and of ours beside each

_IMPORT = (
    "import time; began = time.perf_counter(); import gmm_core; print(time.perf_counter() - began)"
)
_FIT = r"""
import numpy, re, sys, time
from gmm_core import fit
# Not getrusage: a child inherits the peak of the process that started it.
def peak(): return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
X = numpy.random.default_rng(0).normal(size=(int(sys.argv[1]), 10))
began = time.perf_counter()
fit(X[:5000], 10, max_iter=1, kernel="compiled")  # what the compiled code itself takes is no copy
loaded = time.perf_counter() - began
fit(X[:70000], 10, max_iter=2)  # so many rows are tried on samples first, whose steps have code of their own
every, before = time.perf_counter() - began, peak()
fit(X, 10, max_iter=2, kernel="compiled")
print(loaded, every, peak() - before)
"""


def whole_fit(console: Console) -> None:
    """Defaults against defaults, in turn: time to a fit from nothing, and which is better; medians."""
    table = Table(title="Whole fits, both with scikit-learn's defaults (tol 1e-3, one start)")
    for name in ("case", "scikit-learn s", "Blockmix s", "times faster", "nats per row better"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for case in (CASES[0], CASES[-1]):
        X = rows_of(case)
        fit(X, case.k, tol=1e-3, max_iter=100)  # loads, and the first time compiles
        ours, theirs, better = [], [], []
        for seed in range(_FITS):
            with console.status(f"{case.name}: whole fits in turn, {seed + 1} of {_FITS}"):
                model = GaussianMixture(case.k, random_state=seed)
                theirs.append(seconds(lambda model=model, X=X: model.fit(X)))
                for own in range(seed * _OURS, (seed + 1) * _OURS):
                    result = fit(X, case.k, tol=1e-3, max_iter=100, seed=own)
                    ours.append(result.seconds)
                    better.append(result.log_likelihood - float(model.score(X)))
        mine, peer = float(np.median(ours)), float(np.median(theirs))
        table.add_row(
            case.name,
            f"{peer:.2f}",
            f"{mine:.3f}",
            f"{peer / mine:.1f}",
            f"{np.median(better):+.4f} ({min(better):+.4f} to {max(better):+.4f})",
        )
    console.print(table)


def costs(console: Console) -> None:
    """Import, first and later compiled fits, and memory beyond the rows."""
    with tempfile.TemporaryDirectory() as cache, console.status("import, compiling, memory"):
        imported = np.median([float(_run(_IMPORT, cache)) for _ in range(5)])
        first, all_of_it, _ = map(float, _run(_FIT, cache, "70000").split())
        _, later, _ = map(float, _run(_FIT, cache, "70000").split())
        *_, memory = map(float, _run(_FIT, cache, "4000000").split())
    console.print(f"import gmm_core: {imported:.2f} s (bar 0.5)")
    console.print(
        f"first compiled fit: {first:.1f} s, and of many rows from nothing {all_of_it:.1f} s (bar 10); "
        f"from the disk's cache: {later:.1f} s"
    )
    console.print(f"memory beyond 4,000,000 x 10 float64 rows (305 MiB): {memory:.0f} MiB (bar 64)")


def _run(program: str, cache: str, *arguments: str) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
