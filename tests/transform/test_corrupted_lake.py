"""Every data test is shown to fail: on a lake with one fault, or on tables with one fault."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from orders import KEYS

from gmm_core.warehouse.place import PROJECT

FIRST, SECOND, THIRD = KEYS[:3]


def part_twice(site):
    site.write(THIRD, site.rows(THIRD).iloc[:50], "part-1")


def rows_of_another_version(site):
    rows = site.rows(THIRD)
    rows.loc[:9, "model_version"] = 1
    site.write(THIRD, rows)


def rows_of_another_block(site):
    foreign = site.rows(SECOND).iloc[:5]
    foreign["order_id"] += 1_000_000
    foreign["model_version"] = 2
    site.write(THIRD, foreign, "part-1")


def rows_of_another_stream(site):
    site.write(THIRD, site.rows(THIRD).assign(stream="visits"))


def rows_of_another_day(site):
    rows = site.rows(THIRD)
    rows.loc[3, "event_time"] += pd.Timedelta(days=1)
    site.write(THIRD, rows)


def score_missing(site):
    rows = site.rows(THIRD)
    rows.loc[~rows["anomaly"], "log_prob"] = np.nan
    site.write(THIRD, rows)


def threshold_mixed(site):
    rows = site.rows(THIRD)
    rows.loc[rows["score"].idxmin(), "anomaly"] = True
    site.write(THIRD, rows)


def normalised_with_another_model(site):
    rows = site.rows(THIRD)
    rows.loc[7, "delay_normalised"] += 1e-6
    site.write(THIRD, rows)


def ids_of_another_model(site):
    rows = site.rows(THIRD)
    site.write(THIRD, rows.assign(component_id=rows["component_id"] + 1))


def _components(site, change):
    path = site.components(THIRD)
    change(pd.read_parquet(path, partitioning=None)).to_parquet(path, index=False)


def component_lost(site):
    _components(site, lambda table: table[table["component"] != 1])


def component_feature_lost(site):
    _components(site, lambda table: table.drop(index=4))


def component_of_another_key(site):
    _components(site, lambda table: table.assign(block_key=FIRST))


def component_turned_around(site):
    _components(site, lambda table: table.assign(low=table["high"], high=table["low"]))


def component_ids_the_same(site):
    _components(site, lambda table: table.assign(component_id=0))


FAULTS = {
    part_twice: {"rows_are_one_per_group"},
    rows_of_another_version: {"rows_have_one_model_version_per_block"},
    rows_of_another_block: {"rows_lie_in_their_own_folder", "rows_lie_in_their_day"},
    rows_of_another_stream: {"rows_lie_in_their_own_folder"},
    rows_of_another_day: {"rows_lie_in_their_day"},
    score_missing: {"rows_have_a_score"},
    threshold_mixed: {"rows_are_cut_by_one_threshold"},
    normalised_with_another_model: {"deviations_agree_with_components"},
    component_lost: {"component_weights_sum_to_one"},
    component_feature_lost: {"components_are_complete", "component_weights_sum_to_one"},
    component_of_another_key: {"components_lie_in_their_own_folder"},
    ids_of_another_model: {"deviations_agree_on_component_ids"},
    component_ids_the_same: {"component_ids_name_one_component"},
    component_turned_around: {"component_centres_lie_between_low_and_high"},
}
# Faults of the tables themselves, which only wrong SQL could make: what to spoil, what must notice.
SPOILT = {
    "insert into staging.stg_scored_rows from staging.stg_scored_rows limit 1": "rows_have_a_key",
    "insert into marts.daily_summary from marts.daily_summary limit 1": "summary_has_a_key",
    "update marts.daily_summary set rows = rows + 1": "summary_counts_every_row",
    "update marts.daily_summary set anomalies = anomalies + 1": "summary_counts_every_anomaly",
    "update marts.daily_summary set anomaly_share = 0.9": "summary_share_is_anomalies_by_rows",
    "update marts.daily_summary set min_log_prob = 99": "summary_means_lie_above_minima",
    "insert into marts.anomalies from marts.anomalies limit 1": "anomalies_have_a_key",
    "delete from marts.anomalies where row_in_block % 2 = 0": "anomalies_are_all_there",
    "update marts.anomalies set component_distance = 0":
        "anomalies_lie_as_far_as_their_most_unusual_feature",
    "update marts.anomalies set explanation = 'because'": "anomalies_say_why",
    "delete from staging.stg_components where component = 0": "history_weights_sum_to_one",
    "update staging.stg_components set model_version = 77": "deviations_have_components",
    "insert into scoring.entity_segments from scoring.entity_segments limit 1":
        "entities_have_a_key",
    "update scoring.entity_segments set rows = rows + 1": "entities_have_all_their_rows",
    "update scoring.entity_segments set rows_in_segment = 0": "entities_are_in_their_main_segment",
    "insert into marts.segments from marts.segments limit 1": "segments_have_a_key",
    "update marts.segments set rows = rows + 1": "segments_count_every_row",
    "update marts.segments set entities = entities + 1": "segments_count_every_entity",
    "update marts.segments set share = share / 2": "segments_share_the_block",
    "update marts.segments set mean_score = null": "segments_without_rows_have_no_means",
    "insert into marts.segment_migration from marts.segment_migration limit 1":
        "migrations_have_a_key",
    "update marts.segment_migration set to_component_id = from_component_id":
        "migrations_add_up_to_the_segments",
    "update marts.segment_migration set share = share / 2": "migrations_share_the_step",
    "update marts.segment_migration set born = true": "migrations_are_between_living_segments",
    "insert into staging.stg_metrics from staging.stg_metrics limit 1": "metrics_have_a_key",
    "insert into staging.stg_metrics select * replace ('x' || source_file as source_file) "
    "from staging.stg_metrics": "health_has_a_key",
    "update staging.stg_metrics set written_key = 'x' where metric = 'silhouette'":
        "metrics_lie_in_their_own_folder",
    "update staging.stg_metrics set ok = not ok where stage = 'merge'":
        "metrics_are_judged_by_their_thresholds",
}  # fmt: skip


def marts(site):
    return site.query(f"from marts.daily_summary where block_key = '{THIRD}'"), site.query(
        f"from marts.anomalies where block_key = '{THIRD}' order by row_in_block"
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_lake_fails_its_test_and_spares_the_marts(site, fault):
    before = marts(site)
    fault(site)

    built = site.build(THIRD)

    assert not built.passed
    assert {failed.name for failed in built.failures} == FAULTS[fault]
    assert "anomalies" in built.skipped
    if "components" not in built.failures[0].table and built.failures[0].table != "row_deviations":
        assert "daily_summary" in built.skipped
        pd.testing.assert_frame_equal(marts(site)[0], before[0])
    pd.testing.assert_frame_equal(marts(site)[1], before[1])


def test_a_failure_says_which_test_how_many_rows_and_where_the_sql_is(site):
    part_twice(site)
    (failed,) = site.build(THIRD).failures
    assert failed.table == "stg_scored_rows"
    assert failed.rows == 50
    assert "order_id=" in failed.sample
    assert "times=2" in failed.sample
    with duckdb.connect(str(site.warehouse / "orders.duckdb"), read_only=True) as warehouse:
        from pathlib import Path

        assert len(warehouse.execute(Path(failed.sql).read_text()).fetchall()) == 50
    assert str(failed).startswith("rows_are_one_per_group of stg_scored_rows")


def test_a_repaired_block_passes_and_the_failure_leaves_no_trace(site):
    before, good = marts(site), site.rows(THIRD)
    rows_of_another_block(site)
    assert not site.build(THIRD).passed
    site.file(THIRD, "part-1").unlink()
    site.write(THIRD, good)
    assert site.build(THIRD).passed
    for table, other in zip(before, marts(site), strict=True):
        pd.testing.assert_frame_equal(table, other)


def test_a_whole_build_that_failed_is_not_built_upon(site):
    """One bad block of the past: no later build of a single block may carry it into the marts."""
    part_twice(site)
    assert not site.build(None).passed
    later = site.build(FIRST)
    assert later.key is None
    assert not later.passed
    site.file(THIRD, "part-1").unlink()
    assert site.build(FIRST).passed
    assert site.build(FIRST).key == FIRST


def test_a_fault_in_the_tables_fails_its_test(site, dbt):
    assert set(dbt("test", "--exclude", "test_type:unit").values()) == {"pass"}
    noticed = {}
    file = site.warehouse / "orders.duckdb"
    good = file.read_bytes()
    # Spoil in two rounds, for some faults hide others.
    for spoil in (list(SPOILT)[::2], list(SPOILT)[1::2]):
        with duckdb.connect(str(file)) as warehouse:
            for sql in spoil:
                warehouse.execute(sql)
        noticed |= {
            n: s for n, s in dbt("test", "--exclude", "test_type:unit").items() if s != "pass"
        }
        file.write_bytes(good)
    assert set(SPOILT.values()) <= set(noticed)


def test_every_data_test_is_shown_to_fail(dbt):
    shown = set().union(*FAULTS.values()) | set(SPOILT.values())
    assert shown == set(dbt("test", "--exclude", "test_type:unit"))


def test_unit_tests_pass(dbt):
    results = dbt("test", "--select", "test_type:unit", key=THIRD)  # whatever the scope of the day
    assert set(results.values()) == {"pass"}
    written = [
        test["name"]
        for path in PROJECT.glob("models/**/*.yml")
        for test in yaml.safe_load(path.read_text()).get("unit_tests", [])
    ]
    assert sorted(results) == sorted(written)
    assert len(written) >= 5


def test_a_model_has_one_file_of_sql_and_one_of_words(site):
    models = sorted(PROJECT.glob("models/**/*.sql"))
    assert len(models) == 11
    for path in models:
        (described,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
        assert described["name"] == path.stem
        assert described["description"]
        assert described["data_tests"]
        assert all(column["description"] for column in described["columns"])
        own = {column["name"] for column in described["columns"]}
        schema = path.parent.name
        columns = set(site.query(f"describe {schema}.{path.stem}")["column_name"])
        assert own <= columns
        streams_own = {*site.stream.source.group_by, *site.stream.source.columns}
        prefixes = tuple(f"{p}_" for p in ("mean", "centre", "low", "high"))
        assert all(
            name in streams_own or name.startswith(prefixes) or name.endswith("_normalised")
            for name in columns - own
        ), columns - own


def test_model_layers_only_look_upstream():
    layers = ["staging", "scoring", "marts"]
    for below, above in pairwise(layers):
        names = [path.stem for path in PROJECT.glob(f"models/{above}/*.sql")]
        for path in PROJECT.glob(f"models/{below}/*.sql"):
            assert not any(f"ref('{name}')" in path.read_text() for name in names), path
