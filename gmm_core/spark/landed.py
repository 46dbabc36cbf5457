"""Landed rows as Spark's workers read them: row groups of Parquet files, straight into arrays.

Spark hands out which row groups a worker reads, and collects what it answers. The rows themselves
skip Spark's own readers, which would make objects of columns only to make columns of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as st
from pyspark.sql.pandas.types import from_arrow_type

from gmm_core.errors import BlockmixError, InvalidInput, NotFound, ServiceUnavailable
from gmm_core.spark.carrying import carrying

__all__ = ["Batches", "LandedRows", "RowGroups", "each", "landed_rows", "readable"]

Batches = Iterable[pa.RecordBatch]
_ROWS_OF_A_TASK = 1_000_000  # at most, where row groups are smaller
_FOOTERS = 16  # that are read at the same time
_ROWS_OF_A_BATCH = 65_536
_REMEDY = "land the block again"


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of a file in a folder: what one task reads."""

    folder: str
    file: str
    groups: tuple[int, ...]
    rows: int

    def read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of these columns.

        Raises
        ------
        InvalidInput : the file is no whole Parquet file.
        ServiceUnavailable : it cannot be reached.
        """
        with readable(f"{self.file} in {self.folder} cannot be read"):
            system, path = fsspec.core.url_to_fs(self.folder)
            with pq.ParquetFile(
                f"{path.rstrip('/')}/{self.file}", filesystem=system, pre_buffer=True
            ) as file:
                yield from file.iter_batches(
                    _ROWS_OF_A_BATCH, list(self.groups), list(names), use_threads=False
                )


@contextmanager
def readable(doing: str, remedy: str = _REMEDY) -> Iterator[None]:
    """What pyarrow raises inside the block comes out as Blockmix's errors, as `RowGroups.read` names them."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        why = f"{doing}: {' '.join(str(error).split()).rstrip('. ')}"
        # A file's own fault is an error of Arrow's alone; a system's has a number or a class of its own.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise ServiceUnavailable(why, remedy="run this again once it can be reached") from None
        raise InvalidInput(why, remedy=remedy) from None


@dataclass(frozen=True)
class LandedRows:
    """Columns of a folder of landed files, by the task."""

    spark: SparkSession
    folder: str
    columns: pa.Schema
    parts: tuple[RowGroups, ...]

    @property
    def count(self) -> int:
        """Rows in all."""
        return sum(part.rows for part in self.parts)

    @property
    def frame(self) -> DataFrame:
        """The same columns as Spark reads them; told their types, it need not run a job to find them."""
        kinds = [st.StructField(one.name, from_arrow_type(one.type)) for one in self.columns]
        return self.spark.read.schema(st.StructType(kinds)).parquet(self.folder)

    def mapInArrow(self, work: Callable[[Batches], Batches], schema: str) -> DataFrame:  # noqa: N802
        """What `work` makes of the batches of each task: as the method of a data frame has it."""
        names, parts = self.columns.names, self.parts

        def read(ids: Batches) -> Batches:
            chosen = (parts[one] for batch in ids for one in batch["id"].to_pylist())
            yield from work(_batches(chosen, names))

        return each(self.spark, len(parts)).mapInArrow(read, schema)


def _batches(parts: Iterable[RowGroups], names: Sequence[str]) -> Batches:
    try:
        for part in parts:
            yield from part.read(names)
    except BlockmixError as error:
        raise carrying(error) from None


def each(spark: SparkSession, tasks: int) -> DataFrame:
    """The numbers 0 to `tasks` - 1, each in a partition of its own: nothing is shuffled."""
    return spark.range(0, tasks, 1, max(1, tasks))


def landed_rows(
    spark: SparkSession, folder: str, names: Sequence[str], doing: str, also: Sequence[str] = ()
) -> LandedRows:
    """These columns of the files in a folder, from the files' footers: no Spark job.

    `also` are columns to be taken if they are there.

    Raises
    ------
    NotFound : nothing has landed there.
    InvalidInput : the files are no whole Parquet files or lack a column.
    ServiceUnavailable : they cannot be reached.
    """
    system, path = fsspec.core.url_to_fs(folder)
    if not system.isdir(path):
        raise NotFound(f"{doing}: no rows have landed", got=folder, remedy="land the block first")
    with readable(doing):
        files = ds.dataset(path, filesystem=system, format="parquet")
        fragments = list(files.get_fragments())
        with ThreadPoolExecutor(_FOOTERS) as pool:  # far away, a footer is a wait
            groups = list(pool.map(lambda file: file.row_groups, fragments))
    start = len(path.rstrip("/")) + 1
    parts = [
        part
        for file, own in zip(fragments, groups, strict=True)
        for part in _parts(folder, file.path[start:], own)
    ]
    missing = sorted(set(names) - set(files.schema.names))
    if missing:
        raise InvalidInput(
            f"{doing}: features are not among the landed columns",
            got=missing,
            bound=", ".join(files.schema.names),
            remedy=_REMEDY,
        )
    there = [*names, *(name for name in also if name in files.schema.names)]
    columns = pa.schema([files.schema.field(name) for name in there])
    return LandedRows(spark, folder, columns, tuple(parts))


def _parts(folder: str, name: str, groups: Sequence[Any]) -> Iterator[RowGroups]:
    """A file's row groups, as many together as a task may have."""
    held: list[int] = []
    rows = 0
    for group in groups:
        if held and rows + group.num_rows > _ROWS_OF_A_TASK:
            yield RowGroups(folder, name, tuple(held), rows)
            held, rows = [], 0
        held.append(group.id)
        rows += group.num_rows
    if rows:
        yield RowGroups(folder, name, tuple(held), rows)
