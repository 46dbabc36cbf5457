"""Another team's DAG: when baskets have a new model of a day, list that day's most unusual rows.

It waits on the partition of the model's asset, and knows of Blockmix the asset's name, the stream's
name and where MLflow is. The event says which version to use, so that no alias is asked; a run that
somebody starts by hand, for a day of his choice, has no event and takes the champion.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from airflow.sdk import DAG, Asset, Param, PartitionedAssetTimetable, task

STREAM = os.environ.get("REPORT_STREAM", "baskets")
WINDOW = Asset(f"{STREAM}_window_mixture", f"blockmix://{STREAM}/window_mixture", group="blockmix")

with DAG(
    f"{STREAM}_report_unusual",
    schedule=PartitionedAssetTimetable(assets=WINDOW),
    start_date=dt.datetime(2017, 1, 1, tzinfo=dt.UTC),
    is_paused_upon_creation=False,
    catchup=False,
    doc_md=__doc__,
    params={
        "rows": Param("/data/{key}.parquet", type="string", description="rows of a day"),
        "most": Param(10, type="integer", minimum=1, description="rows to list"),
        "day": Param("", type="string", description="day of a run that is started by hand"),
    },
):

    @task
    def report(**context: Any) -> list[dict[str, Any]]:
        """The most unusual rows of the partition's day, in words, by the version of the event."""
        import mlflow
        import pandas as pd

        asked = context["params"]
        key = context["partition_key"] or asked["day"]
        events = context["triggering_asset_events"].get(WINDOW)
        if events:
            version = max(events, key=lambda event: event.timestamp).extra["version"]
        else:
            version = mlflow.MlflowClient().get_model_version_by_alias(STREAM, "champion").version
        model = mlflow.pyfunc.load_model(f"models:/{STREAM}/{version}")
        rows = pd.read_parquet(asked["rows"].format(key=key))
        names = model.metadata.signature.inputs.input_names()
        parts = [
            model.predict(rows[names], params={"output": output})
            for output in ("score", "tail_probability", "explanation")
        ]
        unusual = pd.concat([rows[names], *parts], axis=1).nsmallest(
            asked["most"], "tail_probability"
        )
        return unusual.assign(version=int(version), block_key=key).to_dict("records")

    report()
