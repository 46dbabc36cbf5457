"""A made-up stream for tests: orders of two groups of customers over ten days."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from gmm_core.pipeline import verbs
from gmm_core.pipeline.memory import MemoryServices, memory_services
from gmm_core.pipeline.streams import Stream

FIRST = dt.date(2024, 5, 1)
KEYS = [str(FIRST + dt.timedelta(days=i)) for i in range(10)]


def make_rows(key: str, n: int = 400, seed: int | None = None) -> pd.DataFrame:
    """Rows of two groups of customers; the same key gives the same rows."""
    rng = np.random.default_rng(dt.date.fromisoformat(key).toordinal() if seed is None else seed)
    large = rng.random(n) < 0.3
    price = np.exp(np.where(large, rng.normal(4.5, 0.4, n), rng.normal(2.0, 0.7, n)))
    seconds = np.sort(rng.uniform(0, 86_399, n))
    return pd.DataFrame(
        {
            "event_time": pd.Timestamp(key) + pd.to_timedelta(seconds, unit="s"),
            "price": price,
            "delay": np.where(large, rng.gamma(9.0, 1.0, n), rng.gamma(3.0, 1.0, n)),
            "rating": rng.normal(0.0, 1.0, n) + 0.5 * np.log(price),
        }
    )


def declaration(**changes: Any) -> dict[str, Any]:
    """The stream file's content, with some of its keys changed."""
    return {
        "stream": "orders",
        "start": str(FIRST),
        "source": {
            "path": "orders.parquet",
            "time": "at",
            "columns": {"price": "price", "delay": "delay", "rating": "rating"},
        },
        "features": {
            "price": {"transform": "log", "minimum": 0.01, "maximum": 10_000},
            "delay": {"transform": "log1p", "minimum": 0, "maximum": 1_000},
            "rating": {"minimum": -50, "maximum": 50},
        },
        "mixture": {"k": 3, "restarts": 2},
        "window": {"blocks": 4},
    } | changes


def copy_of(at: MemoryServices) -> MemoryServices:
    """Twins of their own with the same content: building one is dear, copying it is not."""
    other = memory_services(at.engine.blocks)
    mine, theirs = at.store._files, other.store._files
    theirs.system.copy(mine.root, theirs.root, recursive=True)
    other.registry = copy.deepcopy(at.registry)
    return other


def run_day(stream: Stream, key: str, at: MemoryServices) -> list[bool]:
    """One block through the five verbs: what each of them changed."""
    steps = (verbs.land, verbs.fit, verbs.merge, verbs.promote, verbs.transform)
    return [verb(stream, key, at).changed for verb in steps]
