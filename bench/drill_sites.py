"""Where drills take place: the ports in memory, or a whole installation with real Spark and MLflow.

Either way the gate is the real one. A site knows how to deliver rows as a block: in memory they are handed
over, on Spark they are a Parquet file that the source of the stream names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.drill_faults import COLUMNS
from expectations import ExpectationsGate
from gmm_core.config import Settings
from gmm_core.errors import InvalidInput
from gmm_core.pipeline.memory import LocalEngine, MemoryServices, memory_services
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.wiring import open_services

__all__ = ["ENGINES", "InMemory", "OnSpark", "Site", "site"]

ENGINES = ("memory", "spark")


class Site(Protocol):
    """A stream, the services that its verbs get, and a way to deliver rows."""

    stream: Stream
    at: Services

    def deliver(self, key: str, rows: pd.DataFrame) -> None:
        """Make these the rows that the source has of a block."""


@dataclass(frozen=True)
class InMemory:
    """The twins in memory, with the real gate."""

    stream: Stream
    at: MemoryServices
    engine: LocalEngine

    def deliver(self, key: str, rows: pd.DataFrame) -> None:
        """See `Site`."""
        self.engine.blocks[key] = rows


@dataclass(frozen=True)
class OnSpark:
    """An installation of its own under `file`'s folder, whose source is one Parquet file."""

    stream: Stream
    at: Services
    file: Path

    def deliver(self, key: str, rows: pd.DataFrame) -> None:
        """See `Site`; the file holds one delivery at a time, as a source that is read once does."""
        table = pa.Table.from_pandas(rows, preserve_index=False)
        time = table.schema.get_field_index("event_time")
        # Spark reads no nanoseconds.
        moments = table["event_time"].cast(pa.timestamp("us"))
        pq.write_table(table.set_column(time, "event_time", moments), self.file)


def site(engine: str, stream: Stream, root: Path, remote: str = "") -> Site:
    """A site under a folder; raises `InvalidInput` for an engine that is none.

    Parameters
    ----------
    remote : Spark Connect address; empty: a session in this process.
    """
    if engine == "memory":
        at = memory_services({})
        services = MemoryServices(at.engine, at.store, at.registry, ExpectationsGate(root))
        return InMemory(stream, services, at.engine)
    if engine == "spark":
        file = root / "source.parquet"
        plain: dict[str, Any] = stream.model_dump(mode="json")
        plain["source"] = {
            "path": str(file),
            "time": "event_time",
            "columns": {name: name for name in COLUMNS if name != "event_time"},
        }
        services = open_services(Settings(home=root, spark_remote=remote))
        return OnSpark(Stream.model_validate(plain), services, file)
    raise InvalidInput("engine of drills", got=engine, bound=" or ".join(ENGINES))
