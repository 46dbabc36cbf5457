"""The dbt models as tasks, at no cost: `build` builds them all, `marts` says how it went.

One process builds them, since DuckDB has one writer and dbt takes seconds to start (decision 8). The task
of a model is empty: Airflow turns it green without starting a process. Those that were not built, or that
a data test refused, are skipped by `build`; then `marts` is red and says why.

Not a DAG file itself (see `.airflowignore`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import TaskGroup
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped
from blockmix_run import run_verb

from gmm_core.errors import BlockmixError
from gmm_core.pipeline.streams import Stream
from gmm_core.warehouse.models import ModelBuilt, models

__all__ = ["build", "model_tasks", "verdict"]

BUILD, WHY, GROUP = "build", "why", "models"

_log = logging.getLogger("blockmix.marts")


def build(stream: Stream, context: Mapping[str, Any]) -> dict[str, Any]:
    """Build the marts; where a model was refused or left, skip its task and leave the reason to `verdict`.

    Raises what the verb raises when nothing was built at all: a locked warehouse, say.
    """
    told: list[ModelBuilt] = []
    try:
        return run_verb("marts", stream, context, tell=told.extend).to_dict()
    except BlockmixError as error:
        if not told:
            raise
        says = [line for one in told for line in one.says]
        _log.error("%s", "\n".join(says))
        context["ti"].xcom_push(key=WHY, value="\n".join((str(error), *says)))
        raise DownstreamTasksSkipped(tasks=_not_built(told)) from None


def verdict(context: Mapping[str, Any]) -> dict[str, Any]:
    """What the build answered; fails with the reason when a model was refused."""
    if why := context["ti"].xcom_pull(task_ids=BUILD, key=WHY):
        raise AirflowFailException(why)
    answer: dict[str, Any] = context["ti"].xcom_pull(task_ids=BUILD)
    return answer


def model_tasks() -> TaskGroup:
    """A task for each model, in a group for each layer; to stand between `build` and `marts`."""
    with TaskGroup(GROUP, tooltip="what the build made of each dbt model") as group:
        for layer, names in models().items():
            with TaskGroup(layer):
                for name in names:
                    EmptyOperator(task_id=name)
    return group


def _not_built(told: Iterable[ModelBuilt]) -> list[str]:
    built = {one.name for one in told if one.state == "built"}
    return [
        f"{GROUP}.{layer}.{name}"
        for layer, names in models().items()
        for name in names
        if name not in built
    ]
