"""Normalise and score one block with a pinned model version, then build the marts.

| | |
|---|---|
| Starts | once per block key, when `<stream>_merge_window` promotes a window mixture; by hand |
| Model | the version that event names; by hand the parameter `version`, else the champion |
| Gives | transformed Parquet in the lake and the dbt marts, each row with its model version |
| Rerun | safe: the block's rows are replaced in one step, or left when nothing changed |

The marts of one block at a time per stream, since DuckDB has one writer: `build` builds them, and the
tasks of the group `models` show what it made of each dbt model, with its data tests.

**A red `transform`** means that the output gate refused the rows: they are in quarantine, the rows
of before stay readable. *Data Docs* shows the report. Merge the window again or repair the block,
then clear the task.

**A red `marts`** is a failed dbt test: its log names it, and the skipped tasks in `models` are what it
refused or left as it was. **A red `build`** is a locked warehouse. Repair the block, or close what holds
the file open, then clear `build` and what is behind it: clearing a model alone builds nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, TriggerRule, task
from blockmix_dag import (
    BLOCK_KEY,
    dag_settings,
    good_streams,
    midnight,
    version_field,
    window_asset,
)
from blockmix_marts import build, model_tasks, verdict
from blockmix_run import event_extra, run_verb

from gmm_core.pipeline.streams import Stream

AT_ONCE = 2  # blocks transformed at the same time

VERSION = version_field("Version to score with, for a run by hand. Empty: the champion.")


def transform_block(stream: Stream) -> None:
    """The DAG of one stream."""
    window = window_asset(stream)
    with DAG(
        f"{stream.name}_transform",
        schedule=PartitionedAssetTimetable(assets=window),
        start_date=midnight(stream.start),
        max_active_runs=AT_ONCE,
        params=BLOCK_KEY | VERSION,
        **dag_settings(stream, __doc__, urgency=3),
    ):

        @task
        def transform(**context: Any) -> dict[str, Any]:
            version = context["params"]["version"] or event_extra(context, window).get("version")
            return run_verb("transform", stream, context, version=version).to_dict()

        @task(task_id="build", max_active_tis_per_dag=1)
        def built(**context: Any) -> dict[str, Any]:
            return build(stream, context)

        @task(trigger_rule=TriggerRule.NONE_FAILED)
        def marts(**context: Any) -> dict[str, Any]:
            return verdict(context)

        transform() >> built() >> model_tasks() >> marts()


for declared in good_streams():
    transform_block(declared)
