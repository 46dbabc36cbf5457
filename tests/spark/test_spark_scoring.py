"""Scoring by several models in Spark is what the twin in memory says, in one job."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.errors import InvalidInput
from gmm_core.health.scores import Scores
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream

KEY = "2017-03-14"


@pytest.fixture(scope="module")
def models(baskets):
    rng = np.random.default_rng(0)
    means = rng.normal(1, 1, (3, 4))
    mixtures = [Mixture(np.full(k, 1 / k), means[:k], np.full(k, 4.0), "spherical") for k in (2, 3)]
    return [DensityModel.build("baskets", baskets.feature_list, one, 0.95) for one in mixtures]


def labelled(baskets):
    data = baskets.model_dump(mode="json")
    data["source"]["columns"]["odd"] = "0"
    return Stream.model_validate({**data, "health": {"label": "odd"}})


def test_parts_of_a_block_add_up_to_what_memory_says(
    engine, baskets, landed, models, read, tmp_path
):
    folder, _ = landed
    rows = read(folder).assign(odd=0)
    rows.loc[rows.index[:40], "odd"] = 1
    for at, part in enumerate(np.array_split(np.arange(len(rows)), 3)):
        pq.write_table(pa.Table.from_pandas(rows.iloc[part]), tmp_path / f"{at}.parquet")
    stream = labelled(baskets)
    found = engine.score(stream, KEY, str(tmp_path), models)
    columns = {name: rows[name].to_numpy() for name in stream.features}
    exact = Scores.of(models, columns, rows["odd"].to_numpy() > 0)
    assert found.tallies == exact.tallies
    assert found.tallies[0].confusion.sum() == len(rows)
    np.testing.assert_allclose(found.log_prob.mean, exact.log_prob.mean, rtol=1e-12)
    np.testing.assert_allclose(found.log_prob.scatter, exact.log_prob.scatter, rtol=1e-9)


def test_a_missing_feature_is_the_users_mistake(engine, baskets, models, tmp_path):
    pq.write_table(pa.table({"amount": [1.0]}), tmp_path / "0.parquet")
    with pytest.raises(InvalidInput, match="cannot be scored"):
        engine.score(baskets, KEY, str(tmp_path), models)
    with pytest.raises(InvalidInput, match="models to score"):
        engine.score(baskets, KEY, str(tmp_path), [])
