"""Detection power of the drift monitor: how large a change is alarmed within how many days, and how often
ordinary days alarm. `python -m bench.drift` prints both, on the grocery baskets of 2017.

Days are fitted as the pipeline fits them. From some day on all rows are changed in feature space, and the
monitor looks at one day after the other as it does every night: beside a window of the seven days before,
which are soon changed ones themselves, and beside a baseline, the seven days before the change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.drill_faults import COLUMNS, baskets
from gmm_core.arrays import Array
from gmm_core.block import fit_block
from gmm_core.drift.report import Alarm, drift_from
from gmm_core.features import to_matrix
from gmm_core.pipeline.drifting import stepped
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary

__all__ = ["CHANGES", "Change", "Days", "days_until", "false_alarms"]

_DRAWS = 1_024  # as the pipeline takes
_WINDOW = 7
_WITHIN = (3, 5, 7)  # days: an alarm needs three at least, the window is new after seven


@dataclass(frozen=True)
class Change:
    """Something that happens to the rows of a day, in feature space; `rows` maps (n, d) to (m, d)."""

    kind: str
    size: str
    rows: Callable[[Array], Array]


def _shifted(deviations: float) -> Callable[[Array], Array]:
    def change(X: Array) -> Array:
        moved = X.copy()
        moved[:, 0] += deviations * X[:, 0].std()
        return moved

    return change


def _gathered(share: float) -> Callable[[Array], Array]:
    """A share of the rows lies at one point, an unusual but possible one."""

    def change(X: Array) -> Array:
        moved = X.copy()
        chosen = np.random.default_rng(0).choice(len(X), round(share * len(X)), replace=False)
        moved[chosen] = X.mean(axis=0) + np.array([2.0, -1.0, 0.0, 0.0]) * X.std(axis=0)
        return moved

    return change


def _turned(degrees: float) -> Callable[[Array], Array]:
    """Amount and items, standardised, turn together."""

    def change(X: Array) -> Array:
        mean, deviation = X[:, :2].mean(axis=0), X[:, :2].std(axis=0)
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = X.copy()
        moved[:, :2] = (X[:, :2] - mean) / deviation @ turn * deviation + mean
        return moved

    return change


CHANGES = (
    Change("nothing changes", "", lambda X: X),
    *(Change("amount shifts by", f"{d:g} sd", _shifted(d)) for d in (0.1, 0.2, 0.3, 0.5, 1.0)),
    *(Change("rows in one place", f"{s:.0%}", _gathered(s)) for s in (0.01, 0.02, 0.05, 0.1)),
    *(Change("amount and items turn by", f"{a:g}°", _turned(a)) for a in (5, 10, 20, 45)),
)


class Days:
    """The days of a stream in feature space, fitted as they are asked for.

    Parameters
    ----------
    rows : (n, d) in feature space of each block key.
    """

    def __init__(self, stream: Stream, rows: dict[str, Array]) -> None:
        self.stream, self.rows = stream, rows
        self.keys = sorted(rows)
        self.block = cache(lambda key: self.fit(key, rows[key]))

    def fit(self, key: str, X: Array) -> BlockSummary:
        """As the pipeline fits a block."""
        stream = self.stream
        return fit_block(stream.name, key, stream.feature_list, X, **stream.of_a_block)

    def stepped(self, alarm: Alarm, reference: list[BlockSummary], block: BlockSummary) -> Alarm:
        """The alarm after a block beside a reference, as the stream's settings step it."""
        return stepped(self.stream, alarm, drift_from(reference, block, _DRAWS))


def days_until(days: Days, change: Change, first: str, within: int) -> dict[str, int]:
    """How many days each alarm takes to go up when all rows from `first` on are changed.

    Both alarms are down before; one that does not go up within so many days is left out.
    """
    at = days.keys.index(first)
    before = [days.block(key) for key in days.keys[at - _WINDOW : at]]
    blocks, found = list(before), dict[str, int]()
    alarms = {"window": Alarm(), "baseline": Alarm()}
    for day, key in enumerate(days.keys[at : at + within], start=1):
        block = days.fit(key, change.rows(days.rows[key]))
        for name, reference in (("window", blocks[-_WINDOW:]), ("baseline", before)):
            if name not in found:
                alarms[name] = days.stepped(alarms[name], reference, block)
                if alarms[name].up:
                    found[name] = day
        blocks.append(block)
        if len(found) == len(alarms):
            break
    return found


def false_alarms(days: Days, name: str) -> list[str]:
    """The keys at which an alarm goes up on the days as they are; the baseline is the first seven."""
    alarm, raised = Alarm(), []
    for at, key in enumerate(days.keys[_WINDOW:], start=_WINDOW):
        keys = days.keys[at - _WINDOW : at] if name == "window" else days.keys[:_WINDOW]
        after = days.stepped(alarm, [days.block(one) for one in keys], days.block(key))
        if after.up and not alarm.up:
            raised.append(key)
        alarm = after
    return raised


def _days(stream: Stream) -> Days:
    frame = baskets()
    rows = {}
    for key, day in frame[frame["key"] <= str(stream.end)].groupby("key")[COLUMNS]:
        columns = {name: day[name].to_numpy() for name in stream.features}
        rows[str(key)] = to_matrix(stream.feature_list, columns)
    return Days(stream, rows)


def _starts(days: Days, count: int) -> list[str]:
    last = len(days.keys) - max(_WITHIN)
    return [days.keys[at] for at in np.linspace(_WINDOW, last, count).astype(int)]


def _table(days: Days, starts: list[str], console: Console) -> Table:
    table = Table(title=f"Alarmed, of {len(starts)} changes that begin on days over the year")
    names = ("what changes", "by", *(f"within {days} days" for days in _WITHIN))
    for name in (*names, "median days", "by the window", "by the baseline"):
        table.add_column(name, justify="right" if name not in names[:2] else "left")
    for change in CHANGES:
        with console.status(f"{change.kind} {change.size}"):
            found = [days_until(days, change, first, max(_WITHIN)) for first in starts]
        table.add_row(change.kind, change.size, *_shares(found))
    return table


def _shares(found: list[dict[str, int]]) -> list[str]:
    """Alarmed within so many days by either, the median of days, and what each alarm found in all."""
    first = np.array([min(one.values(), default=np.inf) for one in found])
    middle = float(np.median(first))
    return [
        *(f"{np.mean(first <= days):.0%}" for days in _WITHIN),
        f"{middle:g}" if np.isfinite(middle) else "never",
        *(f"{np.mean([name in one for one in found]):.0%}" for name in ("window", "baseline")),
    ]


def main(
    starts: Annotated[int, typer.Option(help="days on which every change begins once")] = 12,
    real: Annotated[bool, typer.Option(help="take the real days through as well")] = True,
) -> None:
    """Print how soon changes alarm, then how often real days do."""
    console, stream = Console(width=130), load_stream("baskets", Path("dags/streams"))
    began = time.perf_counter()
    days = _days(stream)
    console.print(_table(days, _starts(days, starts), console))
    for name in ("window", "baseline") if real else ():
        with console.status(f"real days, {name}"):
            raised = false_alarms(days, name)
        console.print(
            f"Real days: the {name} alarm went up {len(raised)} times in {len(days.keys) - _WINDOW} days: "
            f"{', '.join(raised) or 'never'}."
        )
    console.print(f"{time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    typer.run(main)
