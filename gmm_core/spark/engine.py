"""`BlockEngine` on Spark, with a session that opens on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from gmm_core.config import SPARK_CONF
from gmm_core.errors import BlockmixError, InvalidInput, ServiceUnavailable
from gmm_core.health.scores import Scores
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Landing, Scored
from gmm_core.pipeline.streams import Stream
from gmm_core.spark import fitting, landing, publishing, scoring, transforming
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
    master, conf, jars : of the classic session, see `session`.
    max_rows_per_shard : a larger block is fitted in shards, each in one worker's memory.

    Folders are local paths or URLs that both Spark and fsspec can read. Every method raises
    `ServiceUnavailable` when Spark cannot be reached or failed; the next call opens a new session.
    """

    def __init__(
        self,
        remote: str = "",
        master: str = "local[*]",
        *,
        conf: Path = SPARK_CONF,
        jars: str = "",
        max_rows_per_shard: int = fitting.MAX_ROWS_PER_SHARD,
    ) -> None:
        if max_rows_per_shard < 1:
            raise InvalidInput("max_rows_per_shard", got=max_rows_per_shard, bound="at least 1")
        self._open = partial(session, remote, master, conf=conf, jars=jars)
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

    def fit_many(
        self, stream: Stream, blocks: Mapping[str, tuple[str, str]]
    ) -> dict[str, BlockSummary | BlockmixError]:
        """See `fitting.fit_many`."""
        with self._spark() as spark:
            at = {key: (resolve(rows), digest) for key, (rows, digest) in blocks.items()}
            return fitting.fit_many(spark, stream, at, self._max_rows_per_shard)

    def transform(
        self, stream: Stream, key: str, rows: str, model: DensityModel, version: int, target: str
    ) -> Scored:
        """See `transforming.transform`."""
        with self._spark() as spark:
            return transforming.transform(
                spark, stream, key, resolve(rows), model, version, resolve(target)
            )

    def score(self, stream: Stream, key: str, rows: str, models: Sequence[DensityModel]) -> Scores:
        """See `scoring.score`."""
        with self._spark() as spark:
            return scoring.score(spark, stream, key, resolve(rows), models)

    def read(self, path: str) -> DataFrame:
        """The rows at `path`; raises `InvalidInput` when no Parquet files are there."""
        with self._spark() as spark, spark_errors("rows cannot be read", remedy="check the path"):
            rows = spark.read.parquet(resolve(path))
            _ = rows.schema  # Spark Connect looks at the files only now
            return rows

    def generate(self, name: str, target: str, rows: int, *, days: int, seed: int) -> str:
        """Write made-up rows with a known truth: see `publishing.publish`."""
        with self._spark() as spark:
            return publishing.publish(spark, name, resolve(target), rows, days=days, seed=seed)

    @contextmanager
    def _spark(self) -> Iterator[SparkSession]:
        if self._session is None:
            self._session = self._open()
        try:
            yield self._session
        except ServiceUnavailable:
            self._session = None  # its server may be gone, and a new one would not know it
            raise
