"""Landed rows as Spark's workers read them: row groups of Parquet files, straight into arrays.

Spark hands out which row groups a worker reads, and collects what it answers. The rows themselves
skip Spark's own readers, which would make objects of columns only to make columns of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as st
from pyspark.sql.pandas.types import from_arrow_type

from gmm_core.errors import BlockmixError, InvalidInput, NotFound
from gmm_core.spark.carrying import carrying

__all__ = ["Batches", "LandedRows", "RowGroups", "each", "landed_rows"]

Batches = Iterable[pa.RecordBatch]
_ROWS_OF_A_TASK = 1_000_000  # at most, where row groups are smaller: a worker holds them at once
_ROWS_OF_A_BATCH = 65_536
_REMEDY = "land the block again"


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of a file: what one task reads."""

    file: str
    groups: tuple[int, ...]
    rows: int

    def read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of these columns. Raises `InvalidInput` where the file cannot be read."""
        try:
            system, path = fsspec.core.url_to_fs(self.file)
            with pq.ParquetFile(path, filesystem=system) as file:
                for group in self.groups:
                    table = file.read_row_group(group, columns=list(names), use_threads=False)
                    yield from table.to_batches(max_chunksize=_ROWS_OF_A_BATCH)
        except (pa.ArrowException, OSError) as error:
            why = " ".join(str(error).split()).rstrip(". ")
            raise InvalidInput(f"{self.file} cannot be read: {why}", remedy=_REMEDY) from None


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
    InvalidInput : the files cannot be read or lack a column.
    """
    system, path = fsspec.core.url_to_fs(folder)
    if not system.isdir(path):
        raise NotFound(f"{doing}: no rows have landed", got=folder, remedy="land the block first")
    try:
        files = ds.dataset(path, filesystem=system, format="parquet")
        parts = [
            part
            for file in files.get_fragments()
            for part in _parts(system.unstrip_protocol(file.path), file)
        ]
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{doing}: {error}", remedy=_REMEDY) from None
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


def _parts(name: str, file: ds.ParquetFileFragment) -> Iterator[RowGroups]:
    """A file's row groups, as many together as a task may have."""
    groups: list[int] = []
    rows = 0
    for group in file.row_groups:
        if groups and rows + group.num_rows > _ROWS_OF_A_TASK:
            yield RowGroups(name, tuple(groups), rows)
            groups, rows = [], 0
        groups.append(group.id)
        rows += group.num_rows
    if rows:
        yield RowGroups(name, tuple(groups), rows)
