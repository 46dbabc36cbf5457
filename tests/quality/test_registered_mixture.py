"""A suite that names a registered model: `models:/orders@champion`, with a real MLflow behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import great_expectations as gx
import mlflow
import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectMomentsToMatchMixture, ExpectValuesWithinMixtureBounds
from expectations.evidence import model_of
from gmm_core.errors import InvalidInput
from gmm_core.pipeline.lineage import lineage_of
from gmm_core.pipeline.ports import GateReport
from gmm_core.registry.mlflow_registry import MlflowRegistry
from gmm_core.window import block_set_hash

ADDRESS = "models:/orders@champion"


@pytest.fixture(scope="module")
def registry(tmp_path_factory, stream, fitted, merged) -> Iterator[MlflowRegistry]:
    """Two versions on a database of the tests' own: of ordinary days, and of prices ten times as high."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    registry = MlflowRegistry(uri)
    dear = make_rows(KEYS[0]).assign(price=lambda rows: 10 * rows["price"])
    for rows in (make_rows(KEYS[0]), dear):
        blocks = [fitted(KEYS[0], rows)]
        tags = {
            **lineage_of(blocks, blocks),
            "block_set_hash": block_set_hash(blocks),
            "settings": "k 3",
        }
        registry.register(stream, merged(blocks), tags, GateReport("window", ()))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield registry
    mlflow.set_tracking_uri(before)


@pytest.fixture
def validate() -> Any:
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("any").add_dataframe_asset("any")
    batches = asset.add_batch_definition_whole_dataframe("whole")

    def run(expectation: Any, rows: pd.DataFrame) -> Any:
        return batches.get_batch({"dataframe": rows}).validate(expectation)

    return run


def test_the_alias_is_followed_when_it_moves(registry, validate) -> None:
    expectation = ExpectMomentsToMatchMixture(mixture=ADDRESS, between=0.1)
    rows = make_rows(KEYS[1])
    found = []
    for version in (1, 2, 1):
        registry.point("orders", "champion", version)
        result = validate(expectation, rows)
        assert result.result["details"]["mixture"] == f"models:/orders/{version}"
        found.append(result.success)
    assert found == [True, False, True]


def test_evidence_and_laws_are_of_one_version_though_the_alias_moves_between(
    registry, validate, monkeypatch
) -> None:
    from expectations.custom import metric

    registry.point("orders", "champion", 1)
    answer = metric.answer

    def moving(*arguments: Any) -> Any:
        registry.point("orders", "champion", 2)
        return answer(*arguments)

    monkeypatch.setattr(metric, "answer", moving)
    result = validate(ExpectMomentsToMatchMixture(mixture=ADDRESS, between=0.1), make_rows(KEYS[1]))
    assert result.success
    assert result.result["details"]["mixture"] == "models:/orders/1"


def test_the_suite_keeps_the_address_and_not_the_numbers(registry, tmp_path: Path) -> None:
    registry.point("orders", "champion", 1)
    made = gx.get_context(mode="file", project_root_dir=str(tmp_path))
    suite = made.suites.add(gx.ExpectationSuite(name="orders"))
    suite.add_expectation(ExpectValuesWithinMixtureBounds(mixture=ADDRESS))
    (written,) = tmp_path.rglob("orders.json")
    assert json.loads(written.read_text())["expectations"][0]["kwargs"]["mixture"] == ADDRESS
    (read,) = (
        gx.get_context(mode="file", project_root_dir=str(tmp_path))
        .suites.get("orders")
        .expectations
    )
    assert read.model.mixture.n_components == 3


@pytest.mark.parametrize(
    "address", ["models:/orders@nobody", "models:/nothing@champion", "models:/orders/latest"]
)
def test_an_address_without_a_version_is_the_users_mistake(registry, address) -> None:
    with pytest.raises(InvalidInput, match="mixture"):
        model_of(address)
