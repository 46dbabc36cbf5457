"""Drills: what becomes of a bad day, and of every real day of a year. `python -m bench.drills` prints both.

Each case goes through the functions that the DAGs call, with the real gate, after the seven days before it
have gone through them: the other ports in memory, or with `--engine spark` real Spark, lake and MLflow. What
is let in is measured by what it does: how far the likelihood of the next real day falls because of it.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from bench.drill_faults import CASES, COLUMNS, Case, baskets
from bench.drill_sites import Site, site
from gmm_core.errors import BlockmixError, Refused
from gmm_core.features import to_matrix
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge, promote, transform
from gmm_core.pipeline.windows import window_blocks
from gmm_core.window import window_mixture

__all__ = ["Drill", "drill", "prepared", "year"]

_BEFORE = 7


@dataclass(frozen=True)
class Drill:
    """Where a case was stopped ("" if nowhere), and by what."""

    case: Case
    stopped_by: str
    reason: str
    cost: float | None = None

    @property
    def verdict(self) -> str:
        if self.case.stop:
            return "caught" if self.stopped_by else "passed"
        return "wrongly stopped" if self.stopped_by else "passed, as it should"

    @property
    def short_reason(self) -> str:
        """The first check that failed, or the error."""
        return self.reason.split("; ")[0][:110]


def prepared(frame: pd.DataFrame, key: str, there: Site) -> None:
    """Have the seven days before `key` fitted and accepted."""
    for day in sorted(day for day in frame["key"].unique() if day < key)[-_BEFORE:]:
        there.deliver(day, _rows(frame, day))
        land(there.stream, day, there.at)
        fit(there.stream, day, there.at)


def drill(case: Case, frame: pd.DataFrame, there: Site) -> Drill:
    """Take a case's rows through the verbs; a gate, or a refusal before it, may stop them."""
    rows = case.rows(frame, case.key)
    there.deliver(case.key, rows)
    for verb in (land, fit, merge, promote, transform):
        try:
            verb(there.stream, case.key, there.at)
        except BlockmixError as error:
            return Drill(case, verb.__name__, _why(error))
    own = rows.equals(_rows(frame, case.key))
    return Drill(case, "", "", None if own else _cost(case.key, frame, there))


def _cost(key: str, frame: pd.DataFrame, there: Site) -> float:
    """Nats a row that the next real day loses because these rows, not the day's own, are in the window."""
    stream, at = there.stream, there.at
    blocks = window_blocks(stream, key, at)
    staged = at.store.stage(stream.name, "landed", key)
    there.deliver(key, _rows(frame, key))
    at.engine.land(stream, key, staged)
    own = at.engine.fit(stream, key, staged, "own")
    at.store.discard(staged)
    after = _rows(frame, min(day for day in frame["key"] if day > key))
    X = to_matrix(stream.feature_list, {name: after[name].to_numpy() for name in stream.features})
    without, with_it = (
        window_mixture([*blocks[:-1], block], stream.mixture.k, stream.window.strategy)
        for block in (own, blocks[-1])
    )
    return float((without.log_prob(X) - with_it.log_prob(X)).mean())


def year(
    frame: pd.DataFrame, stream: Stream, root: Path, days: int | None = None
) -> dict[str, str]:
    """Every real day through landing and fit, in order: those that were stopped, with the reason."""
    there = site("memory", stream, root)
    stopped = {}
    for key in _real_days(frame, stream)[:days]:
        there.deliver(key, _rows(frame, key))
        try:
            land(stream, key, there.at)
            fit(stream, key, there.at)
        except BlockmixError as error:
            stopped[key] = _why(error)
    return stopped


def _real_days(frame: pd.DataFrame, stream: Stream) -> list[str]:
    return sorted(day for day in frame["key"].unique() if day <= str(stream.end))


def _why(error: BlockmixError) -> str:
    """The checks that a refusal names, or what is wrong where no gate was asked."""
    _, _, checks = error.problem.partition("(")
    return checks.removesuffix(")") if isinstance(error, Refused) else error.problem


def _rows(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    return frame.loc[frame["key"] == key, COLUMNS].reset_index(drop=True)


def _table(drills: list[Drill]) -> Table:
    table = Table(title="Drills on grocery baskets of 2017")
    for name in ("what happened", "to", "verdict", "stopped by", "what failed first", "cost"):
        table.add_column(name, overflow="fold")
    for one in drills:
        cost = "" if one.cost is None else f"{one.cost:+.3f}"
        table.add_row(
            one.case.name, one.case.key, one.verdict, one.stopped_by, one.short_reason, cost
        )
    return table


def main(
    days: Annotated[int, typer.Option(help="of the year to run through; 0 for none")] = 366,
    engine: Annotated[str, typer.Option(help="memory or spark")] = "memory",
    only: Annotated[str, typer.Option(help="cases whose name holds this")] = "",
) -> None:
    """Print the drills, then which real days were stopped."""
    console = Console(width=150)
    frame, stream = baskets(), load_stream("baskets", Path("dags/streams"))
    with tempfile.TemporaryDirectory() as folder:
        ready: dict[str, Site] = {}
        drills = []
        for case in (case for case in CASES if only in case.name):
            if case.key not in ready:
                home = Path(folder) / case.key
                home.mkdir()
                ready[case.key] = site(engine, stream, home)
                prepared(frame, case.key, ready[case.key])
            drills.append(drill(case, frame, ready[case.key]))
        console.print(_table(drills))
        console.print("cost: nats a row of the next real day that letting it in cost.")
        if days:
            began = time.perf_counter()
            stopped = year(frame, stream, Path(folder), days)
            judged = min(days, len(_real_days(frame, stream))) - _BEFORE
            console.print(
                f"Real days stopped: {len(stopped)}; judged against the seven before them: {judged}; "
                f"{time.perf_counter() - began:.0f} s."
            )
            for key, reason in stopped.items():
                console.print(f"  {key}: {reason}")


if __name__ == "__main__":
    typer.run(main)
