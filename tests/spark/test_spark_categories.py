"""Categorical features through Spark: landed as text, fitted and scored as the numerics do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orders import KEYS
from visits import make_visits, visits_declaration

from expectations.views import view_of
from gmm_core.block import fit_block
from gmm_core.errors import InvalidInput
from gmm_core.features import to_matrix
from gmm_core.model import DensityModel
from gmm_core.pipeline.memory import LawGate
from gmm_core.pipeline.streams import Stream

KEY = KEYS[0]


def declared(folder, **columns) -> Stream:
    data = visits_declaration()
    data["source"]["path"] = str(folder / "visits.parquet")
    data["source"]["columns"] |= columns
    return Stream.model_validate(data)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A source whose columns are text, whole numbers and booleans."""
    folder = tmp_path_factory.mktemp("source")
    table = pa.Table.from_pandas(make_visits(KEY).rename(columns={"event_time": "at"}))
    pq.write_table(table, folder / "visits.parquet")
    return folder


@pytest.fixture(scope="module")
def stream(source):
    return declared(source)


@pytest.fixture(scope="module")
def landed(engine, stream, tmp_path_factory):
    target = str(tmp_path_factory.mktemp("landed") / f"block={KEY}")
    return target, engine.land(stream, KEY, target)


def test_a_block_lands_is_fitted_and_scored(engine, stream, landed, read, tmp_path):
    folder, landing = landed
    rows = read(folder)
    assert landing.rows == len(rows) == 500
    assert set(rows["card"]) == {"0", "1", "2"}
    assert set(rows["weekend"]) == {"true", "false"}
    assert rows["shop"].isna().any()
    columns = {name: rows[name].to_numpy() for name in stream.features}
    made_by_hand = {name: make_visits(KEY)[name].to_numpy() for name in stream.categorical_features}
    for name, feature in ((f.name, f) for f in stream.feature_list if f.categorical):
        np.testing.assert_array_equal(
            np.bincount(feature.forward(columns[name]).astype(int)),
            np.bincount(feature.forward(made_by_hand[name]).astype(int)),
        )
    plain = rows.assign(event_time=rows["event_time"].dt.tz_localize(None))
    assert LawGate().check_rows(stream, KEY, plain).passed

    summary = engine.fit(stream, KEY, folder, landing.digest)
    settings = stream.mixture
    alone = fit_block(
        stream.name, KEY, stream.feature_list, to_matrix(stream.feature_list, columns),
        k=settings.block_components, fewest=settings.k, covariance_type=settings.covariance_type,
        regularisation=settings.regularisation, restarts=settings.restarts,
        max_iterations=settings.max_iterations, tolerance=settings.tolerance, seed=settings.seed,
        input_digest=landing.digest, fit_fingerprint=stream.fit_fingerprint,
    )  # fmt: skip
    assert summary.digest == alone.digest, "every digit, through Spark, JSON and back"

    model = DensityModel.build(stream.name, stream.feature_list, summary.mixture, 0.99)
    scored = engine.transform(stream, KEY, folder, model, 1, str(tmp_path / "out"))
    got = read(str(tmp_path / "out"))
    assert scored.rows == 500
    assert "shop_normalised" not in got
    want = model.transform({name: got[name].to_numpy() for name in model.feature_names})
    np.testing.assert_allclose(got["log_prob"], want["log_prob"], rtol=1e-12)
    np.testing.assert_array_equal(got["component"], want["component"])


def test_the_gate_sees_the_same_in_spark_and_in_pandas(engine, stream, landed, read):
    folder, _ = landed
    levels = {name: f.levels for name, f in stream.categorical_features.items()}
    here = view_of(read(folder), ["spent"], None, 10_000, levels)
    there = view_of(engine.read(folder), ["spent"], None, 10_000, levels)
    assert there.found["shop"] == "string"
    assert not here.unusable
    assert not there.unusable
    for name in levels:
        both = [view.frame[name].value_counts(dropna=False).to_dict() for view in (here, there)]
        assert repr(sorted(both[0].items(), key=str)) == repr(sorted(both[1].items(), key=str))
    assert here.frame["shop"].sum() > 0


def test_what_is_no_text_is_refused(engine, source, tmp_path):
    stream = declared(source, shop="spent * 2")
    with pytest.raises(InvalidInput, match=r"source.columns.shop is a feature: got 'double'"):
        engine.land(stream, KEY, str(tmp_path / "landed"))
