"""The warehouse: runs the dbt project over a stream's scored rows, in process.

    <warehouse_root>/<stream>.duckdb   the tables; schemas staging, scoring, marts
    <warehouse_root>/<stream>.html     what they mean, once somebody asked for it
    <warehouse_root>/<stream>.dbt/     compiled SQL, dbt's parse, what the tables were built for

marts.py    `build_marts` and its answer, `document_marts`
place.py    a stream's files, the lock over them, and what they were built for
models.py   which tables there are, and what a build made of each
running.py  dbt in this process, its failures as text
queries.py  a mixture's queries as plain SQL, for engines that have no dbt

Importing this package does not import dbt: that takes seconds.
"""

from __future__ import annotations

from gmm_core.warehouse.marts import MartsBuilt, build_marts, document_marts
from gmm_core.warehouse.running import FailedTest

__all__ = ["FailedTest", "MartsBuilt", "build_marts", "document_marts"]
