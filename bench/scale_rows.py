"""One column of any number of rows, end to end; and time and memory against rows and partitions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.scale_columns import fitted
from bench.scale_measuring import Figure, Memory, amounts, classic, timed
from gmm_core.invariants import violations
from gmm_core.mixture import Mixture
from gmm_core.spark.cells import look, squash_columns
from gmm_core.spark.modes import normalise_columns
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.laws import column_laws

__all__ = ["against_partitions", "against_rows", "billion", "plotted", "transformed"]

_GIB = 2**30


def _fit_and_validate(
    rows: int, partitions: int | None = None
) -> tuple[Cells, Mixture, float, str]:
    """Look, squash, fit, laws: cells, mixture, seconds, and which laws do not hold."""
    frame = amounts(classic(), rows, partitions)

    def work() -> tuple[Cells, Mixture, str]:
        cells = squash_columns(frame, ["amount"], look(frame, ["amount"]))["amount"]
        mixture = fitted(cells).mixture
        laws = column_laws(cells, mixture, rows=rows, shrunk=True)
        return cells, mixture, ", ".join(law.name for law in violations(laws)) or "none"

    (cells, mixture, broken), seconds = timed(work)
    return cells, mixture, seconds, broken


def billion(rows: int) -> Iterator[Figure]:
    """Generate (never written), fit, validate."""
    squash_columns(amounts(classic(), 100_000), ["amount"])  # the JVM compiles
    noop = amounts(classic(), rows).write.format("noop").mode("overwrite")
    _, made = timed(noop.save)
    with Memory().watched() as memory:
        cells, _, seconds, broken = _fit_and_validate(rows)
    yield Figure(
        f"{rows:,} rows x 1 column: fit and validate",
        f"{seconds:.1f} s, rows made in it ({made:.1f} s of making alone), {len(cells)} cells",
        bar="180 s at a thousand million rows",
        note=f"laws broken: {broken}; at most {memory.peak / _GIB:.1f} GiB in all processes",
    )


def transformed(rows: int) -> Iterator[Figure]:
    """Mode-specific transform and write, then validate what was written; it is deleted afterwards."""
    _, mixture, _, _ = _fit_and_validate(min(rows, 10_000_000))
    folder = Path(tempfile.mkdtemp(prefix="blockmix-scale-"))
    spark = classic()
    try:
        frame = normalise_columns(amounts(spark, rows), {"amount": mixture}, keep=[])
        with Memory().watched() as memory:
            _, written = timed(lambda: frame.write.parquet(str(folder / "rows")))
            back = spark.read.parquet(str(folder / "rows"))
            values = ["amount_normalised"]
            cells, checked = timed(lambda: squash_columns(back, values)[values[0]])
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
        yield Figure(
            f"{rows:,} rows: transform, write, validate",
            f"{written:.1f} s written ({written / rows * 1e9:.0f} ns a row), {checked:.1f} s checked",
            bar="480 s and 8 GiB at a thousand million rows",
            note=f"{cells.rows:,.0f} rows back, {size / _GIB:.2f} GiB of files, at most "
            f"{memory.peak / _GIB:.1f} GiB of memory",
        )
    finally:
        shutil.rmtree(folder)


def against_rows(rows: int) -> Iterator[tuple[int, float, float]]:
    """Rows, seconds and GiB, from a 64th of `rows` to all of them."""
    squash_columns(amounts(classic(), 100_000), ["amount"])
    for shift in (6, 4, 2, 0):
        with Memory().watched() as memory:
            _, _, seconds, _ = _fit_and_validate(rows >> shift)
        yield rows >> shift, seconds, memory.peak / _GIB


def against_partitions(rows: int) -> Iterator[tuple[int, float, float]]:
    """Partitions, seconds and GiB, of an eighth of `rows`."""
    for partitions in (2, 8, 32, 128):
        with Memory().watched() as memory:
            _, _, seconds, _ = _fit_and_validate(rows >> 3, partitions)
        yield partitions, seconds, memory.peak / _GIB


def plotted(
    by_rows: list[tuple[int, float, float]], by_parts: list[tuple[int, float, float]], path: Path
) -> None:
    """Seconds and GiB against both, as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, points, name in zip(axes, (by_rows, by_parts), ("rows", "partitions"), strict=True):
        x, seconds, memory = zip(*points, strict=True)
        axis.loglog(x, seconds, "o-", color="#1b6ca8", label="seconds")
        axis.loglog(x, memory, "s--", color="#c0572b", label="GiB, all processes")
        axis.set_xlabel(name)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)
