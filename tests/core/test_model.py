"""The density model: rows in source units in, answers out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from mixtures import OWN_KINDS

from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.model import OUTPUTS, DensityModel
from gmm_core.normalising.distances import normalise

FEATURES = (Feature("price", "log"), Feature("items", "sqrt"), Feature("hour"))


def make(kind: str = "full") -> DensityModel:
    variances = np.array([[0.3, 0.1, 4.0], [0.2, 0.2, 1.0]])
    covariances = variances[:, :, None] * np.eye(3) if kind == "full" else variances
    mixture = Mixture([0.4, 0.6], [[1.0, 2.0, 9.0], [4.0, 3.0, 18.0]], covariances, kind)
    return DensityModel.build("orders", FEATURES, mixture, 0.99, seed=1)


def make_columns(model: DensityModel, n: int = 500) -> dict[str, np.ndarray]:
    X = model.mixture.sample(n, seed=3)
    return {f.name: f.inverse(X[:, index]) for index, f in enumerate(model.features)}


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_every_output_is_what_the_mixture_says(kind):
    model = make(kind)
    columns = make_columns(model)
    X, mixture = model.to_matrix(columns), model.mixture
    np.testing.assert_allclose(model.output(columns, "log_prob")["log_prob"], mixture.log_prob(X))
    score = model.output(columns, "score")["score"]
    np.testing.assert_allclose(score, model.tail.score(mixture.log_prob(X)))
    np.testing.assert_array_equal(
        model.output(columns, "component")["component"], mixture.component(X)
    )
    shares = model.output(columns, "responsibilities")
    assert list(shares) == ["responsibility_0", "responsibility_1"]
    np.testing.assert_allclose(np.column_stack(list(shares.values())), mixture.responsibilities(X))
    normalised = model.output(columns, "normalised")
    names = [f"{name}_normalised" for name in model.feature_names]
    assert list(normalised) == [*names, "component", "component_id"]
    values, component = normalise(mixture, X)
    np.testing.assert_allclose(np.column_stack([normalised[name] for name in names]), values)
    np.testing.assert_array_equal(normalised["component"], component)


def test_every_output_has_a_row_for_every_row():
    model = make()
    for n in (0, 1, 7):
        columns = make_columns(model, n)
        for name in OUTPUTS:
            assert {len(values) for values in model.output(columns, name).values()} == {n}
        assert {len(values) for values in model.transform(columns).values()} == {n}


def test_transform_gives_all_that_downstream_reads():
    model = make()
    columns = make_columns(model, 5_000)
    got = model.transform(columns)
    assert list(got) == [
        "price_normalised",
        "items_normalised",
        "hour_normalised",
        "component",
        "component_id",
        "log_prob",
        "score",
        "anomaly",
    ]
    assert got["anomaly"].dtype == np.bool_
    assert got["component"].dtype == np.int64
    np.testing.assert_array_equal(got["anomaly"], got["score"] > 0.99)
    assert got["anomaly"].mean() == pytest.approx(0.01, abs=0.006)
    for name in ("normalised", "log_prob", "score"):
        for column, values in model.output(columns, name).items():
            np.testing.assert_array_equal(got[column], values)


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_restore_undoes_transform(kind):
    model = make(kind)
    columns = make_columns(model)
    back = model.restore(model.transform(columns))
    assert list(back) == list(model.feature_names)
    for name in back:
        np.testing.assert_allclose(back[name], columns[name], rtol=1e-12)


def test_frames_go_in_and_out():
    model = make()
    frame = pd.DataFrame(make_columns(model)).assign(other="x")
    transformed = pd.DataFrame(model.transform(frame))
    restored = pd.DataFrame(model.restore(transformed))
    pd.testing.assert_frame_equal(restored, frame[list(model.feature_names)], rtol=1e-12)


def test_an_outlier_is_an_anomaly_and_a_typical_row_is_not():
    got = make().transform({"price": [1e30, np.exp(4.0)], "items": [9.0, 9.0], "hour": [3.0, 18.0]})
    assert got["anomaly"].tolist() == [True, False]
    assert got["score"][0] == pytest.approx(1)


def test_the_component_table_is_readable_in_source_units():
    table = make().component_table()
    assert len(table) == 2 * 3
    first = table[0]
    assert (first["component"], first["feature"]) == (0, "price")
    assert first["weight"] == 0.4
    assert first["mean"] == 1.0
    assert first["sd"] == pytest.approx(np.sqrt(0.3))
    assert first["centre"] == pytest.approx(np.exp(1.0))
    assert first["low"] == pytest.approx(np.exp(1.0 - np.sqrt(0.3)))
    assert first["high"] == pytest.approx(np.exp(1.0 + np.sqrt(0.3)))
    items = [row for row in table if row["feature"] == "items"]
    assert [row["centre"] for row in items] == pytest.approx([4.0, 9.0])
    assert all(row["low"] < row["centre"] < row["high"] for row in table)


def test_the_table_stays_ordered_where_a_root_has_no_source_value():
    mixture = Mixture([1.0], [[0.1]], [[1.0]], "diag")
    row = DensityModel.build("s", [Feature("x", "sqrt")], mixture, 0.9).component_table()[0]
    assert row["low"] == 0
    assert row["low"] < row["centre"] < row["high"]


def test_components_have_ids_of_their_own_beside_their_numbers():
    plain = make()
    assert plain.component_ids == (0, 1)
    model = dataclasses.replace(plain, component_ids=(7, 3))
    columns = make_columns(model)
    got = model.transform(columns)
    np.testing.assert_array_equal(got["component_id"], np.array([7, 3])[got["component"]])
    np.testing.assert_array_equal(
        got["component_id"], model.output(columns, "component")["component_id"]
    )
    table = model.component_table()
    assert {(row["component"], row["component_id"]) for row in table} == {(0, 7), (1, 3)}
    back = model.restore(got)
    np.testing.assert_allclose(back["price"], columns["price"], rtol=1e-12)


def test_building_again_gives_the_same_model():
    assert make() == make()
    assert make() != DensityModel.build("orders", FEATURES, make().mixture, 0.99, seed=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.output({"price": [1.0], "items": [1.0]}, "score"), r"\['hour'\] are missing"),
        (lambda m: m.output(make_columns(m), "colour"), "'colour'; allowed: score, resp"),
        (lambda m: m.transform({"price": [0.0], "items": [1.0], "hour": [1.0]}), "feature 'price'"),
        (lambda m: m.restore({"component": [0]}), "missing"),
        (
            lambda m: m.restore({**m.transform(make_columns(m, 1)), "component": [2]}),
            "whole numbers from 0 to 1",
        ),
        (lambda m: DensityModel.build("s", FEATURES[:2], m.mixture, 0.9), "features of the model"),
        (lambda m: DensityModel.build("s", FEATURES, m.mixture, 1.0), "anomaly_above"),
        (lambda m: dataclasses.replace(m, component_ids=(1, 1)), "2 different ids"),
        (lambda m: dataclasses.replace(m, component_ids=(0, 1, 2)), "component_ids"),
        (lambda m: dataclasses.replace(m, component_ids=(-1, 1)), "0 or more"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call(make())
