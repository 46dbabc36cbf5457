"""Runs of a stream's experiment, written with a client of their own and ended whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gmm_core.errors import ServiceUnavailable
from gmm_core.registry.connection import Connection

__all__ = ["Runs"]


class Runs:
    """Experiments by stream name, and what is written into their runs.

    Nothing here reads or changes MLflow's process-wide "active run" and tracking address, so that
    several registries can live in one process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._experiments: dict[str, str] = {}

    def experiment(self, stream: str) -> str:
        """Id of the stream's experiment, made when it is not there."""
        if stream not in self._experiments:
            self._experiments[stream] = self._find_or_make(stream)
        return self._experiments[stream]

    def finished(self, stream: str, tags: dict[str, str]) -> tuple[str, dict[str, str]] | None:
        """Id and tags of the newest finished run with these tags; the caller has checked them."""
        conditions = [f"tags.{name} = '{value}'" for name, value in tags.items()]
        found = self._connection.client.search_runs(
            [self.experiment(stream)],
            " and ".join(["attributes.status = 'FINISHED'", *conditions]),
            max_results=1,
        )
        return (found[0].info.run_id, dict(found[0].data.tags)) if found else None

    @contextmanager
    def run(self, stream: str, name: str, tags: dict[str, str]) -> Iterator[str]:
        """Id of a new run that ends FINISHED, or FAILED when the body raises."""
        client = self._connection.client
        made = client.create_run(self.experiment(stream), tags=tags, run_name=name)
        run_id: str = made.info.run_id
        try:
            yield run_id
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")

    def log(
        self,
        run_id: str,
        metrics: dict[str, float],
        params: dict[str, str],
        tags: dict[str, str],
        model_id: str | None = None,
    ) -> None:
        """Write metrics, parameters and tags in one call; metrics also at the model when given."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self._connection.client.log_batch(
            run_id,
            [Metric(name, value, now, 0, model_id=model_id) for name, value in metrics.items()],
            [Param(name, value) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )

    def _find_or_make(self, stream: str) -> str:
        from mlflow.exceptions import MlflowException

        client = self._connection.client
        found = client.get_experiment_by_name(stream)
        if found is None:
            try:
                client.create_experiment(stream, self._connection.artifact_location(stream))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                    raise
            found = client.get_experiment_by_name(stream)
        if found is None or found.lifecycle_stage != "active":
            number = "ID" if found is None else found.experiment_id
            raise ServiceUnavailable(
                f"the MLflow experiment {stream} was deleted",
                remedy=f"restore it: mlflow experiments restore --experiment-id {number}",
            )
        return str(found.experiment_id)
