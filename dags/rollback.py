"""Go back to the champion of before, in one step: the form for a person.

Choose the stream and say why; name a version only when it should not be `previous`. The champion moves at
once and is then held: the nightly merges make versions and promote none. When the cause is mended, start
this DAG again and choose *end the hold* (or `blockmix resume STREAM`): the next merge may promote.

Reason and name stay in MLflow, as the tags `rolled_back` and `hold_ended` of the version that was taken back.

**A red `rollback`** says in its last line what is missing: a reason, a champion of before, or that somebody
moved the champion at the same time. Look at the aliases in MLflow, then clear it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task
from blockmix_dag import RETRIES, good_streams, stream_field
from blockmix_run import rollback_asked

STREAMS = {stream.name: stream for stream in good_streams()}

GO_BACK, END_HOLD = "go back", "end the hold"

FORM = {
    "action": Param(
        GO_BACK,
        type="string",
        enum=[GO_BACK, END_HOLD],
        title="What to do",
        description=(
            f"{GO_BACK}: the champion of before serves at once and is held there. "
            f"{END_HOLD}: merges may promote again; who serves does not change now."
        ),
    ),
    "why": Param(
        type="string",
        minLength=1,
        maxLength=500,
        title="Reason",
        description="What you saw. It is kept, with your name, on the version that is taken back.",
    ),
    "version": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Version",
        description="The one to go back to, when it is not the champion of before. Else leave it empty.",
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
        params={
            "stream": stream_field(list(STREAMS), "Whose champion is wrong."),
            **FORM,
        },
    ):

        @task
        def rollback(**context: Any) -> dict[str, Any]:
            return rollback_asked(STREAMS[context["params"]["stream"]], context).to_dict()

        rollback()


if STREAMS:
    blockmix_rollback()
