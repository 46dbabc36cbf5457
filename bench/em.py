"""EM beside scikit-learn's: the same rows, start and number of iterations, in one process.

    python -m bench.em                 # the whole table, some five minutes on two cores
    python -m bench.em --case full     # cases whose name begins so

Prints what it measured, whatever that is, next to the bar set for it.
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from bench.cases import CASES, Case
from bench.measuring import Outcome, fused_multiply_adds, measure
from bench.whole import costs, whole_fit

_console = Console(width=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="", help="only cases whose name begins so")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of runs per case")
    parser.add_argument("--no-whole", action="store_true", help="leave whole fits and costs out")
    given = parser.parse_args()
    cases = [case for case in CASES if case.name.startswith(given.case)]
    limit = fused_multiply_adds()
    _console.print(f"This machine: {limit:.1f} thousand million float64 multiply-adds a second")
    table = _iterations_table()
    for case in cases:
        with _console.status(f"{case.name}: ours and scikit-learn's in turn"):
            outcome = measure(case, given.rounds)
        table.add_row(*_cells(case, outcome, limit))
    _console.print(table)
    if not given.no_whole:
        whole_fit(_console)
        costs(_console)


def _iterations_table() -> Table:
    table = Table(title="Time per iteration, the best of each over all rounds")
    table.add_column("case")
    for name in (
        "scikit-learn\nms",
        "Blockmix\nms",
        "times\nfaster",
        "bar",
        "log-likelihoods\ndiffer by",
        "allowed",
        "of the limit",
        "shares that\ncount",
    ):
        table.add_column(name, justify="right")
    return table


def _cells(case: Case, outcome: Outcome, limit: float) -> list[str]:
    ratio = outcome.peer / outcome.ours
    work = case.n * case.k * case.multiply_adds / outcome.ours / 1e9
    reached = work / (limit * (2 if case.dtype == "float32" else 1))
    return [
        case.name,
        f"{outcome.peer * 1e3:.2f}",
        f"{outcome.ours * 1e3:.2f}",
        f"[{'green' if ratio >= case.bar else 'red'}]{ratio:.1f}[/]",
        f"{case.bar:g}",
        f"{outcome.difference:.1e}",
        f"{case.allowed:.0e}",
        f"{100 * reached:.0f} %" if case.covariance_type == "full" else "",
        f"{100 * outcome.active:.0f} %",
    ]


if __name__ == "__main__":
    main()
