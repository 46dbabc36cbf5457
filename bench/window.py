"""Window mixtures beside EM over the whole window: likelihood on its rows and on the next day's, and time.

    python -m bench.window                   # everything, some minutes on two cores; draws the figures
    python -m bench.window --case baskets    # cases whose name begins so, no figures
    python -m bench.window --keep DIR        # what is in DIR is told, not measured again: so in parts

Every strategy is printed, winners and losers. Figures are differences, in nats per row, to the best of
five scikit-learn runs over the window.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from bench.measuring import seconds as seconds_of
from bench.window_cases import CASES, Case
from bench.window_figures import draw
from gmm_core import BlockSummary, Feature, Mixture, fit, fit_block, window_mixture
from gmm_core import GaussianMixture as OwnMixture
from gmm_core.strategy import DEFAULT, Strategy

__all__ = ["Measured", "main"]

_console = Console(width=130)
_PLAIN = {"refine": "none", "polish_points": 0}
STRATEGIES: dict[str, Strategy] = {
    "hotelling": Strategy(criterion="hotelling", **_PLAIN),
    "runnalls": Strategy(**_PLAIN),
    "runnalls, k-means first": Strategy(search="kmeans-euclidean", **_PLAIN),
    "+ soft": Strategy(refine="soft", polish_points=0),
    "+ soft, no guard": Strategy(refine="soft", polish_points=0, guard_points=0),
    "+ hard": Strategy(refine="hard", polish_points=0),
    "+ polish": Strategy(refine="none"),
    "+ polish on bare points": Strategy(refine="none", polish_width=0.0),
    "+ hard + polish (default)": DEFAULT,
}
# How the blocks were fitted: the third way is a stream's default.
_BLOCKS = ("k, cold", "2k, cold", "k or 2k", "rows kept", "warm")
_DEFAULT, _WARM = _BLOCKS[2], _BLOCKS[-1]
_KEPT = 300  # rows of each block
_COLD_STEPS, _WARM_STEPS, _TOLERANCE = 100, 30, 1e-4


@dataclass
class Measured:
    """Of one case: seconds, and differences (window, next day) by blocks and strategy."""

    case: Case
    peer: tuple[float, float] = (0.0, 0.0)
    seconds: dict[str, float] = field(default_factory=dict)
    gains: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    blocks: int = 0


def room(k: int) -> int:
    """Components of a warm block fit: those of the window and some that are new."""
    return k + max(1, k // 2)


def measure(case: Case) -> Measured:
    blocks, later = case.rows()
    window = np.concatenate(blocks)
    found = Measured(case, blocks=len(blocks))
    found.peer = _peers(case, window, later, found.seconds)
    _own(case, window, found.seconds)

    def note(fitted: str, strategy: str, mixture: Mixture) -> None:
        got = (float(mixture.log_prob(part).mean()) for part in (window, later))
        found.gains[fitted, strategy] = tuple(a - b for a, b in zip(got, found.peer, strict=True))  # type: ignore[assignment]

    for fitted, summaries in _fitted(case, blocks, found.seconds).items():
        for name, strategy in STRATEGIES.items():
            note(fitted, name, window_mixture(summaries, case.k, strategy))
        if fitted == _DEFAULT:
            for name, strategy in STRATEGIES.items():
                call = partial(window_mixture, summaries, case.k, strategy)
                found.seconds[name] = _least(call)
    return found


def _peers(case: Case, window: Any, later: Any, seconds: dict[str, float]) -> tuple[float, float]:
    scale, runs, took = _scale(case, window), [], []
    scaled = window / scale
    for seed in range(5):
        model = GaussianMixture(case.k, random_state=seed, **_settings(case))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            took.append(seconds_of(lambda model=model: model.fit(scaled)))
        likelihood = (
            float(model.score(part / scale) - np.log(scale).sum()) for part in (window, later)
        )
        runs.append(tuple(likelihood))
    seconds["scikit-learn"] = float(np.median(took))
    return max(runs)  # type: ignore[return-value]


def _scale(case: Case, window: Any) -> Any:
    return np.ones(window.shape[1]) if case.regularisation is None else window.std(axis=0)


def _settings(case: Case) -> dict[str, Any]:
    return {"tol": 1e-4, "max_iter": 500, "reg_covar": case.regularisation or 1e-6}


def _own(case: Case, window: Any, seconds: dict[str, float]) -> None:
    """Two yardsticks: the very run that scikit-learn makes, by our kernels, and `fit` with its own start."""
    fit(window[:2_000], case.k, max_iter=1, kernel="compiled")  # loads
    seconds["own EM"] = float(np.median([fit(window, case.k, seed=s).seconds for s in range(3)]))
    scaled, took = window / _scale(case, window), []
    for seed in range(3):
        model = OwnMixture(case.k, random_state=seed, **_settings(case))
        took.append(seconds_of(lambda model=model: model.fit(scaled)))
    seconds["own EM, the peer's run"] = float(np.median(took))


def _fitted(
    case: Case, blocks: list[Any], seconds: dict[str, float]
) -> dict[str, list[BlockSummary]]:
    """Block summaries by how they were fitted; times the last warm fit."""
    names = [Feature(f"x{i}") for i in range(blocks[0].shape[1])]
    added = case.regularisation or 1e-6

    def fitted(index: int, k: int, **settings: Any) -> BlockSummary:
        return fit_block(
            "s", f"{index:04d}", names, blocks[index], k=k, regularisation=added, restarts=1,
            kernel="compiled", tolerance=_TOLERANCE, **settings,
        )  # fmt: skip

    k, steps = case.k, {"max_iterations": _COLD_STEPS}
    ways: tuple[dict[str, Any], ...] = (
        {"k": k, **steps},
        {"k": 2 * k, **steps},
        {"k": 2 * k, "fewest": k, **steps},
        {"k": 2 * k, "fewest": k, "coreset": _KEPT, **steps},
    )
    cold = {
        name: [fitted(index, **way) for index in range(len(blocks))]
        for name, way in zip(_BLOCKS, ways, strict=False)
    }
    warm = [cold[_DEFAULT][0]]
    for index in range(1, len(blocks)):
        last = window_mixture(warm, case.k)
        new = partial(fitted, index, room(case.k), last=last, max_iterations=_WARM_STEPS)
        warm.append(new())
    seconds["warm block"] = _least(new)
    seconds["cold block"] = _least(partial(fitted, len(blocks) - 1, **ways[2]))
    return {**cold, _WARM: warm}


def _least(call: Callable[[], Any], rounds: int = 5) -> float:
    """Seconds, the least of some rounds: what else the machine does only adds."""
    return min(seconds_of(call) for _ in range(rounds))


def _tell(found: Measured) -> None:
    case, seconds = found.case, found.seconds
    _console.rule(case.name + ("" if case.tuned else " (not tuned on)"))
    table = Table(title=f"nats per row beside {found.peer[0]:.4f} / {found.peer[1]:.4f}")
    for name in ("strategy", *(f"blocks {fitted}" for fitted in _BLOCKS), "ms"):
        table.add_column(name, justify="left" if name == "strategy" else "right")
    for name in STRATEGIES:
        cells = ["{:+.4f} / {:+.4f}".format(*found.gains[fitted, name]) for fitted in _BLOCKS]
        table.add_row(name, *cells, f"{1e3 * seconds[name]:.1f}")
    _console.print(table)
    for fitted in ("cold", "warm"):
        update = seconds[f"{fitted} block"] + seconds["+ hard + polish (default)"]
        peer = seconds["scikit-learn"]
        _console.print(
            f"update with a {fitted} block: {1e3 * update:.1f} ms. scikit-learn: {peer:.2f} s, "
            f"{peer / update:.0f} times that (bar 30)"
        )
        for name, what in (
            ("own EM, the peer's run", "that run by own kernels"),
            ("own EM", "`fit`"),
        ):
            own = seconds[name]
            _console.print(
                f"  {what}: {1e3 * own:.0f} ms, of which an update takes "
                f"{found.blocks * update / own:.1f} / b (bar 3)"
            )
    if case.bar is not None:
        worst = min(found.gains[_DEFAULT, "+ hard + polish (default)"])
        said = "held" if worst >= case.bar else "MISSED"
        _console.print(f"default, worse of both days: {worst:+.4f} (bar {case.bar:+.3f}) {said}")


def _kept(case: Case, folder: Path) -> Measured:
    """What the folder has of a case; measured first, where it has nothing."""
    path = folder / f"{case.name.replace(', ', '-').replace(' ', '_')}.json"
    if not path.exists():
        new = measure(case)
        gains = [[*names, *values] for names, values in new.gains.items()]
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([new.peer, new.seconds, gains, new.blocks]))
    peer, seconds, gains, blocks = json.loads(path.read_text())
    table = {(fitted, name): (here, later) for fitted, name, here, later in gains}
    return Measured(case, tuple(peer), seconds, table, blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="", help="only cases whose name begins so")
    parser.add_argument("--keep", type=Path, help="a folder that keeps what was measured")
    given = parser.parse_args()
    found = []
    for case in CASES:
        if case.name.startswith(given.case):
            with _console.status(case.name):
                found.append(_kept(case, given.keep) if given.keep else measure(case))
            _tell(found[-1])
    if not given.case:
        draw(found, list(STRATEGIES), _BLOCKS)


if __name__ == "__main__":
    main()
