"""Columns normalised and scored by Spark SQL: the numbers are those of Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gmm_sql import REFUSED, agrees, density_model, mixed_model, parameters, queries_of, rows_of
from mixtures import random_mixture

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput
from gmm_core.normalising.hashing import hash_columns, salt_of
from gmm_core.normalising.modes import Modes
from gmm_core.spark.column_scores import score_column
from gmm_core.spark.modes import denormalise_columns, normalise_columns

TEXTS = ["", "a", "abcd", "abcdefgh", "é", "x" * 31, "y" * 32, "z" * 77, None, "forty " * 9]
MODES = {
    "x": Modes(random_mixture(1, 10, 1)),
    "y` z": Modes(random_mixture(2, 3, 1)),
    "i": Modes(random_mixture(3, 1, 1)),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 400
    rows = pd.DataFrame(
        {
            "id": np.arange(n), "t": [TEXTS[i % len(TEXTS)] for i in range(n)],
            "f": np.where(np.arange(n) % 7 == 0, np.nan, rng.normal(size=n)),
            "x": rng.normal(0, 8, n), "y` z": 3 * rng.standard_cauchy(n),
            "i": rng.integers(-5, 5, n),
        }
    )  # fmt: skip
    rows.loc[[3, 4], "f"] = -0.0
    rows.loc[[5, 6, 7, 8, 9], "x"] = [np.nan, np.inf, -np.inf, 1e300, -1e200]
    return rows


@pytest.fixture(scope="module")
def frame(engine, table, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("rows") / "rows.parquet")
    table.to_parquet(path, index=False)
    return engine.read(path)


@pytest.mark.parametrize("keys", [None, (), ("id", "t", "f")], ids=["likeliest", "own", "keys"])
def test_the_numbers_are_those_of_python(frame, table, keys):
    sampled = {} if keys is None else {"sampled": True, "seed": 3, "keys": keys}
    made = normalise_columns(frame, MODES, **sampled)
    got, back = made.toPandas(), denormalise_columns(made, MODES).toPandas()
    for name, modes in MODES.items():
        columns = [table[c].to_numpy() for c in keys] if keys else []
        by = columns or [table[c].to_numpy(float) for c in MODES]
        bits = None if keys is None else hash_columns(by, salt_of(3, name))
        values, mode = modes.normalise(table[name].to_numpy(float), bits)
        np.testing.assert_array_equal(got[f"{name}_normalised"].to_numpy(), values)
        assert got[f"{name}_mode"].fillna(-1).astype(int).tolist() == mode.tolist()
        np.testing.assert_allclose(back[name].to_numpy(float), table[name], rtol=1e-9, atol=1e-12)


def test_partitions_and_order_do_not_matter(frame):
    mode = {"sampled": True, "keys": ["id"]}
    one = normalise_columns(frame, MODES, **mode).toPandas()
    other = normalise_columns(frame.repartition(3, "t"), MODES, **mode).toPandas()
    pd.testing.assert_frame_equal(one, other.sort_values("id").reset_index(drop=True))


def test_one_hot_and_columns_kept(frame, table):
    index = normalise_columns(frame, {"x": MODES["x"]}, keep=["id"]).toPandas()
    hot = normalise_columns(frame, {"x": MODES["x"]}, keep=[], one_hot=True).toPandas()
    assert list(index) == ["id", "x_normalised", "x_mode"]
    shown = hot.drop(columns="x_normalised").to_numpy()
    want = index["x_mode"].fillna(-1).to_numpy()[:, None] == np.arange(10)
    np.testing.assert_array_equal(shown, want)


def test_scores_are_those_of_python(frame, table):
    mixture = MODES["x"].mixture
    tail = TailCurve.of(mixture)
    got = score_column(frame, "x", mixture, tail=tail, responsibilities=True).toPandas()
    x = table["x"].to_numpy()
    there = np.isfinite(x)
    log_prob = mixture.log_prob(x[there, None])
    np.testing.assert_allclose(got["x_log_prob"][there], log_prob, rtol=1e-9)
    np.testing.assert_allclose(got["x_score"][there], tail.score(log_prob), atol=1e-9)
    shares = got[[f"x_responsibility_{j}" for j in range(10)]].to_numpy()
    near = there & (np.abs(x) < 1e100)
    np.testing.assert_allclose(shares[near], mixture.responsibilities(x[near, None]), atol=1e-9)
    assert got.loc[np.isnan(x), ["x_log_prob", "x_score"]].isna().all(axis=None)
    assert (got.loc[np.isinf(x), "x_score"] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": {}}, "no columns to normalise"),
        ({"modes": {"nowhere": MODES["x"]}}, "columns are not there"),
        ({"modes": {"t": MODES["x"]}}, "does not hold numbers"),
        ({"modes": {"x": random_mixture(1, 2, 2)}}, "modes are those of one column"),
        ({"keys": ["nowhere"], "sampled": True}, "columns are not there"),
    ],
)
def test_what_cannot_be_is_refused(frame, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        normalise_columns(frame, **{"modes": {"x": MODES["x"]}, **arguments})


def test_a_name_that_is_taken_is_refused(frame):
    made = normalise_columns(frame, {"x": MODES["x"]})
    with pytest.raises(InvalidInput, match="a name that is to be made"):
        normalise_columns(made, {"x": MODES["x"]})


def test_the_dbt_package_agrees_on_spark(frame):
    models = {"one": density_model("spherical", 1), "mixed": mixed_model()}
    queries = queries_of("spark", models)
    spark = frame.sparkSession
    for name, model in models.items():
        rows = rows_of(model)
        spark.createDataFrame(rows).createOrReplaceTempView(f"rows_{name}")
        spark.createDataFrame(parameters(model)).createOrReplaceTempView(f"parameters_{name}")
        scored, joint = (
            spark.sql(queries[name][macro]).toPandas() for macro in ("scored", "joint")
        )
        agrees(model, rows, scored, joint)
    with pytest.raises(Exception, match=REFUSED):
        spark.sql(queries["relevelled"]["scored"]).toPandas()
