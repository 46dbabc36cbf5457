"""Imports everything a task of the pipeline may need; for a process that tasks are forked from.

Great Expectations, MLflow, dbt and pyspark cost seconds of CPU to import. Airflow's fork server
pays once when `[core] mp_forkserver_preload` names this module, and a task finds them ready.
Modules only: no connection, no thread, no Java machine.
"""

from __future__ import annotations

import importlib

__all__ = ["MODULES"]

MODULES = (
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "expectations.gate",
    "expectations.pages",
    "expectations.suites",
    "gmm_core.pipeline.lake",
    "gmm_core.pipeline.wiring",
    "gmm_core.registry.mlflow_registry",
    "gmm_core.spark.engine",
    "gmm_core.warehouse.marts",
    "mlflow.pyfunc",
    "mlflow.store.tracking.rest_store",
    "pyspark.sql.connect.session",
)
for _name in MODULES:
    importlib.import_module(_name)
