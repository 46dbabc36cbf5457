"""What other jobs get: how fast a served model answers, whether every place says the same, what it is worth.

python -m bench.consumers                # all of these but the last
python -m bench.consumers serving        # mlflow models serve on loopback: latencies and rows a second
python -m bench.consumers parity         # Python, Spark, SQL, exports and bridges: largest differences
python -m bench.consumers modes          # normalisation by modes beside RDT's, 10,000 rows a column
python -m bench.consumers calibration    # docs/images/calibration.png, from the demo's baskets
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.modes import compare
from bench.parity import parity
from bench.serving import serving
from bench.window_cases import CASES
from gmm_core.answering.calibration import observed_shares, plot_calibration
from gmm_core.answering.scoring import TailCurve
from gmm_core.estimators.windowed import WindowedGaussianMixture
from gmm_core.features import Feature
from gmm_core.model import DensityModel

FEATURES = (
    Feature("amount", "log"), Feature("items", "log"), Feature("discount_share"), Feature("hour"),
)  # fmt: skip
BATCH, ASKED, COLUMN = 20_000, 2_000, 10_000
THRESHOLD = 0.995


def baskets() -> list[np.ndarray[Any, Any]]:
    """Ninety days of baskets in feature space, a block each."""
    (case,) = (case for case in CASES if case.name == "baskets, 90 days")
    return case.rows()[0]


def model_of(days: list[np.ndarray[Any, Any]]) -> DensityModel:
    """The model of a window, as the pipeline makes it."""
    window = WindowedGaussianMixture(6, window=len(days), random_state=0)
    for number, rows in enumerate(days):
        window.partial_fit(rows, key=number)
    return DensityModel.build("baskets", FEATURES, window.mixture_, THRESHOLD)


def rows_of(days: list[np.ndarray[Any, Any]], n: int) -> pd.DataFrame:
    """So many baskets in source units, drawn from all days."""
    X = np.concatenate(days)
    X = X[np.random.default_rng(0).integers(len(X), size=n)]
    return pd.DataFrame({f.name: f.inverse(X[:, i]) for i, f in enumerate(FEATURES)})


def _serving() -> None:
    days = baskets()
    serving(model_of(days[:7]), rows_of(days, BATCH))


def _parity() -> None:
    days = baskets()
    rows = rows_of(days, ASKED)
    rows.loc[:9, "amount"] *= 1e4  # far out, too
    parity(model_of(days[:7]), rows)


def calibration(into: Path) -> None:
    """Shares of unusual baskets, expected and observed, on days that the model has not seen."""
    from matplotlib.figure import Figure

    days = baskets()
    model = model_of(days[:30])

    def score(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return model.tail.score(model.mixture.log_prob(rows))

    sets = {
        "drawn by the model": score(model.mixture.sample(20_000, seed=1)),
        "baskets of its 30 days": score(np.concatenate(days[:30])),
        "of the week after": score(np.concatenate(days[30:37])),
        "of a week two months later": score(np.concatenate(days[83:90])),
    }
    by_rows = TailCurve.observed(model.mixture.log_prob(np.concatenate(days[:30])))
    later = by_rows.score(model.mixture.log_prob(np.concatenate(days[30:37])))
    sets["the week after, by rows of the 30 days"] = later
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    plot_calibration(sets, THRESHOLD, figure.subplots())
    figure.savefig(into, dpi=110)
    for name, values in sets.items():
        shares = ", ".join(f"{share:.2%}" for share in observed_shares(values, [0.005, 0.05, 0.5]))
        print(
            f"{name} ({len(values):,} rows): {shares} observed where 0.5 %, 5 %, 50 % are expected"
        )


def main() -> None:
    runs: dict[str, Callable[[], None]] = {
        "serving": _serving,
        "parity": _parity,
        "modes": lambda: compare(COLUMN),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=["all", *runs, "calibration"])
    parser.add_argument("--into", type=Path, default=Path("docs/images/calibration.png"))
    asked = parser.parse_args()
    if asked.what == "calibration":
        calibration(asked.into)
    for name, run in runs.items():
        if asked.what in ("all", name):
            run()


if __name__ == "__main__":
    main()
