"""Plugs the real adapters into the ports. The one place that knows them all.

Adapters are opened on first use, so a task pays only for what it touches: merging never starts
Spark, landing never imports MLflow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gmm_core.config import Settings, load_settings
from gmm_core.errors import OutputRefused
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import Outcome

if TYPE_CHECKING:
    from gmm_core.pipeline.ports import BlockEngine, BlockStore, Gate, ModelRegistry
    from gmm_core.spark.engine import SparkEngine
    from gmm_core.warehouse.models import ModelBuilt

__all__ = ["Installation", "build_marts", "document_marts", "generate", "open_services"]


class Installation:
    """The services of one installation: Spark, the lake, MLflow, Great Expectations."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def engine(self) -> BlockEngine:
        return _spark_engine(self.settings)

    @cached_property
    def store(self) -> BlockStore:
        from gmm_core.pipeline.lake import Lake

        return Lake(self.settings.lake_url)

    @cached_property
    def registry(self) -> ModelRegistry:
        from gmm_core.registry.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.settings.mlflow_uri, ui_url=self.settings.mlflow_page)

    @cached_property
    def gate(self) -> Gate:
        from expectations.gate import ExpectationsGate

        return ExpectationsGate(self.settings.quality_root, docs_url=self.settings.data_docs_ui)


def open_services(settings: Settings | None = None) -> Installation:
    """The services named by the settings, or by the environment."""
    return Installation(settings or load_settings())


def build_marts(
    stream: Stream,
    key: str | None,
    settings: Settings | None = None,
    *,
    tell: Callable[[tuple[ModelBuilt, ...]], object] = lambda models: None,
) -> Outcome:
    """Run dbt for one block of a stream, or for all of them with `key=None`.

    `tell` hears what became of each model, however the build ends.

    Raises `OutputRefused` when a data test found rows it should not find.
    """
    from gmm_core.warehouse import build_marts as build

    settings = settings or load_settings()
    built = build(stream, key, settings.lake_url, settings.warehouse_root, tell)
    scope = built.key or "all"
    if not built.passed:
        raise OutputRefused(
            f"the data tests refused the marts of {stream.name} {scope} ({built.reason})",
            remedy="read the compiled SQL it names; the transformed rows are as they were",
        )
    facts = {
        "models": built.models,
        "tests": built.tests,
        "warnings": len(built.warnings),
        "seconds": round(built.seconds, 2),
    }
    return Outcome("marts", stream.name, scope, True, facts)


def document_marts(stream: Stream, settings: Settings | None = None) -> Path:
    """Write the documentation of a stream's tables, one HTML file; its path."""
    from gmm_core.warehouse import document_marts as document

    settings = settings or load_settings()
    return document(stream, settings.lake_url, settings.warehouse_root)


def generate(
    name: str, rows: int, days: int, target: str, seed: int, settings: Settings | None = None
) -> Outcome:
    """Write made-up transactions with a known truth, and a file that declares them as a stream.

    Raises `InvalidInput` when the folder `target` is there already, or a number is out of bounds.
    """
    engine = _spark_engine(settings or load_settings())
    file = engine.generate(name, target, rows, days=days, seed=seed)
    return Outcome("generate", name, f"{days} days", True, {"rows": rows, "stream_file": file})


def _spark_engine(settings: Settings) -> SparkEngine:
    from gmm_core.spark.engine import SparkEngine

    return SparkEngine(
        remote=settings.spark_remote,
        master=settings.spark_master,
        conf=settings.spark_conf,
        jars=settings.spark_jars,
    )
