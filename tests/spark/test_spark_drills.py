"""Drills on real Spark, a lake on disk and MLflow: what is stopped is what the twins in memory stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.drill_faults import CASES, KEY, baskets
from bench.drill_sites import site
from bench.drills import drill, prepared
from gmm_core.pipeline.stream_files import load_stream

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

STREAMS = Path(__file__).resolve().parents[2] / "dags" / "streams"

NAMES = (
    "an ordinary day",
    "numbers arrive as text",
    "dollars become cents",
    "yesterday again, redated",
    "the day of another year",
    "a column all null",
    "1 % infinite",
    "10 rows",
    "time zone, 5 hours",
)


def test_spark_stops_what_memory_stops(server, tmp_path):
    frame, stream = baskets(), load_stream("baskets", STREAMS)
    found = {}
    for engine, remote in (("memory", ""), ("spark", server.remote)):
        home = tmp_path / engine
        home.mkdir()
        there = site(engine, stream, home, remote)
        prepared(frame, KEY, there)
        cases = [case for case in CASES if case.name in NAMES]
        found[engine] = [drill(case, frame, there) for case in cases]
    for memory, spark in zip(*found.values(), strict=True):
        assert (spark.case.name, spark.stopped_by) == (memory.case.name, memory.stopped_by)
        assert bool(spark.stopped_by) is spark.case.stop, spark.reason
