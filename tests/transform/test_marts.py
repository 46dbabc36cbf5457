"""The marts against pandas and the model itself, and what a second build of a block changes."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from orders import KEYS

FIRST, SECOND, THIRD = KEYS[:3]
VERSIONS = {FIRST: 1, SECOND: 1, THIRD: 2}
FEATURES = ["price", "delay", "rating"]
TABLES = {
    "staging.stg_scored_rows": "block_key, row_in_block",
    "staging.stg_components": "block_key, model_version, component, feature",
    "scoring.row_deviations": "block_key, row_in_block, feature",
    "scoring.entity_segments": "block_key, entity",
    "marts.segments": "block_key, component_id",
    "marts.segment_migration": "block_key, from_component_id, to_component_id",
    "marts.daily_summary": "block_key",
    "marts.anomalies": "block_key, row_in_block",
    "marts.component_history": "block_key, component",
    "staging.stg_metrics": "source_file, metric",
    "marts.model_health": "block_key, stage, metric",
}


def everything(site):
    return {name: site.query(f"from {name} order by {key}") for name, key in TABLES.items()}


def assert_same(tables, others):
    for name in TABLES:
        pd.testing.assert_frame_equal(tables[name], others[name], obj=name)


def test_the_first_build_is_of_all_blocks(first_build):
    assert first_build.passed, first_build.reason
    assert first_build.key is None
    assert first_build.models == 11
    assert first_build.tests >= 20
    assert first_build.warnings == ()
    assert first_build.skipped == ()


def test_daily_summary_is_what_pandas_says(site):
    summary = site.query("from marts.daily_summary order by block_key").set_index("block_key")
    assert list(summary.index) == [FIRST, SECOND, THIRD]
    for key in (FIRST, SECOND, THIRD):
        rows, got = site.rows(key), summary.loc[key]
        assert got["rows"] == len(rows) == 400
        assert got["anomalies"] == rows["anomaly"].sum() > 0
        assert got["model_version"] == VERSIONS[key]
        expected = {
            "anomaly_share": rows["anomaly"].mean(),
            "mean_score": rows["score"].mean(),
            "mean_log_prob": rows["log_prob"].mean(),
            "min_log_prob": rows["log_prob"].min(),
            **{f"mean_{name}": rows[name].mean() for name in FEATURES},
        }
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, rel=1e-12), name
    known = {"rows", "anomalies", "model_version", *expected}
    assert set(summary.columns) == known


def test_health_is_what_the_verbs_measured(site):
    health = site.query("from marts.model_health")
    assert set(health["block_key"]) == {FIRST, SECOND, THIRD}
    assert set(health["stage"]) == {"fit", "merge", "drift", "transform"}
    kept = health[(health["stage"] == "merge") & (health["block_key"] == THIRD)]
    for name, value in zip(kept["metric"], kept["value"], strict=True):
        assert value in site.registry.metrics["orders", 2][name].values()
    weight = kept[kept["metric"] == "largest_weight"].iloc[0]
    model = site.registry.load("orders", 2)
    assert weight["value"] == model.mixture.weights.max()
    assert weight["ok"] == (weight["value"] <= 0.9)
    assert weight["value_before"] == site.registry.load("orders", 1).mixture.weights.max()


def test_a_lake_that_nothing_was_measured_in_has_no_health(site):
    shutil.rmtree(site.lake / "orders" / "metrics")
    assert site.build(None).passed
    assert len(site.query("from marts.model_health")) == 0


@pytest.mark.parametrize("key", [FIRST, SECOND, THIRD])
def test_anomalies_are_placed_as_the_model_places_them(site, key):
    rows = site.rows(key)
    rows = rows[rows["anomaly"]].sort_values("event_time").reset_index(drop=True)
    rows["event_time"] = rows["event_time"].dt.round("us").astype("datetime64[us]")
    model = site.registry.load("orders", VERSIONS[key])
    matrix = model.to_matrix({name: rows[name] for name in FEATURES})
    component = model.mixture.component(matrix)
    mean = model.mixture.means[component]
    sd = np.sqrt(model.mixture.full_covariances().diagonal(axis1=1, axis2=2))[component]
    deviation = (matrix - mean) / sd
    furthest = np.abs(deviation).argmax(axis=1)
    at = (np.arange(len(rows)), furthest)

    got = site.query(f"from marts.anomalies where block_key = '{key}' order by row_in_block")
    assert len(got) == len(rows) > 0
    ids = ["component", "component_id"]
    carried = ["event_time", "order_id", *FEATURES, "tips", *ids, "log_prob", "score"]
    pd.testing.assert_frame_equal(got[carried], rows[carried], check_dtype=False, check_exact=True)
    assert got["most_unusual_feature"].tolist() == [FEATURES[i] for i in furthest]
    near = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(got["most_unusual_deviation"], deviation[at], **near)
    np.testing.assert_allclose(
        got["component_distance"], np.sqrt((deviation**2).sum(axis=1)), **near
    )
    for side, sign in (("low", -1), ("high", 1)):
        edge = [
            float(model.features[i].inverse(mean[row, i] + sign * sd[row, i]))
            for row, i in enumerate(furthest)
        ]
        np.testing.assert_allclose(got[f"most_unusual_{side}"], edge, **near)
    centres = model.component_table()
    for row, said in enumerate(got["explanation"]):
        told = []
        for i in np.argsort(-np.abs(deviation[row]), kind="stable"):
            if abs(deviation[row, i]) > 2:
                value, off, name = rows[FEATURES[i]][row], deviation[row, i], FEATURES[i]
                centre = centres[component[row] * len(FEATURES) + i]["centre"]
                side = "above" if off > 0 else "below"
                told.append(
                    f"{name} {value:.4g} is {abs(off):.3g} sd {side} the usual {centre:.4g}"
                )
        none = "rare as a whole, though no number by itself is beyond 2 sd"
        assert said == f"component {component[row]}: {'; '.join(told) or none}"


def test_the_models_own_words_are_kept(site):
    rows = site.rows(SECOND)
    words = "component " + rows["component"].astype(str) + ": in its own words"
    site.write(SECOND, rows.assign(explanation=words))
    built = site.build(SECOND)
    assert built.passed, built.reason
    said = site.query("select block_key, explanation from marts.anomalies").set_index("block_key")
    assert said.loc[SECOND, "explanation"].str.endswith("in its own words").all()
    assert not said.loc[[FIRST, THIRD], "explanation"].str.endswith("in its own words").any()


def test_component_history_is_the_models_own_table(site):
    history = site.query("from marts.component_history order by block_key, component")
    assert sorted(history["block_key"].unique()) == [FIRST, THIRD]
    for key in (FIRST, THIRD):
        model = site.registry.load("orders", VERSIONS[key])
        got = history[history["block_key"] == key].set_index("component")
        assert (got["model_version"] == VERSIONS[key]).all()
        np.testing.assert_array_equal(got["weight"], model.mixture.weights)
        assert tuple(got["component_id"]) == model.component_ids
        assert got["weight"].sort_values(ascending=False).index.tolist() == (
            got["size_rank"].sort_values().index.tolist()
        )
        for row in model.component_table():
            for column in ("centre", "low", "high"):
                assert got.loc[row["component"], f"{column}_{row['feature']}"] == row[column]


def test_a_component_is_followed_by_its_id(site):
    """Births and deaths by SQL are those that the versions' tags tell of."""
    ids = site.query("select block_key, component_id from marts.component_history")
    first, third = (set(ids.loc[ids["block_key"] == key, "component_id"]) for key in (FIRST, THIRD))
    tags = site.registry.version("orders", VERSIONS[THIRD]).tags
    for name, found in (("born", third - first), ("died", first - third)):
        said = set() if tags[name] == "none" else {int(one) for one in tags[name].split()}
        assert said == found


@pytest.mark.parametrize("keys", [(FIRST, SECOND, THIRD), (FIRST, SECOND)])
def test_a_lake_written_before_there_were_ids_has_the_numbers_for_them(site, keys):
    for key in keys:
        rows = site.rows(key)
        site.write(key, rows.drop(columns="component_id"))
    for key in set(keys) - {SECOND}:
        path = site.components(key)
        pd.read_parquet(path, partitioning=None).drop(columns="component_id").to_parquet(path)
    built = site.build(None)
    assert built.passed, built.reason
    for table in ("staging.stg_scored_rows", "marts.component_history"):
        old = site.query(f"select * from {table} where block_key in {tuple(keys)}")
        assert (old["component_id"] == old["component"]).all()
        assert len(old)


def test_building_again_changes_nothing(site):
    before = everything(site)
    assert site.build(SECOND).passed
    assert_same(before, everything(site))


def touched(table):
    """The blocks whose rows a build of the second one may change: a step leads to the third."""
    return [SECOND, THIRD] if table == "marts.segment_migration" else [SECOND]


def test_a_block_processed_again_replaces_its_rows_and_only_its_own(site):
    before, original = everything(site), site.rows(SECOND)
    fewer = original[~original["anomaly"]].iloc[:150]
    site.write(SECOND, fewer.assign(price=fewer["price"]))

    built = site.build(SECOND)

    assert built.passed, built.reason
    assert built.key == SECOND
    after = everything(site)
    summary = after["marts.daily_summary"].set_index("block_key")
    assert summary.loc[SECOND, "rows"] == 150
    assert summary.loc[SECOND, "anomalies"] == 0
    assert SECOND not in set(after["marts.anomalies"]["block_key"]), "the old anomalies are gone"
    spared, others = (
        {n: t[~t["block_key"].isin(touched(n))].reset_index(drop=True) for n, t in tables.items()}
        for tables in (before, after)
    )
    assert_same(spared, others)

    site.write(SECOND, original)
    assert site.build(SECOND).passed
    assert_same(before, everything(site))


def test_a_build_of_a_block_reads_that_block_alone(site):
    before = everything(site)
    site.file(FIRST).write_bytes(b"not parquet")
    site.components(FIRST).write_bytes(b"not parquet")
    assert site.build(THIRD).passed
    assert_same(before, everything(site))


def test_a_component_table_that_came_since_is_fetched(site):
    """The build of a day may have failed: the next one brings its component table along."""
    late = KEYS[3]
    table = pd.read_parquet(site.components(THIRD))
    site.folder("components", late).mkdir()
    table["block_key"], table["model_version"] = late, 3
    table.to_parquet(site.folder("components", late) / "v3.parquet", index=False)
    assert site.build(SECOND).passed
    keys = site.query("select distinct block_key from marts.component_history order by 1")
    assert keys["block_key"].tolist() == [FIRST, THIRD, late]


def test_an_older_version_stays_known_when_its_window_is_merged_again(site):
    """Rows of the first two blocks were scored with version 1, whatever replaces it in the lake."""
    path = site.components(FIRST)
    table = pd.read_parquet(path, partitioning=None)
    table["model_version"], table["centre"] = 9, table["centre"] + 0
    table.to_parquet(path.with_name("v9.parquet"), index=False)
    before = everything(site)["marts.anomalies"]

    built = site.build(FIRST)
    assert built.passed, built.reason
    assert built.warnings == ()
    after = everything(site)
    pd.testing.assert_frame_equal(before, after["marts.anomalies"])
    newest = after["marts.component_history"].set_index("block_key")["model_version"]
    assert set(newest.loc[FIRST]) == {9}

    # The lake knows every version: built from it alone, the marts are the same.
    whole = site.build(None)
    assert whole.passed, whole.reason
    assert whole.warnings == ()
    pd.testing.assert_frame_equal(before, everything(site)["marts.anomalies"])

    # Of a table that went away the marts stand; what is no longer known is missing, and said so.
    path.unlink()
    whole = site.build(None)
    assert whole.passed, whole.reason
    assert [warning.name for warning in whole.warnings] == ["deviations_have_components"]
    assert f"block_key={FIRST}" in str(whole.warnings[0])
    anomalies = site.query("from marts.anomalies").set_index("block_key")
    assert anomalies.loc[[FIRST, SECOND], "most_unusual_low"].isna().all()
    assert anomalies.loc[[THIRD], "most_unusual_low"].notna().all()
    assert anomalies["most_unusual_deviation"].notna().all()
