"""The task that submits a block fit to Spark, through Airflow's Spark provider.

Not a DAG file itself (see `.airflowignore`). Only for installations that name a connection in
`BLOCKMIX_SPARK_CONNECTION`; the others fit inside the task, and never import the provider.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gmm_core.config import load_settings
from gmm_core.pipeline.streams import Stream

if TYPE_CHECKING:
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

__all__ = ["submitted"]

APPLICATION = Path(__file__).resolve().parents[1] / "deploy" / "submit" / "fit.py"


def submitted(stream: Stream, at_once: int) -> list[SparkSubmitOperator]:
    """The task `submit`, whose answer the task `fit` takes; none where fits are not submitted."""
    settings = load_settings()
    if not settings.spark_connection:
        return []
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    arguments = {
        "--stream": stream.name,
        "--key": "{{ dag_run.partition_key or params.block_key }}",
        "--k": "{{ params.k or '' }}",
        "--covariance-type": "{{ params.covariance_type or '' }}",
        "--ticket": "{{ run_id }}",
    }
    task = SparkSubmitOperator(
        task_id="submit",
        conn_id=settings.spark_connection,
        application=str(APPLICATION),
        application_args=[part for pair in arguments.items() for part in pair],
        name=f"blockmix-{stream.name}-fit",
        properties_file=str(settings.spark_conf),
        jars=settings.spark_jars or None,
        env_vars={"PYSPARK_DRIVER_PYTHON": sys.executable},
        durable=False,  # an application that was lost sight of is submitted again: a fit can be
        max_active_tis_per_dag=at_once,
    )
    return [task]
