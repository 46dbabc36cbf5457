"""What the benchmarks of scale share: a session, wall time, the memory of all processes, made-up columns."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from gmm_core.features import Feature
from gmm_core.spark.generating import generate
from gmm_core.spark.session import session
from gmm_core.synthetic import TRANSACTIONS

__all__ = ["Figure", "Memory", "amounts", "classic", "telling", "thrown_away", "timed"]


@dataclass(frozen=True)
class Figure:
    """A line of the table: what was measured, beside whom, the bar, and how it was measured."""

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    bar: str = ""
    note: str = ""


@dataclass
class Memory:
    """Largest memory, bytes, of this process and all that it started, while watched.

    Resident pages; those that several processes share count once.
    """

    peak: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()

    def _watch(self) -> None:
        while not self._end.is_set():
            self.peak = max(self.peak, _resident())
            self._end.wait(0.25)


def _resident() -> int:
    """Resident bytes of the tree of processes under this one: their proportional shares."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            continue
        children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [os.getpid()]
    while waiting:
        one = waiting.pop()
        total += _proportional(one)
        waiting += children.get(one, [])
    return total


def _proportional(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def telling(spark: SparkSession, what: str, every: float = 20.0) -> Iterator[None]:
    """Prints how many tasks of the running stages are done, now and then, until the block ends."""
    tracker, end = spark.sparkContext.statusTracker(), threading.Event()

    def tell() -> None:
        while not end.wait(every):
            stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
            done = ", ".join(f"{s.numCompletedTasks:,} of {s.numTasks:,} tasks" for s in stages)
            print(f"{what}: {done or 'between stages'}", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def classic() -> SparkSession:
    """A classic session on two cores."""
    return session(master="local[2]")


def amounts(spark: SparkSession, rows: int, partitions: int | None = None) -> DataFrame:
    """Logarithms of made-up amounts: one column, made as it is read, never written.

    Drawn as logarithms, so that no time goes into powers that logarithms then undo.
    """
    recipe = replace(TRANSACTIONS.only("amount"), features=(Feature("amount"),))
    return generate(spark, rows, recipe, partitions=partitions).select("amount")


def thrown_away(frame: DataFrame) -> None:
    """Compute all rows and keep none."""
    frame.write.format("noop").mode("overwrite").save()


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The outcome, and wall seconds."""
    began = time.perf_counter()
    outcome = call()
    return outcome, time.perf_counter() - began
