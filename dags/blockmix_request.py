"""Ask for a range of blocks, with other fit settings if you like: the form for a person.

Fill in the stream, the first and the last day, and whatever should differ from the stream's own
settings. Every day becomes a run of `<stream>_fit_block`; the merged windows, the promoted model and
the scored rows follow as they do every night. Blocks that are there already with the same settings are
left as they are.

**A red `days`** says in its last line which field is wrong. **A red `start`** means that the
stream's DAG is paused; the link *Triggered DAG* leads to the run it started.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
from blockmix_dag import OVERRIDES, RETRIES, day_field, good_streams, stream_field
from blockmix_run import overrides, requested_days

STREAMS = {stream.name: stream for stream in good_streams()}


def blockmix_request() -> None:
    """The one DAG for all streams."""
    with DAG(
        "blockmix_request",
        schedule=None,
        max_active_runs=4,
        doc_md=__doc__,
        description="Ask for a range of blocks, with other fit settings if you like.",
        tags=["blockmix"],
        catchup=False,
        is_paused_upon_creation=False,
        default_args={"owner": "data-team", **RETRIES},
        params={
            "stream": stream_field(list(STREAMS), "Which stream the days are of."),
            "first_day": day_field("First day"),
            "last_day": day_field("Last day"),
            **OVERRIDES,
        },
    ):

        @task
        def days(**context: Any) -> list[dict[str, Any]]:
            asked = context["params"]
            keys = requested_days(STREAMS[asked["stream"]], asked["first_day"], asked["last_day"])
            prefix = context["run_id"]
            changes = {**overrides(context), "through": keys[-1]}
            return [
                {"trigger_run_id": f"{prefix}__{key}", "conf": {"block_key": key, **changes}}
                for key in keys
            ]

        TriggerDagRunOperator.partial(
            task_id="start",
            trigger_dag_id="{{ params.stream }}_fit_block",
            logical_date=None,
            reset_dag_run=True,
            fail_when_dag_is_paused=True,
            map_index_template="{{ task.conf['block_key'] }}",
        ).expand_kwargs(days())


if STREAMS:
    blockmix_request()
