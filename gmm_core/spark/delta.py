"""A Delta table's rows, from the Parquet files of one version of it.

The table's log is read here, not in Spark, which then needs no jar: it is given the files. Once opened
the version stays, so that all passes over a source see the same rows while others write.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as st

from gmm_core.errors import InvalidInput, InvalidSource, ServiceUnavailable

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["delta_rows", "newest_version"]

_NULL = "__HIVE_DEFAULT_PARTITION__"  # the value in a folder's name where there is none
# What a reader has to know that takes the files for the rows: nothing more.
_PLAIN = frozenset({"timestampNtz", "vacuumProtocolCheck", "v2Checkpoint"})


def delta_rows(spark: SparkSession, stream: str, path: str, version: int | None) -> DataFrame:
    """The rows of a version of the table, the newest when `None`; nothing is computed yet.

    Raises
    ------
    InvalidInput : there is no such table or version.
    InvalidSource : its files are not its rows: deletion vectors and column mapping are refused, and
        values of partition columns that are not in the names of the files' folders.
    ServiceUnavailable : the store does not answer.
    """
    table = _opened(stream, path, version)
    _check_plain(stream, table)
    _check_folders(stream, table)
    schema = st.StructType.fromJson(_spark_schema(table))
    files = table.file_uris()
    if not files:
        return spark.createDataFrame([], schema)
    # basePath: the values of partition columns are in the folders' names.
    return spark.read.schema(schema).option("basePath", table.table_uri).parquet(*files)


def newest_version(stream: str, path: str) -> int:
    """The table's newest version; raises as `delta_rows`."""
    return int(_opened(stream, path, None).version())


def _opened(stream: str, path: str, version: int | None) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        return DeltaTable(path, version=version)
    except TableNotFoundError:
        raise InvalidInput(
            f"stream {stream}: source.path is no Delta table", got=path, remedy="correct the path"
        ) from None
    except DeltaError as error:
        if version is None:
            raise InvalidSource(
                f"stream {stream}: the Delta table {path} cannot be read ({_first_line(error)})",
                remedy="repair the table",
            ) from None
        raise InvalidInput(
            f"stream {stream}: source.version of {path}",
            got=version,
            bound=f"a version that the table has ({_first_line(error)})",
            remedy="correct it, or leave it out for the newest",
        ) from None
    except OSError as error:
        raise ServiceUnavailable(
            f"stream {stream}: the store of {path} does not answer ({_first_line(error)})",
            remedy="see that it can be reached, and run this again",
        ) from None


def _check_plain(stream: str, table: DeltaTable) -> None:
    features = set(table.protocol().reader_features or ())
    found = sorted(features - _PLAIN - {"columnMapping", "deletionVectors"})
    # Both features are listed once they may be used; only their use makes files other than rows.
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        found.append("columnMapping")
    if "deletionVectors" in features and _has_deletion_vectors(table):
        found.append("deletionVectors")
    if found:
        raise InvalidSource(
            f"stream {stream}: the Delta table uses features with which its files are not its rows",
            got=", ".join(found),
            bound="a table without them",
            remedy="rewrite the table (REORG TABLE ... APPLY (PURGE) removes deletion vectors)",
        )


def _check_folders(stream: str, table: DeltaTable) -> None:
    """Spark takes the values of partition columns from the folders' names; what holds is the log."""
    columns = table.metadata().partition_columns
    if not columns:
        return
    files = pa.table(table.get_add_actions(flatten=True))
    folders = [_partitions(path) for path in files["path"].to_pylist()]
    for name in columns:
        said = [folder.get(name, "") for folder in folders]
        if not _same(said, files[f"partition.{name}"]):
            raise InvalidSource(
                f"stream {stream}: the Delta table's partition column {name!r} has values that its "
                "folders do not say",
                bound="files in folders NAME=VALUE, with the values of the log",
                remedy="rewrite the table without random file prefixes, or do not partition it by "
                "this column",
            )


def _partitions(path: str) -> dict[str, str | None]:
    """The partition columns in a file's path, as Spark reads them: a character for each %XX."""
    names = re.findall(r"([^/=]+)=([^/]+)/", unquote(path))
    texts = [[re.sub("%([0-9A-Fa-f]{2})", _character, text) for text in pair] for pair in names]
    return {name: None if value == _NULL else value for name, value in texts}


def _character(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16))


def _same(texts: list[str | None], values: pa.ChunkedArray) -> bool:
    """Whether texts, which Spark casts to the column's type, are these values."""
    said = pa.chunked_array([pa.array(texts, pa.string())])
    try:
        if pa.types.is_timestamp(values.type):
            said = said.cast(pa.timestamp("us"))  # without an offset it is UTC, as in our sessions
        return bool(said.cast(values.type).equals(values))
    except pa.ArrowInvalid:
        return False


def _has_deletion_vectors(table: DeltaTable) -> bool:
    return any(batch.num_rows for batch in table.deletion_vectors())


def _spark_schema(table: DeltaTable) -> dict[str, object]:
    """Delta writes schemas as Spark does; metadata of columns says nothing about the rows."""
    schema: dict[str, object] = json.loads(table.schema().to_json())
    return schema


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
