"""Measures, promotion and rollback through the verbs, with a real MLflow behind them."""

from __future__ import annotations

from dataclasses import replace

from orders import KEYS, make_rows, run_day

from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge, promote, resume, rollback
from gmm_core.registry.mlflow_registry import MlflowRegistry


def test_what_was_measured_decided_and_taken_back(database, stream):
    small = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    stream = Stream.model_validate({**stream.model_dump(mode="json"), **small})
    registry = MlflowRegistry(database)
    at = replace(
        memory_services({key: make_rows(key, n=150) for key in KEYS[:3]}), registry=registry
    )
    for key in KEYS[:2]:
        assert run_day(stream, key, at) == [True] * 5
    assert run_day(stream, KEYS[1], at) == [False] * 5
    client = registry._mlflow.client
    found = client.get_model_version(stream.name, "2")
    metrics = client.get_run(found.run_id).data.metrics
    assert metrics["loads_back"] == 1
    assert {"silhouette", "centroid_drift", "window_divergence", "next_day_log_likelihood"} <= (
        metrics.keys()
    )
    assert rollback(stream, at, why="too many anomalies", by="ann").changed
    for verb in (land, fit):
        verb(stream, KEYS[2], at)
    version = merge(stream, KEYS[2], at).facts["version"]
    held = promote(stream, KEYS[2], at, version)
    assert "ann went back from version 2" in held.facts["decision"]
    aliases = {name: registry.alias(stream.name, name).version for name in ("champion", "previous")}
    assert aliases == {"champion": 1, "previous": 2}
    assert registry.version(stream.name, 2).tags["rolled_back"] == "ann: too many anomalies"
    assert resume(stream, at).changed
    assert promote(stream, KEYS[2], at, version).changed
    assert registry.alias(stream.name, "champion").version == version
