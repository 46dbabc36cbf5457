"""The paper's figure and table, and what they promise measured (Patist et al. 2006, section 3).

    python -m bench.paper                  # figure, table, and measurements: two minutes
    python -m bench.paper --values-only    # figure and table
    python -m bench.paper --k 1 2 5        # measure these k alone

Predicted: an update costs the fit of one block, n / b rows, so at b = b_opt it is b_opt times faster
than EM over the whole window. Measured: one block's fit and the merge of the window, against our own
`fit` over all rows, both with the library's defaults, EM's starts as it likes; and against scikit-learn's EM.
`fit` begins on 4,096 rows and ends after few steps over all of them: it is no b blocks' worth of work.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from gmm_core import Feature, Mixture, fit, fit_block, memory_model, window_mixture
from gmm_core.gaussian import CovarianceType
from gmm_core.summary import BlockSummary

__all__ = ["main"]

_console = Console(width=150)
_N, _D, _MOST_BLOCKS = 50_000, 10, 250
_KINDS: tuple[CovarianceType, ...] = ("full", "diag")
_FIGURE = Path("docs/figures/paper-figure-1.png")
_TEXT = "#333333"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values-only", action="store_true", help="measure nothing")
    parser.add_argument("--k", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--into", type=Path, default=_FIGURE, help="where the figure goes")
    given = parser.parse_args()
    draw(given.into)
    _console.print(f"Figure 1: {given.into}")
    _console.print(values())
    if not given.values_only:
        measure(given.k)


def values() -> Table:
    """The block counts that need the least memory, and the compression there."""
    table = Table(title=f"Least memory, n {_N:,}, d {_D}")
    for name in ("k", "full\nb_opt", "full\nR", "diagonal\nb_opt", "diagonal\nR"):
        table.add_column(name, justify="right")
    for k in range(1, 11):
        models = [memory_model(_N, _D, k, kind) for kind in _KINDS]
        cells = [(f"{m.optimal_blocks:.2f}", f"{m.best_compression:.3f}") for m in models]
        table.add_row(str(k), *cells[0], *cells[1])
    return table


def draw(path: Path) -> None:
    """Compression against blocks, a curve for each k; a dot where memory is least."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, 10))
    blocks = np.arange(1, _MOST_BLOCKS + 1)
    for ax, kind, title in zip(axes, _KINDS, ("FULL", "DIAGONAL"), strict=True):
        for k, colour in zip(range(1, 11), colours, strict=True):
            model = memory_model(_N, _D, k, kind)
            ax.plot(blocks, [model.compression(b) for b in blocks], color=colour, linewidth=1.6)
            best = (model.optimal_blocks, model.best_compression)
            ax.plot(*best, "o", color=colour, markersize=4.5, markeredgecolor="white")
        ax.set_title(title, color=_TEXT)
        ax.set_xlabel("blocks b", color=_TEXT)
        ax.set_xlim(0, _MOST_BLOCKS)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#e4e6e9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(colors=_TEXT)
    axes[0].set_ylim(0, 90)
    axes[0].set_ylabel("compression rate R(b)", color=_TEXT)
    curves = [plt.Line2D([], [], color=colour, linewidth=2.2) for colour in colours]
    best = plt.Line2D([], [], marker="o", linestyle="", color="0.45", markersize=5)
    look = {"frameon": False, "labelcolor": _TEXT, "loc": "upper right"}
    axes[0].legend(curves, [f"k = {k}" for k in range(1, 11)], ncols=2, **look)
    axes[1].legend([best], ["least memory: b = b_opt"], **look)
    figure.suptitle(
        f"How much less than the rows a window stores: n = {_N:,}, d = {_D}, k = 1 to 10",
        color=_TEXT,
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(ks: list[int]) -> None:
    """Stored values and seconds, for each k and type, counted and timed on real objects."""
    table = Table(title=f"Measured at b = round(b_opt), n {_N:,}, d {_D}")
    headings = "type,k,b,stored\npredicted,stored\nmeasured,R\nmeasured,block fit\nms,merge\nms"
    headings += ",speed-up\npredicted,own EM over\nwindow ms,speed-up\nfrom it,scikit-learn\nms"
    headings += ",speed-up\nfrom it,nats per row\nlost"
    for name in headings.split(","):
        table.add_column(name, justify="right")
    for kind in _KINDS:
        for k in ks:
            with _console.status(f"{kind}, k {k}"):
                table.add_row(kind, str(k), *_measured(k, kind))
    _console.print(table)


def _measured(k: int, kind: CovarianceType) -> list[str]:
    model = memory_model(_N, _D, k, kind)
    b = round(model.optimal_blocks)
    truth = _truth(k, kind)
    days = np.array_split(truth.sample(_N, seed=k), b)
    summaries, took = [], []
    for day, rows in enumerate(days):
        began = time.perf_counter()
        summaries.append(_block(f"{day:05d}", rows, k, kind))
        took.append(time.perf_counter() - began)
    fit_seconds = float(np.median(took))
    window, merge_seconds = _best_of(3, lambda: window_mixture(summaries, k))
    X = np.concatenate(days)
    fit(X, k, covariance_type=kind, max_iter=2, kernel="compiled")  # loads, perhaps compiles
    whole, whole_seconds = _best_of(1, lambda: fit(X, k, covariance_type=kind))
    peer = GaussianMixture(k, covariance_type=kind, tol=1e-4, max_iter=500, random_state=0)
    _, peer_seconds = _best_of(1, lambda: peer.fit(X))
    stored = sum(_values(summary.mixture) for summary in summaries) + max(r.size for r in days)
    lost = whole.log_likelihood - float(window.log_prob(X).mean())
    update = fit_seconds + merge_seconds
    return [
        str(b),
        f"{model.stored(b):,.0f}",
        f"{stored:,}",
        f"{X.size / stored:.2f}",
        f"{1e3 * fit_seconds:.1f}",
        f"{1e3 * merge_seconds:.1f}",
        f"{b}",
        f"{1e3 * whole_seconds:.0f}",
        f"{whole_seconds / update:.1f}",
        f"{1e3 * peer_seconds:.0f}",
        f"{peer_seconds / update:.0f}",
        f"{lost:.3f}",
    ]


def _truth(k: int, kind: CovarianceType) -> Mixture:
    """k Gaussians that overlap a little, of axes from half to twice a unit."""
    rng = np.random.default_rng(k)
    turns = np.linalg.qr(rng.normal(size=(k, _D, _D)))[0]
    axes = turns * np.exp(rng.uniform(-0.7, 0.7, size=(k, 1, _D)))
    covariances = axes @ axes.transpose(0, 2, 1)
    means, weights = 2 * rng.normal(size=(k, _D)), rng.dirichlet(np.full(k, 5.0))
    return Mixture(weights, means, covariances).as_type(kind)


def _block(key: str, rows: np.ndarray[Any, Any], k: int, kind: CovarianceType) -> BlockSummary:
    features = [Feature(f"x{index}") for index in range(_D)]
    return fit_block("bench", key, features, rows, k=k, covariance_type=kind, restarts=1)


def _values(mixture: Mixture) -> int:
    """Distinct numbers of a mixture: of a symmetric matrix one triangle."""
    k, d = mixture.n_components, mixture.n_features
    covariances = mixture.covariances
    lower = covariances[:, *np.tril_indices(d)] if covariances.ndim == 3 else covariances
    return k + mixture.means.size + lower.size


def _best_of(times: int, call: Any) -> tuple[Any, float]:
    best = np.inf
    for _ in range(times):
        began = time.perf_counter()
        outcome = call()
        best = min(best, time.perf_counter() - began)
    return outcome, best


if __name__ == "__main__":
    main()
