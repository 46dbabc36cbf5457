"""A Delta table as a source: versions, partitions, and tables whose files are not their rows."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import unquote

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from gmm_core.errors import InvalidInput, InvalidSource, ServiceUnavailable

KEY = "2017-03-14"
NOON = dt.datetime(2017, 3, 14, 12, tzinfo=dt.UTC)


def rows(*values, day=0, shop="a b"):
    at = pa.array([NOON + dt.timedelta(days=day)] * len(values), pa.timestamp("us", "UTC"))
    return pa.table({"at": at, "x": pa.array(values, pa.float64()), "shop": [shop] * len(values)})


@pytest.fixture
def delta(tmp_path, stream_of):
    """A table of two versions, the second with other shops, and a stream over it."""
    path = tmp_path / "table"
    write_deltalake(path, rows(1.0, 2.0), partition_by=["shop"])
    write_deltalake(path, pa.concat_tables([rows(3.0, shop="c"), rows(9.0, day=1)]), mode="append")

    def make(**source):
        columns = {"x": "x", "shop": "shop"}
        return stream_of(
            None, **{"path": str(path), "format": "delta", "columns": columns} | source
        )

    return path, make


def test_the_newest_version_and_a_pinned_one(land, delta):
    _, stream = delta
    landing, newest = land(stream())
    assert sorted(zip(newest["x"], newest["shop"], strict=True)) == [
        (1, "a b"),
        (2, "a b"),
        (3, "c"),
    ]
    pinned, first = land(stream(version=0))
    assert sorted(first["x"]) == [1.0, 2.0]
    assert (landing.source_version, pinned.source_version) == (1, 0)
    assert landing.facts()["source_version"] == 1


def test_rows_that_were_replaced_are_gone_from_the_next_version_alone(land, delta):
    path, stream = delta
    write_deltalake(path, rows(7.0), mode="overwrite")
    assert land(stream())[1]["x"].tolist() == [7.0]
    assert sorted(land(stream(version=1))[1]["x"]) == [1.0, 2.0, 3.0]


def test_a_table_without_files_lands_empty(land, delta):
    path, stream = delta
    DeltaTable(path).delete()
    landing, _ = land(stream())
    assert landing.rows == 0


def test_a_version_or_a_table_that_is_not_there(land, delta, tmp_path):
    _, stream = delta
    with pytest.raises(InvalidInput, match=r"source\.version of .*got 9; allowed: a version that"):
        land(stream(version=9))
    with pytest.raises(InvalidInput, match=r"source\.path is no Delta table"):
        land(stream(path=str(tmp_path / "none")))


def test_a_broken_log_is_the_sources_fault(land, delta):
    path, stream = delta
    (path / "_delta_log" / f"{1:020}.json").write_text("{}")
    (path / "_delta_log" / f"{0:020}.json").write_text('{"protocol": 1}')
    with pytest.raises(InvalidSource, match="cannot be read"):
        land(stream())


def test_a_store_that_does_not_answer_is_worth_another_try(land, delta, monkeypatch):
    _, stream = delta
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "none",
        "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(ServiceUnavailable, match="the store of s3://bucket/table does not answer"):
        land(stream(path="s3://bucket/table"))


def test_partition_columns_of_all_types_are_read_from_their_folders(land, stream_of, tmp_path):
    table = rows(1.0, 2.0).append_column("open", pa.array([True, None]))
    table = table.append_column("day", pa.array([NOON.date(), None]))
    table = table.append_column("since", pa.array([NOON, None], pa.timestamp("us", "UTC")))
    path = str(tmp_path / "types")
    write_deltalake(path, table, partition_by=["open", "day", "since"])
    columns = {"x": "x", "said": "concat_ws(' ', open, day, since)"}
    landing, found = land(stream_of(None, path=path, format="delta", columns=columns))
    assert landing.rows == 2
    assert sorted(found["said"]) == ["", "true 2017-03-14 2017-03-14 12:00:00"]


def refolded(path, change):
    """The table with another entry for each file in its first commit; files go where entries say."""
    commit = path / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            before = path / unquote(line["add"]["path"])
            change(line["add"])
            after = path / unquote(line["add"]["path"])
            after.parent.mkdir(exist_ok=True)
            before.rename(after)
    commit.write_text("\n".join(map(json.dumps, lines)))


def test_partitions_that_folders_do_not_say_are_refused(land, delta, stream_of, tmp_path):
    """Random prefixes for folders, another value in the log, letters that Spark reads as others."""
    path, stream = delta

    def prefixed(add):
        add["path"] = f"k7/{add['path'].split('/')[-1]}"

    refolded(path, prefixed)
    with pytest.raises(InvalidSource, match=r"partition column 'shop'.*Rewrite the table"):
        land(stream())

    def renamed(add):
        add["partitionValues"]["shop"] = "b a"

    for name, shop, change in (("lie", "a b", renamed), ("letters", "Köln", lambda _: None)):
        write_deltalake(tmp_path / name, rows(1.0, shop=shop), partition_by=["shop"])
        refolded(tmp_path / name, change)
        with pytest.raises(InvalidSource, match="partition column 'shop'"):
            land(stream(path=str(tmp_path / name)))


def changed(path, **protocol_or_configuration):
    """The table's first commit, with another protocol or configuration, as another writer has it."""
    commit = path / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    for line in lines:
        if "protocol" in line and "features" in protocol_or_configuration:
            features = protocol_or_configuration["features"]
            line["protocol"] = {
                "minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": features, "writerFeatures": features,
            }  # fmt: skip
        if "metaData" in line:
            line["metaData"]["configuration"] |= protocol_or_configuration.get("configuration", {})
            schema = json.loads(line["metaData"]["schemaString"])
            for number, field in enumerate(schema["fields"]):
                physical = {"id": number, "physicalName": field["name"]}
                field["metadata"] |= {f"delta.columnMapping.{k}": v for k, v in physical.items()}
            line["metaData"]["schemaString"] = json.dumps(schema)
        if "add" in line and "vector" in protocol_or_configuration:
            line["add"]["deletionVector"] = protocol_or_configuration["vector"]
    commit.write_text("\n".join(map(json.dumps, lines)))


def test_column_mapping_is_refused(land, delta):
    path, stream = delta
    changed(path, features=["columnMapping"], configuration={"delta.columnMapping.mode": "name"})
    with pytest.raises(InvalidSource, match="files are not its rows: got 'columnMapping'"):
        land(stream())


def test_deletion_vectors_are_refused_once_there_are_any(land, delta, tmp_path):
    _, stream = delta
    path = tmp_path / "vectors"
    write_deltalake(path, rows(*range(40)))
    allowed = {"delta.enableDeletionVectors": "true"}
    changed(path, features=["deletionVectors"], configuration=allowed)
    assert land(stream(path=str(path)))[0].rows == 40, "allowed, and not used"
    # Six deleted rows, kept in the log itself.
    vector = {"storageType": "i", "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
              "sizeInBytes": 44, "cardinality": 6}  # fmt: skip
    changed(path, vector=vector)
    with pytest.raises(InvalidSource, match=r"got 'deletionVectors'.*Rewrite the table"):
        land(stream(path=str(path)))
