"""Transforming through Spark gives what the model gives, with the pinned version beside it."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel

KEY = "2017-03-14"


@pytest.fixture(scope="module")
def model(engine, baskets, landed):
    folder, landing = landed
    mixture = engine.fit(baskets, KEY, folder, landing.digest).mixture
    ids = range(10, 10 + mixture.n_components)
    return DensityModel.build("baskets", baskets.feature_list, mixture, 0.95, component_ids=ids)


@pytest.fixture
def toy(stream_of):
    stream = stream_of("unused")
    mixture = Mixture([0.5, 0.5], [[0.0], [3.0]], [[[1.0]], [[0.5]]])
    return stream, DensityModel.build("toy", stream.feature_list, mixture, 0.9)


def test_the_columns_are_those_of_the_model(engine, baskets, landed, model, read, tmp_path):
    folder, _ = landed
    scored = engine.transform(baskets, KEY, folder, model, 7, str(tmp_path / "out"))
    rows, got = read(folder), read(str(tmp_path / "out"))
    made = model.transform({name: rows[name].to_numpy() for name in model.feature_names})
    assert (
        list(got) == [*rows, *made, "model_version", "stream", "block_key"] == list(scored.columns)
    )
    order = ["basket_id", "store_id"]
    place, want = got.sort_values(order), rows.assign(**made).sort_values(order)
    for name in [*rows, "component", "component_id", "anomaly"]:
        assert (place[name].to_numpy() == want[name].to_numpy()).all(), name
    for name in sorted(set(made) - {"component", "component_id", "anomaly"}):
        # numpy's vectorised log may differ in the last digit with the length of its input
        np.testing.assert_allclose(place[name], want[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert set(got["model_version"]) == {7}
    assert set(got["stream"]) == {"baskets"}
    assert set(got["block_key"]) == {KEY}
    assert scored.rows == len(rows) == 391
    assert scored.anomalies == int(made["anomaly"].sum()) > 0
    assert scored.mean_log_prob == pytest.approx(made["log_prob"].mean(), rel=1e-12)


def test_explanations_beside_the_scores_are_the_models(
    engine, baskets, landed, model, read, tmp_path
):
    also = ("explanation", "contributions", "tail_probability")
    scoring = baskets.scoring.model_copy(update={"also": also})
    explained = baskets.model_copy(update={"scoring": scoring})
    assert explained.window_fingerprint == baskets.window_fingerprint
    scored = engine.transform(explained, KEY, landed[0], model, 7, str(tmp_path / "out"))
    got = read(str(tmp_path / "out"))
    made = model.transform({name: got[name].to_numpy() for name in model.feature_names}, also)
    assert list(scored.columns)[-3 - len(made) : -3] == list(made)
    assert got["explanation"].tolist() == made["explanation"].tolist()
    assert got["explanation"].str.contains("sd above the usual").any()
    for name in [f"{feature}_contribution" for feature in model.feature_names]:
        np.testing.assert_allclose(got[name], made[name], rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(got["tail_probability"], 1 - got["score"], atol=1e-12)


def test_types_in_the_files(engine, toy, tmp_path):
    stream, model = toy
    (tmp_path / "rows").mkdir()
    pq.write_table(
        pa.table({"id": ["a", None, "c"], "x": [0, 1, 2]}), tmp_path / "rows" / "0.parquet"
    )
    engine.transform(stream, KEY, str(tmp_path / "rows"), model, 1, str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out")
    kinds = {
        name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)
    }
    assert kinds == {
        "id": "string", "x": "int64", "x_normalised": "double", "component": "int32",
        "component_id": "int32", "log_prob": "double", "score": "double", "anomaly": "bool",
        "model_version": "int32", "stream": "string", "block_key": "string",
    }  # fmt: skip
    assert table["id"].to_pylist() == ["a", None, "c"]


def test_no_rows(engine, toy, tmp_path):
    stream, model = toy
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), tmp_path / "rows" / "0.parquet")
    scored = engine.transform(stream, KEY, str(tmp_path / "rows"), model, 1, str(tmp_path / "out"))
    assert (scored.rows, scored.anomalies) == (0, 0)
    assert math.isnan(scored.mean_log_prob)
    assert pq.read_table(tmp_path / "out").schema.names == list(scored.columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": pa.array([1.0, None])}, "feature 'x' (identity) has 1 bad values"),
        (
            {"y": [1.0]},
            "features of the model are not among the landed columns: got ['x']; allowed: y",
        ),
        (
            {"x": [1.0], "Score": [1]},
            "toy cannot be transformed: The column `score` already exists",
        ),
        (
            {"x": [1.0], "block_key": [1]},
            "cannot be transformed: The column `block_key` already exi",
        ),
    ],
    ids=["NULL", "missing", "taken", "taken stamp"],
)
def test_rows_the_model_cannot_take(engine, toy, tmp_path, columns, message):
    stream, model = toy
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "rows" / "0.parquet")
    with pytest.raises(InvalidInput) as caught:
        engine.transform(stream, KEY, str(tmp_path / "rows"), model, 1, str(tmp_path / "out"))
    assert type(caught.value) is InvalidInput
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_is_a_spark_frame_of_the_rows(engine, landed, read):
    folder, landing = landed
    frame = engine.read(folder)
    assert frame.count() == landing.rows
    assert frame.columns == list(read(folder)), "no partition column from the folder's name"


def test_read_of_nothing(engine, tmp_path):
    with pytest.raises(InvalidInput, match="rows cannot be read: Path does not exist"):
        engine.read(str(tmp_path / "nowhere"))
