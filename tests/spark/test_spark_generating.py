"""Generated rows: what a plain numpy twin makes of the same hashes, and what the truth says of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
import yaml

from gmm_core.codec import to_dict
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.spark.generating import INJECTED, generate
from gmm_core.synthetic import TRANSACTIONS, Recipe

# Of four transforms, with strong drift and many anomalies, so that a few rows show all of it.
MIXED = Recipe(
    features=tuple(Feature(n, n) for n in ("log", "log1p", "sqrt", "identity")),
    mixture=Mixture(
        np.array([0.7, 0.3]),
        np.array([[1.0, 2.0, 9.0, 0.0], [4.0, 3.0, 5.0, -2.0]]),
        np.stack([np.eye(4) * 0.2 + 0.1, np.diag([0.3, 0.1, 0.4, 1.0])]),
    ),
    drift=(0.5, 0.0, -0.1, 0.25),
    anomalies=0.1,
)


@pytest.fixture(scope="module")
def spark(engine):
    with engine._spark() as opened:
        yield opened


# The twin


def xxhash64(values, seed):
    """Spark's xxhash64 of 64-bit integers: xxHash64 of eight bytes."""
    first, second, third, fourth, fifth = (
        np.uint64(p)
        for p in (
            0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
        )
    )  # fmt: skip

    def turned(x, by):
        return (x << np.uint64(by)) | (x >> np.uint64(64 - by))

    with np.errstate(over="ignore"):
        h = np.asarray(seed, dtype=np.uint64) + fifth + np.uint64(8)
        h = h ^ (turned(values * second, 31) * first)
        h = turned(h, 27) * first + fourth
        h = (h ^ (h >> np.uint64(33))) * second
        h = (h ^ (h >> np.uint64(29))) * third
        return h ^ (h >> np.uint64(32))


def uniform(ids, seed, draw):
    salt = np.frombuffer(hashlib.sha256(f"{seed}:{draw}".encode()).digest()[:8], "<u8") >> 1
    return ((xxhash64(ids, xxhash64(salt, 42)) >> np.uint64(12)).astype(float) + 0.5) / 2**52


def twin(rows, recipe, days, start, seed):
    """The same rows in plain numpy, by the words of the documentation."""
    ids = np.arange(rows, dtype=np.uint64)
    day = np.arange(rows) * days // rows
    share = uniform(ids, seed, "component")
    injected = share < recipe.anomalies
    k, d = recipe.mixture.n_components, recipe.mixture.n_features
    edges = recipe.anomalies + (1 - recipe.anomalies) * np.cumsum(recipe.mixture.weights)
    which = np.where(injected, k, np.minimum(np.searchsorted(edges, share, side="right"), k - 1))
    z = np.empty((rows, d))
    for j in range(d):
        radius = np.sqrt(-2 * np.log(uniform(ids, seed, f"radius {j // 2}")))
        angle = 2 * np.pi * uniform(ids, seed, f"angle {j // 2}")
        z[:, j] = radius * (np.sin(angle) if j % 2 else np.cos(angle))
    z[injected] *= 1 + recipe.distance / np.linalg.norm(z[injected], axis=1, keepdims=True)
    every = [*recipe.mixture.full_covariances(), recipe.mixture.covariance()]
    means = np.vstack([recipe.mixture.means, recipe.mixture.mean()])
    lower = np.linalg.cholesky(np.array(every))
    x = (
        means[which]
        + np.einsum("nij,nj->ni", lower[which], z)
        + day[:, None] * np.array(recipe.drift)
    )
    clock = recipe.clock(uniform(ids, seed, "clock"))
    first = np.datetime64(start, "us")
    return {
        "at": first + (day * 86_400_000_000 + np.floor(clock * 86_400e6).astype(int)),
        **{f.name: f.inverse(x[:, j]) for j, f in enumerate(recipe.features)},
        "true_component": np.where(injected, INJECTED, which),
        "injected": injected,
    }


@pytest.mark.parametrize(
    ("recipe", "seed"), [(MIXED, 7), (TRANSACTIONS, 0), (TRANSACTIONS.only("fee"), 0)]
)
def test_rows_are_those_of_the_twin(spark, recipe, seed):
    start = dt.date(2024, 2, 28)
    made = generate(spark, 1_001, recipe, days=3, start=start, seed=seed, partitions=2).toArrow()
    wanted = twin(1_001, recipe, 3, start, seed)
    assert made.column_names == ["row_id", *wanted]
    assert made["row_id"].to_pylist() == list(range(1_001))
    for name, values in wanted.items():
        got = made[name].to_numpy()
        if values.dtype == float:
            np.testing.assert_allclose(got, values, rtol=1e-10, atol=1e-10, err_msg=name)
        elif name == "at":  # the last digit of a sine may move a row by a microsecond
            assert np.abs((got - values) / np.timedelta64(1, "us")).max() <= 1
        else:
            np.testing.assert_array_equal(got, values, err_msg=name)


def test_partitions_do_not_matter_and_the_seed_does(spark):
    def rows(seed, partitions):
        return (
            generate(spark, 500, days=2, seed=seed, partitions=partitions).sort("row_id").toArrow()
        )

    assert rows(1, 1).equals(rows(1, 7))
    assert not rows(1, 1).equals(rows(2, 1))


# The truth


@pytest.fixture(scope="module")
def drawn(spark):
    """100,000 rows of three days, in feature space."""
    recipe = dataclasses.replace(MIXED, anomalies=0.02)
    table = generate(spark, 99_999, recipe, days=3, partitions=2).toArrow()
    x = np.column_stack([f.forward(table[f.name].to_numpy()) for f in recipe.features])
    days = (table["at"].cast(pa.date32()).to_numpy() - np.datetime64("2024-01-01")).astype(int)
    return recipe, x, days, table


def test_every_day_is_a_sample_of_its_mixture(drawn):
    recipe, x, days, table = drawn
    component = table["true_component"].to_numpy()
    assert np.bincount(days).tolist() == [33_333] * 3
    for day in range(3):
        truth, ordinary = recipe.on(day), (days == day) & (component != INJECTED)
        n = ordinary.sum()
        for j in range(truth.n_components):
            mine = x[ordinary & (component == j)]
            share = truth.weights[j]
            assert abs(len(mine) - n * share) < 5 * np.sqrt(n * share * (1 - share))
            error = (mine.mean(axis=0) - truth.means[j]) / truth.standard_deviations()[j]
            assert np.abs(error).max() < 5 / np.sqrt(len(mine))
            # whitened rows have unit covariance, each entry with a deviation of at most sqrt(2 / n)
            white = (mine - truth.means[j]) @ truth.whiteners[j].T
            assert np.abs(np.cov(white.T) - np.eye(4)).max() < 5 * np.sqrt(2 / len(mine))


def test_anomalies_are_labelled_and_far_out(drawn):
    recipe, x, days, table = drawn
    injected = table["injected"].to_numpy()
    assert (injected == (table["true_component"].to_numpy() == INJECTED)).all()
    n = len(injected)
    assert abs(injected.sum() - 0.02 * n) < 5 * np.sqrt(0.02 * n)
    white = np.linalg.inv(np.linalg.cholesky(recipe.mixture.covariance()))
    away = x - recipe.mixture.mean() - days[:, None] * np.array(recipe.drift)
    # sqrt and log1p have no values below 0 to come back from
    inside = injected & (x[:, 1] > 0) & (x[:, 2] > 0)
    assert np.linalg.norm(away[inside] @ white.T, axis=1).min() >= recipe.distance
    assert np.linalg.norm(away[~injected] @ white.T, axis=1).max() < recipe.distance


def test_rows_come_by_the_curve_of_the_day(drawn):
    recipe, _, _, table = drawn
    micros = table["at"].to_numpy().astype("datetime64[us]").astype(int) % 86_400_000_000
    got = np.histogram(micros / 86_400e6, bins=24, range=(0, 1))[0] / len(micros)
    wanted = (
        np.histogram(recipe.clock(np.linspace(0, 1, 1_000_001)), bins=24, range=(0, 1))[0] / 1e6
    )
    assert np.abs(got - wanted).max() < 5 * np.sqrt(wanted.max() / len(micros))
    assert got.argmax() in (12, 13), "around the peak at 13"
    assert got.max() > 4 * got.min(), "1.7 to 0.3, the season being 0.7"


# Refusals and files


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"days": 0}, {"partitions": 0}, {"seed": -1}])
def test_numbers_out_of_bounds(spark, wrong):
    with pytest.raises(InvalidInput, match=r"to generate: got .*; allowed: 1 to|seed"):
        generate(spark, **{"rows": 10} | wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"season": 1.0}, {"anomalies": -0.1}, {"peak": float("nan")}, {"drift": (1.0,)},
     {"drift": (float("inf"),) * 4}, {"features": MIXED.features[:2]}],
)  # fmt: skip
def test_a_recipe_is_checked(wrong):
    with pytest.raises(InvalidInput, match="of a recipe"):
        dataclasses.replace(MIXED, **wrong)


def test_what_is_no_recipe():
    with pytest.raises(InvalidInput, match="not a recipe"):
        Recipe.from_dict({"schema": "blockmix/recipe/1"})
    with pytest.raises(InvalidInput, match="not a recipe: schema"):
        Recipe.from_dict({})
    with pytest.raises(InvalidInput, match=r"features of a recipe.*log, log1p"):
        MIXED.only("price")


def test_a_published_data_set_is_a_stream_that_can_be_landed(engine, tmp_path):
    folder = tmp_path / "made"
    file = engine.generate("payments", str(folder), 600, days=2, seed=3)
    truth = json.loads((folder / "truth.json").read_text())
    assert Recipe.from_dict(truth["recipe"]) == TRANSACTIONS
    assert truth["recipe"]["mixture"] == to_dict(TRANSACTIONS.mixture)
    assert (truth["rows"], truth["days"], truth["seed"]) == (600, 2, 3)
    stream = load_stream("payments", folder)
    assert file == str(folder / "payments.yaml")
    assert (
        yaml.safe_load((folder / "payments.yaml").read_text())["source"]["path"] == f"{folder}/rows"
    )
    landing = engine.land(stream, "2024-01-02", str(tmp_path / "landed"))
    assert (landing.rows, landing.left_out) == (300, 0)
    summary = engine.fit(stream, "2024-01-02", str(tmp_path / "landed"), landing.digest)
    mean, sd = TRANSACTIONS.on(1).mean(), TRANSACTIONS.mixture.covariance().diagonal() ** 0.5
    assert np.abs(summary.mixture.mean() - mean).max() < (6 * sd / np.sqrt(300)).max()
    with pytest.raises(InvalidInput, match="is there already"):
        engine.generate("payments", str(folder), 600, days=2, seed=3)


def test_a_name_that_is_none_for_a_stream(engine, tmp_path):
    with pytest.raises(InvalidInput, match="a stream for generated rows: stream"):
        engine.generate("No Name", str(tmp_path / "made"), 10, days=1, seed=0)
    assert not (tmp_path / "made").exists()


def test_the_command_line_writes_it_and_says_what_to_do(server, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from gmm_core.cli.app import app

    monkeypatch.setenv("BLOCKMIX_SPARK_REMOTE", server.remote)
    monkeypatch.setenv("BLOCKMIX_STREAMS", "streams-folder")
    out = str(tmp_path / "made")
    done = CliRunner().invoke(app, ["generate", "pay", "--out", out, "--rows", "60", "--days", "3"])
    assert done.exit_code == 0, done.output
    assert "generate pay 3 days: done; rows 60" in done.output
    assert f"cp {out}/pay.yaml streams-folder" in " ".join(done.output.split())
    assert len(list((tmp_path / "made" / "rows").glob("day=*"))) == 3
    again = CliRunner().invoke(app, ["generate", "pay", "--out", out])
    assert isinstance(again.exception, InvalidInput)
