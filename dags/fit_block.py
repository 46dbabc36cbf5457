"""Land and fit one block: source rows into the lake, block mixture out of them.

| | |
|---|---|
| Starts | every day at 00:00 UTC for the day that has just ended; by a backfill; by hand |
| Block | the run's partition key, else the parameter `block_key` |
| Gives | asset `<stream>_block_mixture`, one partition per block; it starts `<stream>_merge_window` |
| Rerun | safe: a block whose rows and settings did not change is left as it is |

**A red `land` or `fit`** means that a gate put the block in quarantine. The last line of the log says
which check failed, with value and bound; the link *Data Docs* under *Details* shows the report. The
window goes on without the block, or with the delivery it had before. Repair the source, then clear
`land` and what follows: the windows the block belongs to follow.

**Up for retry** means that a service did not answer; nothing to do unless the last try fails as well.

A block that arrives late, or again with other rows, is merged into every window that holds it, and no other.
Give a run by hand no logical date: one after a finished stream's end ends green without a task.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, chain, task
from blockmix_dag import (
    BLOCK_KEY,
    KEY_FORMAT,
    OVERRIDES,
    THROUGH,
    block_asset,
    dag_settings,
    good_streams,
    midnight,
)
from blockmix_run import overrides, run_verb, settings_to_tell, windows_of
from blockmix_submit import submitted

from gmm_core.pipeline.streams import Stream

AT_ONCE = 4  # blocks landed or fitted at the same time, whatever started them


def fit_block(stream: Stream) -> None:
    """The DAG of one stream."""
    asset = block_asset(stream)
    # The run after the last day is the last one; a backfill of past blocks is not bound by it.
    end = midnight(stream.end + dt.timedelta(days=1)) if stream.end else None
    with DAG(
        f"{stream.name}_fit_block",
        schedule=CronPartitionTimetable(
            "0 0 * * *", timezone="UTC", run_offset=-1, key_format=KEY_FORMAT
        ),
        start_date=midnight(stream.start),
        end_date=end,
        max_active_runs=AT_ONCE,
        params=BLOCK_KEY | THROUGH | OVERRIDES,
        **dag_settings(stream, __doc__, urgency=1),
    ):

        @task(max_active_tis_per_dag=AT_ONCE)
        def land(**context: Any) -> dict[str, Any]:
            return run_verb("land", stream, context).to_dict()

        @task(max_active_tis_per_dag=AT_ONCE, outlets=[asset])
        def fit(**context: Any) -> dict[str, Any]:
            wanted = stream.with_overrides(**overrides(context))
            outcome = run_verb("fit", wanted, context)
            event = context["outlet_events"][asset]
            event.extra = settings_to_tell(context)
            again = outcome.changed or context["ti"].try_number > 1
            event.add_partitions(windows_of(stream, outcome.key) if again else outcome.key)
            return outcome.to_dict()

        chain(land(), *submitted(stream, AT_ONCE), fit())


for declared in good_streams():
    fit_block(declared)
