"""A real MLflow database with a champion of the made-up stream `orders`, for every example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from orders import declaration, make_rows

from gmm_core.features import to_matrix
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Check, GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.registry.mlflow_registry import MlflowRegistry

KEY = "2024-05-03"


@dataclass(frozen=True)
class Registered:
    """Where the model is, the model, and rows of a day in a Parquet file."""

    uri: str
    stream: Stream
    model: DensityModel
    rows: pd.DataFrame
    file: Path


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    folder = tmp_path_factory.mktemp("examples")
    stream = Stream.model_validate(declaration())
    rows = make_rows(KEY, n=300)
    rows.loc[7, ["price", "delay"]] = [40_000.0, 400.0]
    features = stream.feature_list
    X = to_matrix(features, {f.name: rows[f.name] for f in features})
    # Two customers groups, told apart by price: enough of a model for readers of it.
    large = X[:, 0] > np.median(X[:, 0])
    parts = [X[~large], X[large]]
    mixture = Mixture(
        [len(part) / len(X) for part in parts],
        [part.mean(axis=0) for part in parts],
        [np.cov(part.T) for part in parts],
    )
    model = DensityModel.build(stream.name, features, mixture, 0.995, component_ids=(3, 5))
    registry = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}")
    lineage = {
        "block_set_hash": "0" * 16, "first_block": "2024-05-01", "last_block": KEY, "blocks": "3",
        "rows": "900", "code_version": "0", "input_digest": "0" * 8,
    }  # fmt: skip
    report = GateReport("window", (Check("mean kept", True, "0", "0"),))
    version = registry.register(stream, model, lineage, report)
    registry.point(stream.name, "champion", version.version)
    # Spark reads no nanoseconds.
    rows.to_parquet(
        folder / f"{KEY}.parquet", coerce_timestamps="us", allow_truncated_timestamps=True
    )
    return Registered(registry._mlflow.tracking_uri, stream, model, rows, folder / f"{KEY}.parquet")
