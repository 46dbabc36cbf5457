"""A standalone cluster of two workers, one of which dies in the middle: the same fit, the same rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from demo.services import free_ports
from gmm_core.config import SPARK_CONF
from gmm_core.model import DensityModel
from gmm_core.spark.engine import SparkEngine
from gmm_core.spark.session import server_environment

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java"),
]
KEY = "2017-03-14"
PROJECT = Path(__file__).resolve().parents[2]
SHARD = 80  # rows: 391 baskets in five shards
LIGHT = {"restarts": 1, "exact_passes": 1}
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

# Fits and transforms; in the middle of the fit, with one shard done, kills worker and executor.
PROGRAM = """
import json, sys, threading, time
from pathlib import Path
import psutil
from gmm_core.model import DensityModel
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.spark.engine import SparkEngine

master, conf, rows, digest, victim, out, answer, key, shard, light = sys.argv[1:]
baskets = load_stream("baskets", Path("dags/streams"))
light = baskets.mixture.model_copy(update=json.loads(light))
baskets = baskets.model_copy(update={"mixture": light})
engine = SparkEngine(master=master, conf=Path(conf), max_rows_per_shard=int(shard))
with engine._spark() as spark:
    context = spark.sparkContext
told = {}

def kill():
    tracker, worker = context.statusTracker(), psutil.Process(int(victim))
    while True:
        for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
            if stage and stage.numTasks > 4 and stage.numCompletedTasks:
                told["killed"] = [stage.numCompletedTasks, stage.numTasks]
                for process in [*worker.children(recursive=True), worker]:
                    process.kill()
                return
        time.sleep(0.02)

def executors():
    return context._jsc.sc().getExecutorMemoryStatus().size() - 1

deadline = time.monotonic() + 120
while executors() < 2 and time.monotonic() < deadline:
    time.sleep(0.1)
told["executors"] = executors()
threading.Thread(target=kill, daemon=True).start()
summary = engine.fit(baskets, key, rows, digest)
model = DensityModel.build("baskets", baskets.feature_list, summary.mixture, 0.95)
scored = engine.transform(baskets, key, rows, model, 1, out)
told |= {"fit": summary.digest, "scored": [scored.rows, scored.anomalies]}
told["executors after"] = executors()
Path(answer).write_text(json.dumps(told))
"""


class Cluster:
    """A master and two workers of one core each, from the installed PySpark, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
        self.environment = kept | server_environment() | {"SPARK_DAEMON_MEMORY": "256m"}
        self.environment["SPARK_DAEMON_JAVA_OPTS"] = f"{QUICK} -Dspark.master.rest.enabled=false"
        port, self.pages = free_ports({"master": 15221, "pages": 15331}).values()
        self.master = f"spark://127.0.0.1:{port}"
        self.start("Master", "--host", "127.0.0.1", "--port", port, "--webui-port", self.pages)
        for _ in range(2):
            self.start(
                "Worker", "--host", "127.0.0.1", "--cores", 1, "--memory", "1g", "--webui-port", 0,
                "--work-dir", folder / "work", self.master,
            )  # fmt: skip
        self.wait_for_workers()

    def start(self, kind, *arguments):
        command = [Path(self.environment["SPARK_HOME"]) / "bin" / "spark-class"]
        command += [f"org.apache.spark.deploy.{kind.lower()}.{kind}", *map(str, arguments)]
        with (self.folder / f"{kind}{len(self.processes)}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def wait_for_workers(self):
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.pages}/json/", timeout=5
                ) as page:
                    if json.load(page)["aliveworkers"] == 2:
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def logs(self):
        return "".join(path.read_text()[-1500:] for path in self.folder.glob("*.log"))

    def close(self):
        family = []
        for process in self.processes:
            if process.poll() is None:
                family += psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGKILL)
        for process in family:
            if process.is_running():
                process.kill()
        for process in self.processes:
            process.wait(20)


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "cluster").mkdir()
    running = None
    try:
        running = Cluster(tmp_path / "cluster")
        yield running
    finally:
        if running is not None:
            running.close()


def administrators_settings(path: Path) -> Path:
    """The project's settings and what this cluster needs: what docs/deployment.md tells to do."""
    own = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": QUICK,
        "spark.executor.extraJavaOptions": QUICK,
        "spark.executor.memory": "512m",
        "spark.executorEnv.PYTHONPATH": str(PROJECT),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }
    text = SPARK_CONF.read_text() + "".join(f"{name} {value}\n" for name, value in own.items())
    path.write_text(text)
    return path


def test_a_worker_that_dies_changes_nothing(cluster, server, baskets, landed, tmp_path):
    rows, landing = landed
    conf = administrators_settings(tmp_path / "spark.conf")
    out, answer = tmp_path / "cluster-rows", tmp_path / "answer.json"
    victim = cluster.processes[1].pid
    arguments = [
        cluster.master,
        conf,
        rows,
        landing.digest,
        victim,
        out,
        answer,
        KEY,
        SHARD,
        json.dumps(LIGHT),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        cwd=PROJECT, env=cluster.environment, capture_output=True, text=True, timeout=480,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + cluster.logs()
    told = json.loads(answer.read_text())
    assert told["executors"] == 2
    assert 1 <= told["killed"][0] < told["killed"][1], "in the middle of the fit"
    assert told["executors after"] == 1
    assert cluster.processes[1].poll() is not None

    light = baskets.mixture.model_copy(update=LIGHT)
    baskets = baskets.model_copy(update={"mixture": light})
    here = SparkEngine(server.remote, max_rows_per_shard=SHARD)
    summary = here.fit(baskets, KEY, rows, landing.digest)
    assert told["fit"] == summary.digest, "the same to the last bit"
    model = DensityModel.build("baskets", baskets.feature_list, summary.mixture, 0.95)
    scored = here.transform(baskets, KEY, rows, model, 1, str(tmp_path / "rows"))
    assert told["scored"] == [scored.rows, scored.anomalies]
    there, local = (read_sorted(path) for path in (out, tmp_path / "rows"))
    assert there.equals(local), "the same rows"


def read_sorted(folder: Path):
    table = pq.read_table(folder, partitioning=None)
    return table.sort_by([(name, "ascending") for name in ("event_time", "basket_id")])
