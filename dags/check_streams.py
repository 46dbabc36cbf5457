"""Shows every wrong stream file as one Airflow import error; holds no DAG of its own.

The other DAG files leave wrong streams out, so the DAGs of the right ones stay alive.
"""

from __future__ import annotations

from blockmix_dag import bad_streams

from gmm_core.errors import InvalidStream

if problems := bad_streams():
    raise InvalidStream("\n".join(str(problem) for problem in problems)) from None
