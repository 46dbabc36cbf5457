"""An Airflow scheduler whose tasks start warm.

The local executor forks its tasks off the scheduler. What the scheduler has imported, a task finds
ready: without this, every task would spend seconds of CPU on importing Great Expectations, MLflow,
dbt or pyspark anew. Only modules are loaded here; no connection, no thread, no Java machine.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["WARM", "main"]

WARM = (
    "airflow.sdk.execution_time.task_runner",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "expectations.gate",
    "expectations.pages",
    "expectations.suites",
    "gmm_core.pipeline.lake",
    "gmm_core.pipeline.wiring",
    "gmm_core.registry.mlflow_registry",
    "gmm_core.spark.engine",
    "mlflow.pyfunc",
    "mlflow.store.tracking.rest_store",
    "pyspark.sql.connect.session",
)


def main() -> None:
    """Load the modules, then be `airflow scheduler`."""
    for name in WARM:
        importlib.import_module(name)
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", "scheduler", "--skip-serve-logs"]
    airflow()


if __name__ == "__main__":
    main()
