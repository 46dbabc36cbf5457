"""Spark's settings: what answers depend on, what keeps a local Spark to itself, and the file of the rest.

Settings have two places. What answers depend on is `MEANING`, set in every session. What speed and
memory depend on is a properties file, configs/spark.conf unless told otherwise, for whatever starts a
JVM: a session, a server, spark-submit. A server of someone else's keeps what it was given.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext

from gmm_core.errors import InvalidInput

__all__ = [
    "LOCAL",
    "LOOPBACK",
    "MEANING",
    "classic_settings",
    "code_folder",
    "read_conf",
    "submitted_settings",
]

LOOPBACK = "127.0.0.1"
_MASTER = re.compile(r"local(\[[^\]]+\])?|spark://\S+|yarn|k8s://\S+")

# What the engine's answers depend on: set in every session, whatever the server's defaults are.
MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.ansi.enabled": "true",
    # Spark's default, INT96, has no statistics, and other readers take it for local time.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # pandas writes TIMESTAMP(NANOS), which Spark refuses; see source.py for what becomes of it.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
# A Spark on this machine alone. The size of a cluster is its administrator's business.
LOCAL = {
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "16",
}


def classic_settings(master: str, conf: Path, jars: str) -> dict[str, str]:
    """All that the JVM is started with: of this machine alone, or as the file says for a cluster."""
    if not _MASTER.fullmatch(master):
        raise InvalidInput(
            "not a Spark master",
            got=master,
            bound="local[n], local[*], spark://host:port, yarn or k8s://url",
            remedy="correct BLOCKMIX_SPARK_MASTER; a Spark Connect address is BLOCKMIX_SPARK_REMOTE",
        )
    quiet = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}
    settings = {**quiet, **read_conf(conf), "spark.master": master}
    if jars:
        settings["spark.jars"] = jars
    return settings | _local_settings(master)


def submitted_settings() -> dict[str, str]:
    """What is added to what spark-submit was told: on a cluster nothing."""
    SparkContext._ensure_initialized()  # noqa: SLF001 - else there are no settings to be seen
    return _local_settings(SparkConf().get("spark.master", "") or "")


def _local_settings(master: str) -> dict[str, str]:
    """A Spark within this machine, if that is where the master is, keeps to itself."""
    if not master.startswith("local"):
        return {}
    # Another Python found on PATH would lack what the workers import.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    return {**LOCAL, "spark.executorEnv.PYTHONPATH": code_folder()}


def read_conf(path: Path) -> dict[str, str]:
    """The settings of a Spark properties file: `name value` or `name=value` a line, # for comments.

    Raises `InvalidInput` for a file that cannot be read, or a line without a value.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "Spark's settings cannot be read",
            got=str(path),
            bound="a properties file",
            remedy=f"correct BLOCKMIX_SPARK_CONF ({error})",
        ) from None
    settings = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"(spark\.[^\s=]+)(?:\s*=\s*|\s+)(\S.*)", line)
        if not found:
            raise InvalidInput(
                f"{path}: line {number}",
                got=line,
                bound="spark.NAME and its value",
                remedy="mend it",
            )
        settings[found[1]] = found[2]
    return settings


def code_folder() -> str:
    """The folder gmm_core is imported from: workers on this machine import it from there too."""
    return str(Path(__file__).resolve().parents[2])
