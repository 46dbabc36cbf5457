"""The adapter: what it refuses, what it waits for, what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from orders import KEYS

from gmm_core.errors import ComputationFailed, InvalidInput, NotFound, ServiceUnavailable
from gmm_core.warehouse import build_marts
from gmm_core.warehouse.place import PROJECT, Place
from gmm_core.warehouse.running import _broken

FIRST, SECOND, THIRD = KEYS[:3]


def changed(stream, **source):
    data = stream.model_dump()
    data["source"].update(source)
    return type(stream).model_validate(data)


def test_a_block_that_is_not_transformed_is_named(site):
    with pytest.raises(NotFound, match=f"block {KEYS[5]} is not transformed in stream orders"):
        site.build(KEYS[5])


def test_an_empty_lake_is_named(site, tmp_path):
    with pytest.raises(NotFound, match="no block is transformed"):
        build_marts(site.stream, None, str(tmp_path), tmp_path / "warehouse")
    assert not (tmp_path / "warehouse").exists()


@pytest.mark.parametrize("key", ["2024-5-1", "2024-05-01' or true --", "../2024-05-01", ""])
def test_a_key_is_a_day_and_nothing_else(site, key):
    with pytest.raises(InvalidInput, match="not a block key"):
        site.build(key)


@pytest.mark.parametrize("name", ["Row_In_Block", "component_distance"])
def test_a_column_may_not_take_the_name_of_another(site, name):
    with pytest.raises(InvalidInput, match=f"(?i)taken: got '{name}'"):
        build_marts(
            changed(site.stream, group_by=("order_id", name), entity=None),
            None,
            str(site.lake),
            site.warehouse,
        )


def test_a_file_that_is_no_parquet_is_a_broken_run(site):
    site.file(THIRD).write_bytes(b"not parquet")
    with pytest.raises(ComputationFailed, match="could not run stg_scored_rows") as caught:
        site.build(THIRD)
    path = Path(str(caught.value).split(" the SQL in ")[-1].rstrip("."))
    assert "read_parquet" in path.read_text()


def test_a_column_that_is_missing_is_named(site):
    site.write(THIRD, site.rows(THIRD).drop(columns="tips"))
    with pytest.raises(ComputationFailed, match="tips"):
        site.build(THIRD)


def test_a_column_of_another_type_asks_for_a_build_of_all_blocks(site):
    site.write(THIRD, site.rows(THIRD).assign(tips=7))
    with pytest.raises(ComputationFailed, match="Build all blocks anew: blockmix marts orders"):
        site.build(THIRD)
    assert site.build(None).passed
    assert site.query("select distinct typeof(tips) as t from staging.stg_scored_rows")[
        "t"
    ].tolist() == ["DOUBLE"]


def test_other_columns_mean_a_build_of_all_blocks(site):
    """A column is added and another leaves: no table may hold blocks of two layouts."""
    for key in (FIRST, SECOND, THIRD):
        site.write(key, site.rows(key).assign(weekday=3))
    stream = changed(
        site.stream,
        columns={"price": "price", "delay": "delay", "rating": "rating", "weekday": "weekday"},
    )
    built = build_marts(stream, SECOND, str(site.lake), site.warehouse)
    assert built.passed, built.reason
    assert built.key is None
    rows = site.query("from staging.stg_scored_rows")
    assert (rows["weekday"] == 3).all()
    assert "tips" not in rows
    assert rows["block_key"].nunique() == 3


def test_old_blocks_without_a_new_column_hold_null(site):
    site.write(THIRD, site.rows(THIRD).assign(weekday=3))
    columns = {**site.stream.source.columns, "weekday": "weekday"}
    built = build_marts(changed(site.stream, columns=columns), None, str(site.lake), site.warehouse)
    assert built.passed, built.reason
    known = site.query(
        "select block_key, count(weekday) as n from staging.stg_scored_rows group by 1"
    )
    assert known.set_index("block_key")["n"].to_dict() == {FIRST: 0, SECOND: 0, THIRD: 400}


def test_times_with_and_without_a_zone_are_the_same_times(site):
    """Spark writes instants, pandas local times; both mean UTC."""
    before = site.query(f"from staging.stg_scored_rows where block_key = '{THIRD}'")
    rows = site.rows(THIRD)
    site.write(THIRD, rows.assign(event_time=rows["event_time"].dt.tz_localize("UTC")))
    assert site.build(THIRD).passed
    after = site.query(f"from staging.stg_scored_rows where block_key = '{THIRD}'")
    pd.testing.assert_frame_equal(before, after)


def test_a_lake_that_is_not_a_folder(site, tmp_path):
    """Any fsspec URL will do."""
    files = fsspec.filesystem("memory")
    for path in filter(Path.is_file, site.lake.rglob("*")):
        files.pipe(f"/site/{path.relative_to(site.lake)}", path.read_bytes())
    built = build_marts(site.stream, None, "memory://site", tmp_path)
    assert built.passed, built.reason
    assert build_marts(site.stream, SECOND, "memory://site", tmp_path).key == SECOND
    theirs = pd.read_parquet(site.file(SECOND))
    import duckdb

    with duckdb.connect(str(tmp_path / "orders.duckdb"), read_only=True) as warehouse:
        (mine,) = warehouse.execute(
            "select mean_price from marts.daily_summary where block_key = ?", [SECOND]
        ).fetchone()
    assert mine == pytest.approx(theirs["price"].mean(), rel=1e-12)


HOLD = (
    "import duckdb, sys; held = duckdb.connect(sys.argv[1], read_only=True);"
    "print('held', flush=True); sys.stdin.read()"
)


def test_a_reader_that_keeps_the_file_open_is_named(site, monkeypatch):
    monkeypatch.setenv("BLOCKMIX_WAREHOUSE_ATTEMPTS", "1")
    file = site.warehouse / "orders.duckdb"
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert reader.stdout.readline() == b"held\n"
        with pytest.raises(ServiceUnavailable, match="another process has the warehouse open"):
            site.build(THIRD)
    finally:
        reader.communicate(timeout=20)
    assert site.build(THIRD).passed


def test_a_build_gives_the_file_back(site):
    """Another process can write to the warehouse while this one lives on."""
    assert site.build(THIRD).passed
    program = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('create table mine (a int)')"
    subprocess.run(
        [sys.executable, "-c", program, str(site.warehouse / "orders.duckdb")], check=True
    )


def test_builds_of_a_stream_wait_for_each_other(tmp_path):
    with Place(tmp_path, "orders").held():
        with Place(tmp_path, "visits").held():  # another stream is not in the way
            pass
        with (
            pytest.raises(ServiceUnavailable, match="another build of orders"),
            Place(tmp_path, "orders", patience=0.2).held(),
        ):
            pass
    with Place(tmp_path, "orders", patience=0.2).held():
        pass


def test_an_interrupt_is_not_a_failure_of_dbt(tmp_path):
    assert isinstance(_broken(Place(tmp_path, "orders"), KeyboardInterrupt()), KeyboardInterrupt)


def test_nothing_is_written_beside_the_sql_and_the_environment_stays(site):
    before = dict(os.environ)
    assert site.build(THIRD).passed
    assert dict(os.environ) == before
    kinds = {path.suffix for path in PROJECT.rglob("*") if path.is_file()}
    assert kinds == {".sql", ".yml", ".md"}
    assert not (PROJECT / "__init__.py").exists()
    assert not (Path.cwd() / "logs" / "dbt.log").exists()


def test_importing_the_adapter_does_not_import_dbt():
    program = "import sys, gmm_core.warehouse; print({'dbt', 'duckdb'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "set()"
