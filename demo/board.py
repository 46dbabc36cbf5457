"""The live picture of the demo: one row per day, one column per step."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.airflow import TaskState

__all__ = ["STEPS", "Board"]

# column title, DAG of the stream, task
STEPS = [
    ("landed", "fit_block", "land"),
    ("fitted", "fit_block", "fit"),
    ("merged", "merge_window", "merge"),
    ("promoted", "merge_window", "promote"),
    ("transformed", "transform", "transform"),
    ("marts", "transform", "marts"),
]
FAILED = ("failed", "upstream_failed")
ENDED = ("success", "skipped", *FAILED)


@dataclass
class Board:
    """Knows the tasks of every day and draws them; on a plain stream it prints a line per change."""

    stream: str
    keys: list[str]
    console: Console
    tasks: dict[tuple[str, str], TaskState] = field(default_factory=dict)

    def update(self, tasks: list[TaskState], live: Live | None) -> None:
        """Take in the newest states and show what changed."""
        for task in tasks:
            title = self._title(task)
            if title is None or task.key not in self.keys:
                continue
            before = self.tasks.get((task.key, title))
            if before is not None and task.started < before.started:
                continue  # of an earlier run of the block, or not started yet
            self.tasks[task.key, title] = task
            ended = task.state in ENDED and (before is None or before.state != task.state)
            if live is None and ended:
                took = f" in {task.seconds:.1f} s" if task.seconds is not None else ""
                self.console.print(f"  {task.key} {title}: {task.state}{took}", highlight=False)
        if live is not None:
            live.update(self.table())

    def finished(self, keys: list[str]) -> bool:
        """Whether every one of the days has gone as far as it can."""
        return all(self._day_finished(key) for key in keys)

    def failures(self) -> list[TaskState]:
        """Tasks that failed, in the order of the days."""
        return [task for (_, _), task in sorted(self.tasks.items()) if task.state == "failed"]

    def seconds(self, key: str) -> float:
        """Wall time of a day, from the start of its first task to the end of its last; NaN before."""
        mine = [t for (k, _), t in self.tasks.items() if k == key and t.started and t.ended]
        if not mine:
            return math.nan
        begin = min(dt.datetime.fromisoformat(t.started) for t in mine)
        end = max(dt.datetime.fromisoformat(t.ended) for t in mine)
        return (end - begin).total_seconds()

    def table(self) -> Table:
        """The picture as of now."""
        done = sum(self._day_finished(key) for key in self.keys)
        table = Table(
            "block",
            *(title for title, _, _ in STEPS),
            title=f"{self.stream}: {done} of {len(self.keys)} days through",
            title_justify="left",
        )
        for key in self.keys:
            table.add_row(key, *(self._cell(key, title) for title, _, _ in STEPS))
        return table

    def _title(self, task: TaskState) -> str | None:
        for title, dag, task_id in STEPS:
            if (task.dag_id, task.task_id) == (f"{self.stream}_{dag}", task_id):
                return title
        return None

    def _day_finished(self, key: str) -> bool:
        states = [
            self.tasks[key, title].state for title, _, _ in STEPS if (key, title) in self.tasks
        ]
        return any(state in FAILED for state in states) or (
            len(states) == len(STEPS) and all(state in ENDED for state in states)
        )

    def _cell(self, key: str, title: str) -> Text:
        task = self.tasks.get((key, title))
        if task is None or task.state in ("", "scheduled", "queued", "none"):
            return Text("·", style="dim")
        if task.state == "running":
            return Text("working", style="yellow")
        if task.state == "success":
            return Text(f"✓ {task.seconds or 0:.1f} s", style="green")
        if task.state == "failed":
            return Text("✗ refused", style="bold red")
        return Text("not run" if task.state == "upstream_failed" else task.state, style="dim")
