"""examples/dags/report_unusual.py: it waits for the asset that the pipeline gives, and uses its version."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from orders import declaration

PROJECT = Path(__file__).resolve().parents[2]
KEY = "2024-05-03"
PROGRAM = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.utils.db import initdb

initdb()
folder, asked = sys.argv[1:]
dag = BundleDagBag(folder, bundle_path=folder, bundle_name="tests").dags["orders_report_unusual"]
run = dag.test(run_conf=json.loads(asked))
found = run.get_task_instance("report").xcom_pull(task_ids="report")
print("RESULT" + json.dumps([str(run.state), found]))
"""


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """The example's DAGs and the pipeline's, parsed as the DAG processor does, for the stream `orders`."""
    import yaml

    home = tmp_path_factory.mktemp("airflow")
    (home / "orders.yaml").write_text(yaml.safe_dump(declaration()))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "BLOCKMIX_STREAMS": str(home), "BLOCKMIX_HOME": str(home / "home"),
            "REPORT_STREAM": "orders",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        from airflow.dag_processing.dagbag import BundleDagBag

        folders = [PROJECT / "examples" / "dags", PROJECT / "dags"]
        yield tuple(BundleDagBag(str(one), bundle_path=one, bundle_name="tests") for one in folders)


def test_it_waits_for_what_the_pipelines_promote_gives(bags):
    example, pipeline = bags
    assert example.import_errors == {}
    waited = example.dags["orders_report_unusual"].timetable.asset_condition
    [given] = pipeline.dags["orders_merge_window"].get_task("promote").outlets
    assert (waited.name, waited.uri, waited.group) == (given.name, given.uri, given.group)
    assert type(example.dags["orders_report_unusual"].timetable).__name__ == (
        type(pipeline.dags["orders_transform"].timetable).__name__
    )


def test_its_task_lists_the_most_unusual_rows_by_the_version_of_the_event(bags, registered):
    waited = bags[0].dags["orders_report_unusual"].timetable.asset_condition
    report = bags[0].dags["orders_report_unusual"].get_task("report").python_callable
    moments = [dt.datetime(2024, 5, 4, hour, tzinfo=dt.UTC) for hour in (1, 2)]
    events = [
        types.SimpleNamespace(timestamp=at, extra={"version": version})
        for at, version in zip(moments, (99, 1), strict=True)
    ]
    file = str(registered.file).replace(KEY, "{key}")
    context = {
        "partition_key": KEY,
        "params": {"rows": file, "most": 3, "day": ""},
        "triggering_asset_events": {waited: events},
    }
    mlflow.set_tracking_uri(registered.uri)
    try:
        found = report(**context)
    finally:
        mlflow.set_tracking_uri(None)
    assert [row["version"] for row in found] == [1, 1, 1]
    assert found[0]["price"] == 40_000
    assert "price 4e+04 is" in found[0]["explanation"]
    tails = [row["tail_probability"] for row in found]
    model = registered.model
    every = model.output(registered.rows, "tail_probability")["tail_probability"]
    np.testing.assert_allclose(tails, np.sort(every)[:3])


@pytest.mark.system
def test_a_run_started_by_hand_takes_the_champion(registered, tmp_path):
    """A whole run on an Airflow of its own; such a run has no partition and no event."""
    asked = {"rows": str(registered.file).replace(KEY, "{key}"), "most": 2, "day": KEY}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PROJECT / "examples" / "dags"), json.dumps(asked)],
        env={
            **os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "examples" / "dags"), "REPORT_STREAM": "orders",
            "MLFLOW_TRACKING_URI": registered.uri,
        },
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    state, found = json.loads(line.removeprefix("RESULT"))
    assert state == "success"
    assert [row["version"] for row in found] == [1, 1]
    assert {row["block_key"] for row in found} == {KEY}
    assert found[0]["price"] == 40_000
