"""Spark sessions, and the command that starts a Spark Connect server of one's own.

With a server (`sc://host:port`) a task pays a second or two instead of a JVM start. Blockmix uses
data frames only: no RDD and no SparkContext, so that both kinds of session do the same.
"""

from __future__ import annotations

import atexit
import datetime as dt
import logging
import os
import socket
import sys
import uuid
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pyspark
from pyspark.sql import SparkSession

from gmm_core.config import SPARK_CONF
from gmm_core.errors import InvalidInput, ServiceUnavailable
from gmm_core.spark.conf import (
    LOCAL,
    LOOPBACK,
    MEANING,
    classic_settings,
    code_folder,
    submitted_settings,
)
from gmm_core.spark.failures import SPARK_ERRORS, spark_errors

__all__ = ["CONNECT_PORT", "server_command", "server_environment", "session"]

CONNECT_PORT = 15002
_PATIENCE = 5.0  # seconds to wait for a server to accept a connection
# Never let go of: a Spark Connect session that is garbage-collected closes a thread pool which all
# sessions share, under a lock, from whichever thread happens to collect. That can be a deadlock.
_opened: list[SparkSession] = []


def session(
    remote: str = "", master: str = "local[*]", *, conf: Path = SPARK_CONF, jars: str = ""
) -> SparkSession:
    """A session with its own SQL settings.

    Parameters
    ----------
    remote : Spark Connect address, `sc://host:port`; empty: a classic session in this process.
    master : Spark master of the classic session: local[n], spark://host:port, yarn or k8s://url.
    conf : properties file with its settings.
    jars : that it needs besides Spark's own, with commas between.

    A process that spark-submit started has master, settings and jars already: those stay.

    Raises
    ------
    InvalidInput : `remote` is not a Spark Connect address, `master` no master, or `conf` unreadable.
    ServiceUnavailable : nothing answers at `remote`, or Spark did not start.
    """
    # These two loggers print every failed query with its JVM stack; `spark_errors` tells it better.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    remote = remote or os.environ.get("SPARK_REMOTE", "")
    spark = _remote_session(remote) if remote else _classic_session(master, conf, jars)
    with spark_errors("the session's settings", remedy="use Spark 4"):
        for key, value in MEANING.items():
            spark.conf.set(key, value)
    return spark


def _remote_session(remote: str) -> SparkSession:
    _knock(remote)
    with spark_errors(f"no session at {remote}", remedy=_start_remedy(remote)):
        try:
            return _connected(_address(remote))
        except SPARK_ERRORS as error:
            if "SESSION_CLOSED" not in str(error):
                raise
            return _connected(remote)  # the server ended the shared session: one of its own, then


def _connected(address: str) -> SparkSession:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    # create, not getOrCreate: a notebook's own session keeps its settings.
    spark: Any = SparkSession.builder.remote(address).create()
    _opened.append(spark)
    # The default waits ten minutes for a server that went away; 4 retries take 5 seconds.
    spark.client.set_retry_policies([DefaultPolicy(max_retries=4)])
    atexit.register(_leave, spark)
    spark.release_session_on_close = False  # stopping one client must not take it from the others
    _ = spark.version  # the first call that reaches the server
    return cast("SparkSession", spark)


def _leave(spark: Any) -> None:
    """PySpark calls the server once more when the process ends: if it is gone, so be it."""
    spark.client.set_retry_policies([])
    logging.getLogger("pyspark.sql.connect.logging").disabled = True


def _address(remote: str) -> str:
    """The address with the id of the one session that all of Blockmix shares for a day.

    Spark keeps Python workers by session: with a session each, every task would wait seconds for
    its own, and leave their parent process behind for as long as the server runs.
    """
    if "session_id=" in remote:
        return remote
    shared = uuid.uuid5(uuid.NAMESPACE_URL, f"blockmix/{dt.datetime.now(dt.UTC).date()}")
    return f"{remote if ';' in remote else remote.rstrip('/') + '/'};session_id={shared}"


def _knock(remote: str) -> None:
    """See that the server accepts connections: the client itself would try for ten minutes."""
    try:
        address = urlsplit(remote.split(";", 1)[0])
        host, port = address.hostname, address.port or CONNECT_PORT
    except ValueError:
        host, port = None, 0
    if not remote.startswith("sc://") or not host:
        raise InvalidInput(
            "not a Spark Connect address",
            got=remote,
            bound="sc://host:port",
            remedy="correct BLOCKMIX_SPARK_REMOTE",
        )
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        raise ServiceUnavailable(
            f"no Spark Connect server answers at {remote} ({error})", remedy=_start_remedy(remote)
        ) from None


def _start_remedy(remote: str) -> str:
    return (
        f"start the server of {remote}, or unset BLOCKMIX_SPARK_REMOTE to run Spark in this process"
    )


def _classic_session(master: str, conf: Path, jars: str) -> SparkSession:
    builder = SparkSession.builder.appName("blockmix")
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # the JVM runs, with settings of its own
    settings = submitted_settings() if submitted else classic_settings(master, conf, jars)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        # newSession: settings of its own over the one SparkContext of the process.
        return builder.getOrCreate().newSession()
    except SPARK_ERRORS as error:
        raise ServiceUnavailable(
            f"Spark did not start with master {master!r} ({str(error).strip().splitlines()[0]})",
            remedy="install Java 17 or newer, point JAVA_HOME at it, and check spark_master",
        ) from None


def server_command(
    port: int = CONNECT_PORT,
    *,
    master: str = "local[*]",
    memory: str = "1g",
    conf: Path = SPARK_CONF,
    jars: str = "",
) -> list[str]:
    """Command line of a Spark Connect server from the installed PySpark; listens on loopback only.

    Run it with `server_environment()` added to the environment. The process is the server itself:
    SIGTERM ends it and its Python workers. `memory` is the heap of the JVM; `conf` and `jars` are as
    `session` takes them.
    """
    settings = {
        **LOCAL,
        **MEANING,
        # Longer than a day's session is asked for: a session that ended cannot be had again.
        "spark.connect.session.manager.defaultSessionTimeout": "25h",
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
    }
    flags = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return [
        str(_spark_home() / "bin" / "spark-submit"),
        "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
        "--name",
        "blockmix",
        "--master",
        master,
        "--driver-memory",
        memory,
        "--properties-file",
        str(conf),
        *(("--jars", jars) if jars else ()),
        *flags,
        "local:/dev/null",
    ]


def server_environment() -> dict[str, str]:
    """Variables that `server_command` needs besides the environment."""
    return {
        "SPARK_HOME": str(_spark_home()),
        "SPARK_LOCAL_IP": LOOPBACK,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(
            filter(None, [code_folder(), os.environ.get("PYTHONPATH", "")])
        ),
    }


def _spark_home() -> Path:
    return Path(pyspark.__file__).parent
