"""Sessions: what is set, what listens, and what happens when nobody answers."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from gmm_core.config import SPARK_CONF
from gmm_core.errors import InvalidInput, ServiceUnavailable
from gmm_core.spark.conf import LOCAL, MEANING, classic_settings, read_conf
from gmm_core.spark.engine import SparkEngine
from gmm_core.spark.session import _address, server_command, server_environment, session

KEY = "2017-03-14"
KEPT = []  # as session.py does: a session must not be garbage-collected


def listening(pid: int) -> set[str]:
    """Addresses (hex, as the kernel writes them) the process listens on, IPv4 and IPv6."""
    targets = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in targets:
                found.add(cells[1].split(":")[0])
    return found


def test_the_server_listens_on_loopback_only(server, engine, landed):
    addresses = listening(server.process.pid)
    ipv4, mapped, ipv6 = "0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"
    assert addresses
    assert addresses <= {ipv4, mapped, ipv6}


def test_a_session_has_the_settings_the_answers_depend_on(server):
    spark = session(server.remote)
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert spark.conf.get("spark.sql.parquet.outputTimestampType") == "TIMESTAMP_MICROS"
    assert spark.version.startswith("4.")


def test_the_server_has_the_settings_of_the_file(server):
    spark = session(server.remote)
    for name, value in read_conf(SPARK_CONF).items():
        if name.startswith("spark.sql"):
            assert spark.conf.get(name) == value, name


def test_nothing_is_set_in_two_places():
    assert not set(read_conf(SPARK_CONF)) & (set(MEANING) | set(LOCAL))


@pytest.mark.parametrize(
    "master", ["local", "local[*]", "local[2,3]", "spark://h:7077", "yarn", "k8s://https://h:443"]
)
def test_masters(master, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))  # a local master sets variables
    conf = tmp_path / "own.conf"
    conf.write_text("# mine\n\nspark.executor.memory 3g\nspark.a=b = c\nspark.master\tlocal[9]\n")
    settings = classic_settings(master, conf, "/a.jar")
    assert settings["spark.master"] == master, "the setting, whatever the file says"
    assert (settings["spark.executor.memory"], settings["spark.a"]) == ("3g", "b = c")
    assert settings["spark.jars"] == "/a.jar"
    assert (settings.get("spark.driver.host") == "127.0.0.1") is master.startswith("local")


@pytest.mark.parametrize(
    "master", ["", "locale", "localhost:7077", "sc://h:1", "mesos://h", "yarn-client"]
)
def test_not_a_master(master):
    with pytest.raises(InvalidInput, match=r"not a Spark master: got .*BLOCKMIX_SPARK_MASTER"):
        classic_settings(master, SPARK_CONF, "")


def test_a_file_of_settings_that_is_none(tmp_path):
    with pytest.raises(InvalidInput, match=r"settings cannot be read: .*BLOCKMIX_SPARK_CONF"):
        read_conf(tmp_path / "none.conf")
    (tmp_path / "bad.conf").write_text("spark.x 1\nspark.y\n")
    with pytest.raises(InvalidInput, match=r"bad\.conf: line 2: got 'spark\.y'"):
        read_conf(tmp_path / "bad.conf")


def test_a_session_of_someone_else_keeps_its_settings(server, engine, landed):
    other = SparkSession.builder.remote(server.remote).create()
    KEPT.append(other)
    other.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    with engine._spark() as spark:
        assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    session(server.remote)
    assert other.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    other.stop()


def worker_parents(spark):
    """Processes that the Python workers of a session were forked from."""

    def parent(batches):
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"pid": [os.getppid()]})

    return {
        row.pid for row in spark.range(8, numPartitions=2).mapInArrow(parent, "pid long").collect()
    }


def test_all_clients_share_warm_python_workers(server):
    first, second = session(server.remote), session(server.remote)
    assert first is not second
    assert worker_parents(first) == worker_parents(second)
    assert len(worker_parents(first)) == 1
    first.stop()
    assert second.range(3).count() == 3, "stopping one client leaves the session to the others"


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("sc://h:1", "sc://h:1/;session_id=ID"),
        ("sc://h:1/", "sc://h:1/;session_id=ID"),
        ("sc://h:1/;token=t", "sc://h:1/;token=t;session_id=ID"),
        ("sc://h:1/;session_id=mine", "sc://h:1/;session_id=mine"),
    ],
)
def test_the_shared_session_is_part_of_the_address(remote, address):
    made = _address(remote)
    assert re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", made) == address
    assert made == _address(remote), "every process finds the same"


def test_the_engine_opens_one_session_and_keeps_it(server, landed):
    engine = SparkEngine(server.remote)
    assert engine._session is None, "not before it is needed"
    engine.read(landed[0])
    first = engine._session
    engine.read(landed[0])
    assert engine._session is first


def test_nobody_answers():
    with socket.socket() as taken:  # bound, not listening: nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        remote = f"sc://127.0.0.1:{taken.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(
            ServiceUnavailable,
            match=rf"no Spark Connect server answers at {remote} .*BLOCKMIX_SPARK_REM",
        ):
            session(remote)
    assert time.monotonic() - begin < 5, "said at once, not after ten minutes of tries"


@pytest.mark.parametrize(
    "remote", ["127.0.0.1:15002", "http://127.0.0.1:1", "sc://", "sc://host:port"]
)
def test_not_an_address(remote):
    with pytest.raises(InvalidInput, match=r"not a Spark Connect address: got .*sc://host:port"):
        session(remote)


def test_a_server_that_went_away_is_found_again(start_server, baskets, landed):
    doomed = start_server()
    shared = session(doomed.remote)
    shared.client.release_session()  # as a server does after a long idle time
    engine = SparkEngine(doomed.remote)
    assert engine.read(landed[0]).count() == 391, "a session of its own, then"
    doomed.process.send_signal(signal.SIGTERM)
    assert doomed.process.wait(30) is not None
    begin = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"Spark failed \(.*onnect.*\)\. Read Spark's log"):
        engine.land(baskets, KEY, "/unused")
    assert time.monotonic() - begin < 40
    assert engine._session is None, "the next call opens a new session"


def test_the_server_command_names_loopback_and_the_installed_spark():
    command, env = server_command(15002, master="local[3]", memory="2g"), server_environment()
    assert Path(command[0]).is_file()
    assert str(Path(command[0]).parents[1]) == env["SPARK_HOME"]
    text = " ".join(command)
    for setting in (
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.connect.grpc.binding.address",
    ):
        assert f"--conf {setting}=127.0.0.1" in text
    assert "--master local[3]" in text
    assert "--driver-memory 2g" in text
    assert Path(env["PYTHONPATH"].split(":")[0], "gmm_core").is_dir()
