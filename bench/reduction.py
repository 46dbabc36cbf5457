"""Reducing large pools: time, peak memory, and what is lost, against the bars set for them.

    python -m bench.reduction               # the whole table, a few minutes on two cores
    python -m bench.reduction --case day    # cases whose name begins so

Each line runs in a process of its own, with compiled code loaded before the clock starts; the peak is
that of the reduction alone, above what the process held before. The last column is the mean
log-density, under the outcome, of rows drawn from a part of the pool: it compares the lines of one
case. The pool is made of components as fits over-provisioned twofold give them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gmm_core import Mixture
from gmm_core.reduction import reduce

__all__ = ["main"]

_console = Console(width=120)
_D = 10


@dataclass(frozen=True)
class Case:
    """One line of the table: `size` components to k; the bar is in seconds."""

    name: str
    size: int
    k: int
    criterion: str
    search: str
    bar: float
    repeats: int = 1


CASES = tuple(
    Case(name, size, k, criterion, search, bar, repeats)
    for name, size, k, searches, bar, repeats in (
        ("small, K 200 to 5", 200, 5, ("greedy",), 0.008, 20),
        ("day, K 7,300 to 10", 7_300, 10, ("greedy",), 2.0, 2),
        ("large, K 10,000 to 10", 10_000, 10, ("greedy",), 10.0, 1),
        ("huge, K 100,000 to 10", 100_000, 10, ("kmeans-euclidean", "kmeans-hotelling"), 30.0, 1),
    )
    for search in searches
    for criterion in ("runnalls", "hotelling")
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="", help="only cases whose name begins so")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(_measured(CASES[given.one])))
        return
    table = Table(title=f"Reductions, d {_D}, full covariances")
    for name in ("case", "criterion", "search"):
        table.add_column(name)
    for name in ("seconds", "processor\nseconds", "bar", "peak\nMB", "K x K\nMB", "nats\nper row"):
        table.add_column(name, justify="right")
    for index, case in enumerate(CASES):
        if not case.name.startswith(given.case):
            continue
        with _console.status(f"{case.name}, {case.criterion}, {case.search}"):
            table.add_row(*_cells(case, _in_a_process(index)))
    _console.print(table)
    _console.print(
        f"The first time, compiling the kernels takes {_compile_seconds():.1f} s of processor."
    )


def pooled(size: int, blocks: int, seed: int = 0) -> Mixture:
    """Components as `blocks` fits of one stream give them: near the true ones, split, of all sizes."""
    rng = np.random.default_rng(seed)
    groups = 10
    centres = 3 * rng.normal(size=(groups, _D))
    turns = np.linalg.qr(rng.normal(size=(groups, _D, _D)))[0]
    roots = turns * np.exp(rng.uniform(-0.7, 0.7, size=(groups, 1, _D)))
    group = rng.integers(0, groups, size)
    # A component of a fit over-provisioned twofold holds part of a group, off its centre, and its
    # covariance is that of some 50 rows.
    means = centres[group] + np.einsum(
        "kab,kb->ka", roots[group], 0.5 * rng.normal(size=(size, _D))
    )
    rows = rng.normal(size=(size, _D, 50)) * 0.85
    factors = roots[group] @ rows / np.sqrt(50)
    weights = rng.dirichlet(np.full(size // blocks, 3.0), blocks).ravel() + 1e-9
    weights = np.concatenate([weights, np.full(size - len(weights), weights.mean())])
    return Mixture(weights / weights.sum(), means, factors @ factors.transpose(0, 2, 1))


def _measured(case: Case) -> dict[str, Any]:
    mixture = pooled(case.size, case.size // 20)
    reduce(pooled(200, 10), 3, criterion=case.criterion)  # loads, and the first time compiles
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    before, best, processor = _memory("VmRSS"), np.inf, np.inf
    for _ in range(case.repeats):
        began, worked = time.perf_counter(), time.process_time()
        reduced = reduce(mixture, case.k, criterion=case.criterion, search=case.search)
        best = min(best, time.perf_counter() - began)
        processor = min(processor, time.process_time() - worked)
    peak = _memory("VmHWM") - before
    X = mixture.picked(range(0, case.size, max(1, case.size // 2_000))).sample(5_000, seed=1)
    return {
        "seconds": best,
        "processor": processor,
        "peak": peak,
        "nats": float(reduced.log_prob(X).mean()),
    }


def _memory(name: str) -> float:
    """Megabytes that this process holds (VmRSS), or held at most (VmHWM)."""
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def _in_a_process(index: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.reduction", "--one", str(index)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def _compile_seconds() -> float:
    """Of the kernels anew, into a cache of their own."""
    code = (
        "import time; from bench.reduction import pooled; from gmm_core.reduction import reduce;"
        "import gmm_core.em; m = pooled(200, 10); began = time.process_time();"
        "reduce(m, 3); print(time.process_time() - began)"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "NUMBA_CACHE_DIR": folder},
        )
    return float(done.stdout)


def _cells(case: Case, outcome: dict[str, Any]) -> list[str]:
    seconds = outcome["seconds"]
    return [
        case.name,
        case.criterion,
        case.search,
        f"[{'green' if seconds <= case.bar else 'red'}]{seconds:.4g}[/]",
        f"{outcome['processor']:.4g}",
        f"{case.bar:g}",
        f"{outcome['peak']:.0f}",
        f"{case.size**2 * 8 / 1e6:.0f}",
        f"{outcome['nats']:.3f}",
    ]


if __name__ == "__main__":
    main()
