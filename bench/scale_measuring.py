"""What the benchmarks of scale share: a session, wall time, the memory of all processes, made-up columns."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from gmm_core.spark.cells import in_feature_space
from gmm_core.spark.generating import generate
from gmm_core.spark.session import session
from gmm_core.synthetic import TRANSACTIONS

__all__ = ["Figure", "Memory", "amounts", "classic", "timed"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


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
    """Largest resident memory, bytes, of this process and all that it started, while watched."""

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
    """Resident bytes of the tree of processes under this one; shared pages count in each."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            continue
        children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [os.getpid()]
    while waiting:
        one = waiting.pop()
        total += pages.get(one, 0)
        waiting += children.get(one, [])
    return total * _PAGE


def classic() -> SparkSession:
    """A classic session on two cores."""
    return session(master="local[2]")


def amounts(spark: SparkSession, rows: int, partitions: int | None = None) -> DataFrame:
    """Logarithms of made-up amounts: one column, made as it is read, never written."""
    recipe = TRANSACTIONS.only("amount")
    made = generate(spark, rows, recipe, partitions=partitions)
    return made.select(in_feature_space(recipe.features[0]))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The outcome, and wall seconds."""
    began = time.perf_counter()
    outcome = call()
    return outcome, time.perf_counter() - began
