"""Folders of Parquet files: writing them, and what identifies their content."""

from __future__ import annotations

import hashlib

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

__all__ = ["content", "quoted", "rows_in", "write_rows"]


def rows_in(folder: str) -> int:
    """Rows of the Parquet files in a folder, from their footers: no Spark job.

    0 where they cannot be read: Spark, which reads them next, says why.
    """
    system, path = fsspec.core.url_to_fs(folder)
    try:
        return int(ds.dataset(path, filesystem=system, format="parquet").count_rows())
    except (pa.ArrowInvalid, OSError):
        return 0


def write_rows(rows: DataFrame, target: str) -> DataFrame:
    """Write a folder of Parquet files with nothing else in it, and return the rows to be read.

    Replaces what is there.
    """
    writer = rows.write.mode("overwrite")
    writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").parquet(target)
    # With the schema given, Spark need not run a job to find it.
    return rows.sparkSession.read.schema(rows.schema).parquet(target)


def content(rows: DataFrame) -> tuple[int, str]:
    """Row count and content digest of rows, from one aggregate.

    The digest is the same for the same rows in any order and any number of files, and another
    when a value changes, a row comes or goes, or a column is renamed: SHA-256 over the schema, the
    count, and the exclusive-or and exact sum of a 64-bit hash of each row.
    """
    values = [sf.col(quoted(name)) for name in rows.columns]
    # xxhash64 skips NULLs, so without the flags (1, NULL) and (NULL, 1) would be the same.
    hashed = rows.select(sf.xxhash64(*(v.isNull() for v in values), *values).alias("h"))
    # A decimal holds the sum of any number of 64-bit integers; a bigint would overflow (ANSI).
    total = sf.sum(sf.col("h").cast("decimal(20,0)"))
    [(count, mixed, summed)] = hashed.agg(sf.count("*"), sf.bit_xor("h"), total).collect()
    text = f"{rows.schema.simpleString()}|{count}|{mixed}|{summed}"
    return int(count), hashlib.sha256(text.encode()).hexdigest()[:32]


def quoted(name: str) -> str:
    """A column's name as Spark takes it, whatever characters it holds."""
    return f"`{name.replace('`', '``')}`"
