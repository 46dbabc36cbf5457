"""Paired timing of EM iterations, and the machine's own limit."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture

from bench.cases import Case, rows_of, start_of
from gmm_core import Mixture, fit

__all__ = ["Outcome", "fused_multiply_adds", "measure", "seconds"]

_PEER_ITERATIONS = 5  # enough of the peer's: they all take as long


@dataclass(frozen=True)
class Outcome:
    """Seconds per iteration, relative difference of the log-likelihoods, shares above 1e-13."""

    ours: float
    peer: float
    difference: float
    active: float


def measure(case: Case, rounds: int) -> Outcome:
    """Ours and the peer's in turn; the time of an iteration is that of many less that of one.

    Of each the least over all rounds: what else the machine does only adds.
    """
    X = rows_of(case)
    start = start_of(case, X)
    _ours(case, X, start, 1)  # loads, and the first time compiles
    runs = {
        (run, steps): np.inf
        for run, many in ((_ours, case.iterations), (_peer, _PEER_ITERATIONS))
        for steps in (1, 1 + many)
    }
    for _ in range(rounds):
        for run, steps in runs:
            took = seconds(lambda run=run, steps=steps: run(case, X, start, steps))
            runs[run, steps] = min(runs[run, steps], took)
    ours = (runs[_ours, 1 + case.iterations] - runs[_ours, 1]) / case.iterations
    peer = (runs[_peer, 1 + _PEER_ITERATIONS] - runs[_peer, 1]) / _PEER_ITERATIONS
    last = 1 + case.iterations
    mixture, likelihood = _ours(case, X, start, last)
    theirs = _peer(case, X, start, last)
    shares = mixture.responsibilities(X[:10_000])
    return Outcome(ours, peer, abs(likelihood / theirs - 1), float((shares > 1e-13).mean()))


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fused_multiply_adds() -> float:
    """Thousand millions a second, float64, that both cores reach on numbers in registers."""
    from numba import njit

    from gmm_core.kernels.emit import VECTOR_BYTES
    from gmm_core.kernels.vectors import add, fma, splat, total

    @njit(nogil=True)
    def many(factor: float, n: int) -> float:
        s = splat(factor)
        a, b, c, d, e, f, g, h, i, j = s, s, s, s, s, s, s, s, s, s
        for _ in range(n):
            a, b, c, d, e = fma(a, s, s), fma(b, s, s), fma(c, s, s), fma(d, s, s), fma(e, s, s)
            f, g, h, i, j = fma(f, s, s), fma(g, s, s), fma(h, s, s), fma(i, s, s), fma(j, s, s)
        return total(add(add(add(a, b), add(c, d)), add(add(add(e, f), add(g, h)), add(i, j))))

    many(0.5, 1)
    n, best = 20_000_000, np.inf
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            best = min(best, seconds(lambda: list(pool.map(many, [0.5] * 2, [n] * 2))))
    return 2 * n * 10 * (VECTOR_BYTES // 8) / best / 1e9


def _ours(
    case: Case, X: np.ndarray[Any, Any], start: Mixture, iterations: int
) -> tuple[Mixture, float]:
    result = fit(
        X,
        case.k,
        covariance_type=case.covariance_type,  # type: ignore[arg-type]
        start=start,
        tol=0,
        max_iter=iterations,
        kernel="compiled",
    )
    if result.iterations != iterations:
        raise RuntimeError(f"{result.iterations} iterations instead of {iterations}")
    return result.mixture, result.log_likelihood


def _peer(case: Case, X: np.ndarray[Any, Any], start: Mixture, iterations: int) -> float:
    kind = X.dtype
    precisions = (
        np.linalg.inv(start.covariances)
        if case.covariance_type == "full"
        else 1 / start.covariances
    )
    model = GaussianMixture(
        case.k,
        covariance_type=case.covariance_type,
        tol=0,
        max_iter=iterations,
        weights_init=start.weights.astype(kind),
        means_init=start.means.astype(kind),
        precisions_init=precisions.astype(kind),
        init_params="random_from_data",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it did not converge: that was not asked for
        model.fit(X)
    # Not `model.score`: in float32 its mean rounds more than the two fits differ.
    log_prob: np.ndarray[Any, Any] = model.score_samples(X)
    return float(log_prob.mean(dtype=np.float64))
