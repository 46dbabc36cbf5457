"""The gate on Spark Connect frames: the same answers as on pandas, at a known price in Spark jobs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from orders import KEYS, make_rows

from demo.services import free_ports
from expectations import ExpectationsGate
from gmm_core.errors import ServiceUnavailable
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.session import server_command, server_environment, session

KEY = KEYS[3]

Jobs = Callable[[], int]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A Spark Connect server on loopback: its address, and that of its pages, which count jobs."""
    folder = tmp_path_factory.mktemp("server")
    port, ui = free_ports({"server": 15222, "pages": 15226}).values()
    *command, resource = server_command(port, master="local[1]")
    pages = ["--conf", "spark.ui.enabled=true", "--conf", f"spark.ui.port={ui}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *pages, resource],
            env=os.environ | server_environment(),
            cwd=folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}", f"http://127.0.0.1:{ui}/api/v1/applications"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def spark(server: tuple[str, str]) -> Iterator[Any]:
    made = session(server[0])
    yield made
    made.stop()


@pytest.fixture(scope="module")
def jobs(server: tuple[str, str]) -> Jobs:
    """How many jobs the server has finished so far."""

    def get(path: str) -> Any:
        with urllib.request.urlopen(server[1] + path) as answer:
            return json.load(answer)

    name = get("")[0]["id"]

    def count() -> int:
        seen = -1
        while True:  # the server's books lag behind its answers
            listed = get(f"/{name}/jobs")
            if len(listed) == seen and all(job["status"] != "RUNNING" for job in listed):
                return seen
            seen = len(listed)
            time.sleep(0.5)

    return count


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> ExpectationsGate:
    """Takes every frame of more than ten rows for a large one."""
    return ExpectationsGate(tmp_path_factory.mktemp("large"), in_process=10)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, spark: Any) -> Callable[[pd.DataFrame], Any]:
    """Rows as the lake holds them, read by Spark."""

    def write(rows: pd.DataFrame) -> Any:
        path = tmp_path_factory.mktemp("rows") / "part-0.parquet"
        moments = rows.event_time.dt.tz_localize("UTC").astype("datetime64[us, UTC]")
        rows.assign(event_time=moments).to_parquet(path, index=False)
        frame = spark.read.parquet(str(path))
        assert frame.schema  # reading it from the file is a job of its own, and not the gate's
        return frame

    return write


def verdicts(report: GateReport) -> list[tuple[str, bool, str]]:
    """Without what a type is called, which differs from engine to engine."""
    numeric = (": numeric", ": a timestamp")
    return [
        (check.name, check.passed, "" if check.name.endswith(numeric) else check.got)
        for check in report.checks
    ]


def test_good_rows_cost_one_job_when_few(
    gate: ExpectationsGate, stream: Stream, written, jobs: Jobs
) -> None:
    frame, before = written(make_rows(KEY)), jobs()
    report = gate.check_rows(stream, KEY, frame)
    assert report.passed, report.reason
    assert jobs() - before == 1


def test_many_rows_stay_in_spark_and_get_the_same_answer(
    gate: ExpectationsGate, large: ExpectationsGate, stream: Stream, written, jobs: Jobs
) -> None:
    rows = make_rows(KEY)
    frame, before = written(rows), jobs()
    report = large.check_rows(stream, KEY, frame)
    made = jobs() - before
    assert report.passed, report.reason
    assert verdicts(report) == verdicts(gate.check_rows(stream, KEY, rows))
    # One look at how many there are, three aggregates of two stages each, 2d + 2 searches.
    assert made == 1 + 3 * 2 + 2 * len(stream.features) + 2
    # The page says so too: the whole block was looked at, in Spark.
    assert "spark-block" in report.page


def test_bad_rows_get_the_same_answer_in_spark(
    gate: ExpectationsGate, large: ExpectationsGate, stream: Stream, written
) -> None:
    bad = make_rows(KEY)
    bad.loc[:99, "price"] = 120_000.0
    bad.loc[:9, "delay"] = float("nan")
    bad.loc[390:, "event_time"] += pd.Timedelta(days=1)
    bad["rating"] = bad["rating"].map("{:.3f} stars".format)
    reports = [one.check_rows(stream, KEY, written(bad)) for one in (gate, large)]
    reports.append(gate.check_rows(stream, KEY, bad))
    assert verdicts(reports[0]) == verdicts(reports[1]) == verdicts(reports[2])
    checks = {check.name: check.got for check in reports[1].failures}
    assert checks["price: between 0.01 and 10000 dollars"] == "25.0 % outside, e.g. 120000"
    assert checks["delay: present"] == "2.5 % missing (10 of 400 rows)"
    assert checks[f"event_time: inside {KEY} UTC"].startswith("2.5 % outside, e.g. 2024-05-05 23:")
    assert checks["rating: numeric"] == "string"


def test_transformed_rows_cost_one_job_when_few_and_one_more_when_many(
    gate: ExpectationsGate, large: ExpectationsGate, stream, model: DensityModel, transformed,
    written, jobs: Jobs,
) -> None:  # fmt: skip
    rows = transformed(model, make_rows(KEY))
    expected = gate.check_transformed(stream, KEY, rows, model)
    for one, price in ((gate, 1), (large, 2)):
        frame, before = written(rows), jobs()
        report = one.check_transformed(stream, KEY, frame, model)
        assert report.passed, report.reason
        assert report.checks == expected.checks
        assert jobs() - before == price


def test_cents_and_tampering_are_refused_in_spark(
    large: ExpectationsGate, stream: Stream, model: DensityModel, transformed, written
) -> None:
    rows = make_rows(KEY)
    bad = transformed(model, rows.assign(price=rows.price * 100))
    bad.loc[7, "delay_normalised"] += 1e-7
    report = large.check_transformed(stream, KEY, written(bad), model)
    assert {check.name for check in report.failures} == {
        "price: mean plausible",
        "log_prob plausible",
        "delay: restored",
    }


def test_what_spark_cannot_answer_is_no_verdict(
    gate: ExpectationsGate, stream: Stream, spark: Any, tmp_path: Path
) -> None:
    make_rows(KEY)[["price", "delay", "rating"]].to_parquet(tmp_path / "part-0.parquet")
    frame = spark.read.parquet(str(tmp_path))
    assert frame.columns == ["price", "delay", "rating"]
    (tmp_path / "part-0.parquet").unlink()
    with pytest.raises(ServiceUnavailable, match=f"the rows gate about block {KEY}"):
        gate.check_rows(stream, KEY, frame)


def test_expectations_about_mixtures_cost_one_job_each_and_answer_as_on_pandas(
    stream: Stream, model: DensityModel, transformed, spark: Any, jobs: Jobs
) -> None:
    import great_expectations as gx

    import expectations

    rows = make_rows(KEY)
    scored = transformed(model, rows)
    reference = [expectations.score_cells(model, make_rows(key)) for key in KEYS[:3]]
    asked = {
        "Moments to match": (expectations.ExpectMomentsToMatchMixture(mixture=model), rows),
        "values": (expectations.ExpectValuesWithinMixtureBounds(mixture=model), rows),
        "scores": (
            expectations.ExpectScoresToMatchReference(
                mixture=model, reference=reference, draws=200
            ),
            rows,
        ),
        "round trip": (expectations.ExpectTransformToRoundTrip(mixture=model), scored),
        "table": (
            expectations.ExpectComponentTableInvariants(mixture=model),
            pd.DataFrame(model.component_table()),
        ),
    }
    context = gx.get_context(mode="ephemeral")
    whole = {
        "pandas": context.data_sources.add_pandas("p").add_dataframe_asset("a"),
        "spark": context.data_sources.add_spark("s", persist=False).add_dataframe_asset("a"),
    }
    batch = {name: asset.add_batch_definition_whole_dataframe("w") for name, asset in whole.items()}
    for expectation, frame in asked.values():
        here = batch["pandas"].get_batch({"dataframe": frame}).validate(expectation)
        far = spark.createDataFrame(frame.drop(columns="event_time", errors="ignore")).repartition(
            2
        )
        before = jobs()
        there = batch["spark"].get_batch({"dataframe": far}).validate(expectation)
        assert jobs() - before <= 2, "one, and the shuffle that this test put before it"
        assert here.success == there.success
        for a, b in zip(*(one.result["details"]["laws"] for one in (here, there)), strict=True):
            assert a["law"] == b["law"]
            assert a["got"] == pytest.approx(b["got"], rel=1e-9, abs=1e-12)
