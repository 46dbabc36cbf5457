"""The orders stream with its real numerics: fitted blocks, a window model, transformed rows."""

from __future__ import annotations

import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectationsGate
from gmm_core.block import fit_block
from gmm_core.features import to_matrix
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

WINDOW = KEYS[:4]


@pytest.fixture(scope="session")
def stream() -> Stream:
    return Stream.model_validate(
        {
            "stream": "orders",
            "start": KEYS[0],
            "source": {
                "path": "orders.parquet",
                "time": "at",
                "columns": {"price": "price", "delay": "delay", "rating": "rating"},
            },
            "features": {
                "price": {
                    "transform": "log",
                    "minimum": 0.01,
                    "maximum": 10_000,
                    "unit": "dollars",
                },
                "delay": {"transform": "log1p", "minimum": 0, "maximum": 1_000},
                "rating": {"minimum": -50, "maximum": 50},
            },
            "mixture": {"k": 3, "restarts": 2},
            "window": {"blocks": 4},
        }
    )


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> ExpectationsGate:
    return ExpectationsGate(tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="session")
def fitted(stream: Stream):
    """Block summary of any rows of the stream."""

    def fit(key: str, rows: pd.DataFrame) -> BlockSummary:
        columns = {name: rows[name].to_numpy() for name in stream.features}
        return fit_block(
            stream.name,
            key,
            stream.feature_list,
            to_matrix(stream.feature_list, columns),
            k=stream.mixture.k,
            restarts=stream.mixture.restarts,
        )

    return fit


@pytest.fixture(scope="session")
def merged(stream: Stream):
    """Window model of any blocks."""

    def merge(blocks: list[BlockSummary]) -> DensityModel:
        mixture = window_mixture(blocks, stream.mixture.k)
        return DensityModel.build(stream.name, stream.feature_list, mixture, 0.999)

    return merge


@pytest.fixture(scope="session")
def transformed():
    """Rows as the engines write them out."""

    def transform(model: DensityModel, rows: pd.DataFrame) -> pd.DataFrame:
        made = model.transform({name: rows[name].to_numpy() for name in model.feature_names})
        return rows.assign(**made, model_version=1, stream=model.stream, block_key=WINDOW[-1])

    return transform


@pytest.fixture
def rows() -> pd.DataFrame:
    """Of the window's last day."""
    return make_rows(WINDOW[-1])


@pytest.fixture(scope="session")
def blocks(fitted) -> list[BlockSummary]:
    return [fitted(key, make_rows(key)) for key in WINDOW]


@pytest.fixture(scope="session")
def model(merged, blocks: list[BlockSummary]) -> DensityModel:
    return merged(blocks)
