"""Ask a person about one version, and do what they say. Only for streams with `promotion.approval`.

| | |
|---|---|
| Starts | once per block key, when `<stream>_merge_window` has made a version; by hand |
| Asks | only where that version waits for a person's word; else both tasks are skipped |
| Gives | asset `<stream>_window_mixture` again, so that the block is scored with what serves now |
| Rerun | safe: the version is judged anew, and asked about only if there still is a question |

**`ask` waits** for an answer under *Required Actions*. Nothing waits with it: the champion scores the block,
and the next days are merged, judged and asked about for themselves. When an answer comes, the version is
judged again as things are then; what a newer champion has overtaken stays held, and the answer is told so.

**A red `ask` or `promote`** says in its last line what is missing, or that somebody moved an alias at the
same time: look at the aliases in MLflow, then clear it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task
from airflow.sdk.exceptions import AirflowSkipException
from blockmix_approval import Approval, answer_of
from blockmix_dag import (
    BLOCK_KEY,
    challenger_asset,
    dag_settings,
    good_streams,
    midnight,
    version_field,
    window_asset,
)
from blockmix_run import announce, run_verb

from gmm_core.pipeline.streams import Stream

OPEN = 32  # questions open at the same time
VERSION = version_field("Version to ask about, for a run by hand. Empty: the window's own.")


def approve(stream: Stream) -> None:
    """The DAG of one stream."""
    challengers, window = challenger_asset(stream), window_asset(stream)
    with DAG(
        f"{stream.name}_approve",
        schedule=PartitionedAssetTimetable(assets=challengers),
        start_date=midnight(stream.start),
        max_active_runs=OPEN,
        params=BLOCK_KEY | VERSION,
        **dag_settings(stream, __doc__, urgency=2),
    ):

        @task(outlets=[window], max_active_tis_per_dag=1)
        def promote(**context: Any) -> dict[str, Any]:
            said = answer_of(context)
            outcome = run_verb("promote", stream, context, **said)
            facts = outcome.facts
            if facts["serves"] == said["version"] != facts["champion"]:
                # An older window's: it would score its own block. The champion of then has done that.
                raise AirflowSkipException(facts["decision"])
            announce(context, window, outcome.key, facts["serves"])
            return outcome.to_dict()

        Approval(stream=stream, of=challengers) >> promote()


for declared in good_streams():
    if declared.promotion.approval != "never":
        approve(declared)
