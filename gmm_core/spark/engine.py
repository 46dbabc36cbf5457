"""`BlockEngine` on Spark, with a session that opens on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame, SparkSession

from gmm_core.errors import InvalidInput, ServiceUnavailable
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Landing, Scored
from gmm_core.pipeline.streams import Stream
from gmm_core.spark import fitting, landing, transforming
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.session import session
from gmm_core.spark.source import resolve
from gmm_core.summary import BlockSummary

__all__ = ["SparkEngine"]


class SparkEngine:
    """Does the work on rows in Spark, through Spark Connect or in this process.

    Parameters
    ----------
    remote : Spark Connect address, `sc://host:port`; empty: a classic session.
    master : Spark master of the classic session.
    max_rows_per_shard : a larger block is fitted in shards, each in one worker's memory.

    Folders are local paths or URLs that both Spark and fsspec can read. Every method raises
    `ServiceUnavailable` when Spark cannot be reached or failed; the next call opens a new session.
    """

    def __init__(
        self,
        remote: str = "",
        master: str = "local[*]",
        *,
        max_rows_per_shard: int = fitting.MAX_ROWS_PER_SHARD,
    ) -> None:
        if max_rows_per_shard < 1:
            raise InvalidInput("max_rows_per_shard", got=max_rows_per_shard, bound="at least 1")
        self._remote, self._master = remote, master
        self._max_rows_per_shard = max_rows_per_shard
        self._session: SparkSession | None = None

    def land(self, stream: Stream, key: str, target: str) -> Landing:
        """See `landing.land`."""
        with self._spark() as spark:
            return landing.land(spark, stream, key, resolve(target))

    def fit(self, stream: Stream, key: str, rows: str, digest: str) -> BlockSummary:
        """See `fitting.fit`."""
        with self._spark() as spark:
            return fitting.fit(spark, stream, key, resolve(rows), digest, self._max_rows_per_shard)

    def transform(
        self, stream: Stream, key: str, rows: str, model: DensityModel, version: int, target: str
    ) -> Scored:
        """See `transforming.transform`."""
        with self._spark() as spark:
            return transforming.transform(
                spark, stream, key, resolve(rows), model, version, resolve(target)
            )

    def read(self, path: str) -> DataFrame:
        """The rows at `path`; raises `InvalidInput` when no Parquet files are there."""
        with self._spark() as spark, spark_errors("rows cannot be read", remedy="check the path"):
            rows = spark.read.parquet(resolve(path))
            _ = rows.schema  # Spark Connect looks at the files only now
            return rows

    @contextmanager
    def _spark(self) -> Iterator[SparkSession]:
        if self._session is None:
            self._session = session(self._remote, self._master)
        try:
            yield self._session
        except ServiceUnavailable:
            self._session = None  # its server may be gone, and a new one would not know it
            raise
