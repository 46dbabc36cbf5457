"""Mode-specific normalisation beside RDT's: the same columns, in turn, in one process.

    python -m bench.modes                     # columns of the baskets, 20,000 rows each
    python -m bench.modes --rows 155000       # all of them: minutes, RDT's
    python -m bench.modes --spark 5000000     # and Spark's transform with its Parquet write

Prints what it measured: seconds per row of fit and transform, what the inverse restores, and how far
a column made anew from drawn modes lies from the original (Kolmogorov and Smirnov's distance).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import ks_2samp

from bench.measuring import seconds
from bench.window_cases import _baskets
from gmm_core.normalising.hashing import hash_columns, salt_of
from gmm_core.normalising.modes import Modes
from gmm_core.variational.modes import fit_modes

_console = Console(width=120)
_NAMES = ("log amount", "log items", "share off", "hour")
Column = np.ndarray[Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--spark", type=int, default=0, help="rows of Spark's transform; 0: none")
    given = parser.parse_args()
    compare(given.rows)
    if given.spark:
        _spark(_baskets()[1], given.spark)


def compare(rows: int) -> None:
    """Prints the table for so many rows a column."""
    _, baskets = _baskets()
    part = np.random.default_rng(0).permutation(len(baskets))[:rows]
    table = Table(title=f"{len(part):,} rows a column: RDT, Blockmix")
    for name in ("column", "fit\nns/row", "times\nfaster", "modes\nkept", "transform\nns/row",
                 "times\nfaster", "inverse off by\n(of the range)", "KS of a column\nmade anew"):  # fmt: skip
        table.add_column(name, justify="left" if name == "column" else "right")
    fit_modes(baskets[:5_000, 0])  # compiles
    for index, name in enumerate(_NAMES):
        with _console.status(name):
            table.add_row(name, *_compared(baskets[part, index]))
    _console.print(table)


def _compared(x: Column) -> list[str]:
    from rdt.transformers import ClusterBasedNormalizer

    theirs, frame = ClusterBasedNormalizer(missing_value_generation=None), pd.DataFrame({"x": x})
    made: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = seconds(lambda: theirs.fit(frame, "x")), seconds(lambda: made.update(m=fit_modes(x)))
        modes: Modes = made["m"]
        bits = hash_columns([np.arange(len(x))], salt_of(0, "x"))
        _ = modes.table
        transforms = (
            seconds(lambda: made.update(t=theirs.transform(frame))),
            seconds(lambda: made.update(o=modes.normalise(x, bits))),
        )
        back = theirs.reverse_transform(made["t"])["x"].to_numpy()
    own = modes.denormalise(*made["o"])
    reach = float(np.ptp(x))
    off = [float(np.abs(other - x).max()) / reach for other in (back, own)]
    kept = int(theirs.valid_component_indicator.sum()), modes.n_modes
    n = len(x) / 1e9
    return [
        f"{fits[0] / n:,.0f}  {fits[1] / n:,.0f}", f"{fits[0] / fits[1]:,.0f}",
        f"{kept[0]}  {kept[1]}",
        f"{transforms[0] / n:,.0f}  {transforms[1] / n:,.0f}", f"{transforms[0] / transforms[1]:,.0f}",
        f"{off[0]:.1e}  {off[1]:.1e}", f"{_made_anew(x, modes, bits):.4f}",
    ]  # fmt: skip


def _made_anew(x: Column, modes: Modes, bits: Any) -> float:
    """A mode by its weight, then one of its normalised values: what a generator has to learn."""
    values, mode = modes.normalise(x, bits)
    rng = np.random.default_rng(1)
    there = np.unique(mode)
    weights = modes.mixture.weights[there] / modes.mixture.weights[there].sum()
    drawn = rng.choice(there, len(x), p=weights)
    picked = np.empty(len(x))
    for j in there:
        picked[drawn == j] = rng.choice(values[mode == j], int((drawn == j).sum()))
    # Rounded: a value that comes back as 1e-19 instead of 0 is no other value.
    made, unit = modes.denormalise(picked, drawn), 1e-9 * float(np.ptp(x))
    return float(ks_2samp(np.round(made / unit), np.round(x / unit)).statistic)


def _spark(baskets: Column, rows: int) -> None:
    from gmm_core.spark.modes import normalise_columns
    from gmm_core.spark.session import session

    spark = session(master="local[2]")
    each = {f"c{i}": fit_modes(baskets[:, i]) for i in range(4)}
    with tempfile.TemporaryDirectory(prefix="blockmix-bench-") as folder:
        source, target = str(Path(folder) / "in"), str(Path(folder) / "out")
        kinds = [
            f"{float(m.means.mean())!r}D + {float(np.ptp(m.means))!r}D * randn({i}) AS c{i}"
            for i, m in enumerate(each.values())
        ]
        spark.range(rows).selectExpr("id", *kinds).write.parquet(source)
        frame = spark.read.parquet(source)
        ways = {
            "copy": frame.select(*each),
            "likeliest": normalise_columns(frame, each, keep=[]),
            "sampled": normalise_columns(frame, each, keep=[], sampled=True, keys=["id"]),
        }
        for name, made in ways.items():
            for sink in ("noop", "parquet"):
                writer = made.write.format(sink).mode("overwrite")
                took = min(seconds(lambda w=writer: w.save(target)) for _ in range(2))
                cost = took / rows / len(each) * 1e9 * 2
                _console.print(f"Spark, {name}, {sink}: {cost:.0f} ns per row, column and core")
    spark.stop()


if __name__ == "__main__":
    main()
