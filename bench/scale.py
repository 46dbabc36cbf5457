"""Scale: fits of a hundred million and more rows in Spark, beside RDT and Spark ML.

    python -m bench.scale                              # small: 10 million rows, some ten minutes
    python -m bench.scale SIZE=1e9 ONLY=billion        # one thing at full size
    python -m bench.scale SIZE=1e8 ONLY=columns,transform
    python -m bench.scale SIZE=1e9 ONLY=growth OUT=docs/images

What there is to measure: columns, em, passes, answers, billion, transform, growth. Rows are made as they are
read wherever that is possible; what is written is deleted. Prints winners and losers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import scale_answers, scale_columns, scale_em, scale_rows
from bench.scale_measuring import Figure

__all__ = ["main"]

_console = Console(width=160)
_CASES: dict[str, Callable[[int], Iterator[Figure]]] = {
    "columns": scale_columns.columns,
    "em": lambda rows: scale_em.distributed(max(100_000, rows // 10)),
    "passes": lambda rows: scale_em.passes(max(100_000, rows // 10)),
    "answers": lambda rows: scale_answers.answers(max(200_000, rows // 10)),
    "billion": scale_rows.billion,
    "transform": scale_rows.transformed,
}


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    rows = int(float(given.pop("SIZE", "1e7")))
    only = given.pop("ONLY", ",".join([*_CASES, "growth"])).split(",")
    out = Path(given.pop("OUT", "."))
    unknown = [*given, *(set(only) - {*_CASES, "growth"})]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; {__doc__}")
    table = Table(title=f"Scale, {rows:,} rows where not said otherwise; 2 cores")
    for name in ("what", "Blockmix", "peer", "times", "bar", "note"):
        table.add_column(name, overflow="fold")
    for name in only:
        if name == "growth":
            continue
        with _console.status(f"{name}: measuring"):
            for figure in _CASES[name](rows):
                times = "" if figure.ratio is None else f"{figure.ratio:,.1f}"
                table.add_row(figure.what, figure.ours, figure.peer, times, figure.bar, figure.note)
                _console.print(f"{figure.what}: {figure.ours} {figure.peer} {times} {figure.note}")
    if table.row_count:
        _console.print(table)
    if "growth" in only:
        _growth(rows, out)


def _growth(rows: int, out: Path) -> None:
    kinds = {"rows": scale_rows.against_rows, "partitions": scale_rows.against_partitions}
    points: dict[str, list[tuple[int, float, float]]] = {name: [] for name in kinds}
    for name, measured in kinds.items():
        table = Table(name, "seconds", "GiB, all processes", title=f"Against {name}")
        with _console.status(f"against {name}: measuring"):
            for point in measured(rows):
                points[name].append(point)
                table.add_row(f"{point[0]:,}", f"{point[1]:.1f}", f"{point[2]:.2f}")
        _console.print(table)
    scale_rows.plotted(points["rows"], points["partitions"], out / "scale.png")
    _console.print(f"plotted: {out / 'scale.png'}")


if __name__ == "__main__":
    main()
