"""Metrics of versions, tags of versions, and notes of a registered model, in MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gmm_core.errors import NotFound
from gmm_core.registry.connection import Connection

__all__ = ["Notes"]

_PREFIX = "blockmix."  # other tags of the registered model are its owner's


class Notes:
    """What is said of versions and registered models after they were made."""

    def __init__(self, connection: Connection) -> None:
        self._mlflow = connection

    def measure(self, stream: str, version: int, values: Mapping[str, float], step: int) -> None:
        """Add metrics to the run and the logged model of a version, in one call."""
        from mlflow.entities import Metric

        client, now = self._mlflow.client, int(time.time() * 1000)
        with self._mlflow.asking(f"measure version {version} of {stream}"):
            run_id = str(client.get_model_version(stream, str(version)).run_id)
            # The version itself does not know its logged model where artifacts go through no server.
            outputs = client.get_run(run_id).outputs
            models = outputs.model_outputs if outputs else []
            model_id = models[0].model_id if models else None
            metrics = [
                Metric(name, float(value), now, step, model_id=model_id)
                for name, value in values.items()
            ]
            client.log_batch(run_id, metrics)

    def annotate(self, stream: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""
        with self._mlflow.asking(f"tag version {version} of {stream}"):
            for name, text in tags.items():
                self._mlflow.client.set_model_version_tag(stream, str(version), name, text)

    def read(self, stream: str) -> dict[str, str]:
        """The notes of a registered model by name; none when there is no such model."""
        try:
            with self._mlflow.asking(f"read the notes of {stream}"):
                tags = self._mlflow.client.get_registered_model(stream).tags
        except NotFound:
            return {}
        return {
            name.removeprefix(_PREFIX): text
            for name, text in tags.items()
            if name.startswith(_PREFIX)
        }

    def write(self, stream: str, name: str, text: str | None) -> None:
        """Note something of a registered model, or with `None` strike it; raises `NotFound`."""
        client = self._mlflow.client
        with self._mlflow.asking(f"note {name} of {stream}"):
            if text is not None:
                client.set_registered_model_tag(stream, f"{_PREFIX}{name}", text)
            elif f"{_PREFIX}{name}" in client.get_registered_model(stream).tags:
                client.delete_registered_model_tag(stream, f"{_PREFIX}{name}")
