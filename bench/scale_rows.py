"""One column of any number of rows, end to end; and time and memory against rows and partitions."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.scale_columns import fitted, peer_transform
from bench.scale_measuring import Figure, Memory, amounts, classic, telling, thrown_away, timed
from gmm_core.errors import InvalidInput
from gmm_core.invariants import violations
from gmm_core.mixture import Mixture
from gmm_core.spark.cells import look, squash_columns
from gmm_core.spark.modes import normalise_columns
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.laws import column_laws

__all__ = ["against_partitions", "against_rows", "billion", "plotted", "transformed"]

_GIB = 2**30
_BYTES_A_ROW = 16  # of transformed rows as Parquet, at most
_PARTS_OF = 10_000_000  # rows at most that the parts of a transform are measured on

Point = tuple[int, float, float]


def _fit_and_validate(
    rows: int, partitions: int | None = None
) -> tuple[Cells, Mixture, float, str]:
    """Look, squash, fit, laws: cells, mixture, seconds, and which laws do not hold."""
    spark = classic()
    frame = amounts(spark, rows, partitions)

    def work() -> tuple[Cells, Mixture, str]:
        cells = squash_columns(frame, ["amount"], look(frame, ["amount"]))["amount"]
        mixture = fitted(cells).mixture
        laws = column_laws(cells, mixture, rows=rows, shrunk=True)
        return cells, mixture, ", ".join(law.name for law in violations(laws)) or "none"

    with telling(spark, "fit and validate"):
        (cells, mixture, broken), seconds = timed(work)
    return cells, mixture, seconds, broken


def billion(rows: int) -> Iterator[Figure]:
    """Generate (never written), fit, validate; and what the generating takes by itself."""
    spark = classic()
    squash_columns(amounts(spark, 100_000), ["amount"])  # the JVM compiles
    with telling(spark, "making alone"):
        _, made = timed(lambda: thrown_away(amounts(spark, rows)))
    with Memory().watched() as memory:
        cells, _, seconds, broken = _fit_and_validate(rows)
    yield Figure(
        f"{rows:,} rows x 1 column: fit and validate",
        f"{seconds:.1f} s, rows made in it ({made:.1f} s of making alone, "
        f"{max(seconds - made, 0) / rows * 1e9:.0f} ns a row without), {len(cells)} cells",
        bar="180 s at a thousand million rows",
        note=f"laws broken: {broken}; at most {memory.peak / _GIB:.1f} GiB in all processes",
    )


def transformed(rows: int) -> Iterator[Figure]:
    """Mode-specific transform and write, then validate what was written; it is deleted afterwards."""
    _, mixture, _, _ = _fit_and_validate(min(rows, _PARTS_OF))
    yield from _parts(min(rows, _PARTS_OF), mixture)
    theirs = peer_transform()
    folder = Path(tempfile.mkdtemp(prefix="blockmix-scale-"))
    spark = classic()
    try:
        _check_room(folder, rows)
        with Memory().watched() as memory, telling(spark, "transform, write, validate"):
            made = normalise_columns(amounts(spark, rows), {"amount": mixture}, keep=[])
            _, written = timed(lambda: made.write.parquet(str(folder / "rows")))
            back = spark.read.parquet(str(folder / "rows"))
            values = ["amount_normalised"]
            cells, checked = timed(lambda: squash_columns(back, values)[values[0]])
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
        yield Figure(
            f"{rows:,} rows: transform, write, validate",
            f"{written + checked:.1f} s: {written:.1f} s made, transformed and written "
            f"({written / rows * 1e9:.0f} ns a row), {checked:.1f} s read and checked",
            f"{theirs * 1e9:,.0f} ns a row (RDT's transform, nothing written)",
            theirs * rows / written,
            "50 times; 480 s and 8 GiB at a thousand million rows",
            note=f"{cells.rows:,.0f} rows back, {size / _GIB:.2f} GiB of files, at most "
            f"{memory.peak / _GIB:.1f} GiB of memory",
        )
    finally:
        shutil.rmtree(folder)


def _parts(rows: int, mixture: Mixture) -> Iterator[Figure]:
    """What a row and column costs: making or reading it, its mode, the draw of one, the file."""
    spark = classic()
    with tempfile.TemporaryDirectory(prefix="blockmix-scale-") as folder:
        source = f"{folder}/source"
        amounts(spark, rows).write.parquet(source)
        read = spark.read.parquet(source)
        one = {"amount": mixture}
        cases = {
            "made": lambda: thrown_away(amounts(spark, rows)),
            "read": lambda: thrown_away(read),
            "read, likeliest mode": lambda: thrown_away(normalise_columns(read, one, keep=[])),
            "read, drawn mode": lambda: thrown_away(
                normalise_columns(read, one, sampled=True, keep=[])
            ),
            "read, likeliest mode, Parquet written": lambda: normalise_columns(
                read, one, keep=[]
            ).write.parquet(f"{folder}/out", mode="overwrite"),
        }
        for name, work in cases.items():
            seconds = min(timed(work)[1] for _ in range(3))
            yield Figure(f"a row of one column: {name}", f"{seconds / rows * 1e9:.0f} ns")


def _check_room(folder: Path, rows: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < rows * _BYTES_A_ROW:
        raise InvalidInput(
            f"room for {rows:,} rows in {folder.parent}",
            got=f"{free / _GIB:.0f} GiB",
            bound=f"{rows * _BYTES_A_ROW / _GIB:.0f} GiB",
            remedy="name another folder in TMPDIR",
        )


def against_rows(rows: int) -> Iterator[Point]:
    """Rows, seconds and GiB, from a thousandth of `rows` to all of them."""
    for shift in (10, 8, 6, 4, 2, 0):
        yield (rows >> shift, *_apart(rows >> shift, None))


def against_partitions(rows: int) -> Iterator[Point]:
    """Partitions, seconds and GiB, of an eighth of `rows`."""
    for partitions in (2, 8, 32, 128):
        yield (partitions, *_apart(rows >> 3, partitions))


def _apart(rows: int, partitions: int | None) -> tuple[float, float]:
    """Seconds and GiB, in a process and a JVM of their own: neither gives back what it once took."""
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=start) as alone:
        return alone.submit(_point, rows, partitions).result()


def _point(rows: int, partitions: int | None) -> tuple[float, float]:
    squash_columns(amounts(classic(), 100_000), ["amount"])  # the JVM compiles
    with Memory().watched() as memory:
        _, _, seconds, _ = _fit_and_validate(rows, partitions)
    return seconds, memory.peak / _GIB


def plotted(by_rows: list[Point], by_parts: list[Point], path: Path) -> None:
    """Seconds and GiB against both, as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, points, name in zip(axes, (by_rows, by_parts), ("rows", "partitions"), strict=True):
        x, seconds, memory = zip(*points, strict=True)
        axis.loglog(x, seconds, "o-", color="#1b6ca8", label="seconds")
        axis.loglog(x, memory, "s--", color="#c0572b", label="GiB, all processes")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        unit = 1e6 if name == "rows" else 1
        axis.set_xticks(x, labels=[f"{value / unit:.4g}" for value in x])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("million rows" if name == "rows" else name)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    axes[1].set_title(f"{by_rows[-1][0] >> 3:,} rows", fontsize="medium")
    figure.savefig(path, dpi=150)
