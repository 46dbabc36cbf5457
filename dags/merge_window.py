"""Merge the window that ends at one block, and promote the result.

| | |
|---|---|
| Starts | once per block key, when `<stream>_fit_block` gives that block's mixture; by hand |
| Window | the newest present blocks up to the key, as many as the stream's `window.blocks` |
| Gives | a version of the MLflow model `<stream>`; asset `<stream>_window_mixture`, partition = block key |
| Rerun | safe: a window with the same blocks and settings is not registered twice |

One run at a time per stream, since it moves the aliases `challenger`, `champion` and `previous`.

**A red `merge`** means that the model gate refused the window mixture, or that the window has too few
blocks: the champion stays. *Data Docs* shows the report, the log its last line.

**`promote` says held** when the champion knows later blocks (filling in the past never moves consumers
back), does better on rows that neither saw, or is held by a rollback. To go back start `blockmix_rollback`.

Where a person is to be asked it says so; `<stream>_approve` asks, and no run here waits for the answer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task
from blockmix_dag import (
    BLOCK_KEY,
    OVERRIDES,
    block_asset,
    challenger_asset,
    dag_settings,
    good_streams,
    midnight,
    window_asset,
)
from blockmix_run import announce, overrides, run_verb

from gmm_core.pipeline.streams import Stream


def merge_window(stream: Stream) -> None:
    """The DAG of one stream."""
    blocks, window = block_asset(stream), window_asset(stream)
    asking = [challenger_asset(stream)] if stream.promotion.approval != "never" else []
    with DAG(
        f"{stream.name}_merge_window",
        schedule=PartitionedAssetTimetable(assets=blocks),
        start_date=midnight(stream.start),
        max_active_runs=1,
        params=BLOCK_KEY | OVERRIDES,
        **dag_settings(stream, __doc__, urgency=2),
    ):

        @task
        def merge(**context: Any) -> dict[str, Any]:
            wanted = stream.with_overrides(**overrides(context, blocks))
            return run_verb("merge", wanted, context).to_dict()

        @task
        def react(merged: dict[str, Any], **context: Any) -> dict[str, Any]:
            reacted = run_verb("react", stream, context).facts
            return {"facts": {"version": reacted.get("asks", merged["facts"]["version"])}}

        @task(outlets=[window, *asking])
        def promote(merged: dict[str, Any], **context: Any) -> dict[str, Any]:
            version = merged["facts"]["version"]
            outcome = run_verb("promote", stream, context, version=version)
            announce(context, window, outcome.key, outcome.facts["serves"])
            for challengers in asking:
                announce(context, challengers, outcome.key, version)
            return outcome.to_dict()

        merged = merge()
        if stream.triggers.on_drift != "nothing":
            merged = react(merged)
        promote(merged)


for declared in good_streams():
    merge_window(declared)
