"""Go back to the champion of before, in one step: the form for a person.

Fill in the stream and the reason; a version only when it should not be `previous`. The champion moves at
once, the version that was taken back carries the reason, and merges promote nothing until a run of
this DAG with *End the hold* ticked, or `blockmix resume`.

**A red `rollback`** says in its last line what is missing: a reason, a champion of before, or that somebody
moved the champion at the same time. Look at the aliases in MLflow, then clear it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task
from blockmix_dag import RETRIES, good_streams, stream_field
from blockmix_run import rollback_asked

STREAMS = {stream.name: stream for stream in good_streams()}

FORM = {
    "why": Param("", type="string", maxLength=500, title="Reason", description="Recorded."),
    "version": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Version",
        description="To go back to. Empty: the champion of before.",
    ),
    "resume": Param(
        False,
        type="boolean",
        title="End the hold",
        description="Let merges promote again, and change nothing else.",
    ),
}


def blockmix_rollback() -> None:
    """The one DAG for all streams."""
    with DAG(
        "blockmix_rollback",
        schedule=None,
        max_active_runs=1,
        doc_md=__doc__,
        description="Go back to the champion of before, in one step.",
        tags=["blockmix"],
        catchup=False,
        is_paused_upon_creation=False,
        default_args={"owner": "data-team", **RETRIES},
        params={"stream": stream_field(list(STREAMS)), **FORM},
    ):

        @task
        def rollback(**context: Any) -> dict[str, Any]:
            return rollback_asked(STREAMS[context["params"]["stream"]], context).to_dict()

        rollback()


if STREAMS:
    blockmix_rollback()
