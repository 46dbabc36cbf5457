"""What Spark raises, as Blockmix's own errors.

Spark classes its errors by SQLSTATE. The classes in `_CALLER` mean that what was asked for is
wrong, so a retry cannot help: `InvalidInput`, or `InvalidSource` where it may be the rows that are at
fault rather than what was asked. Everything else is `ServiceUnavailable`. Neither
message holds a stack trace: it says what was being done, Spark's own first sentence, the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException, PythonException

from gmm_core.errors import BlockmixError, InvalidInput, InvalidSource, ServiceUnavailable
from gmm_core.spark.carrying import carried_error

__all__ = ["SPARK_ERRORS", "spark_errors"]

SPARK_ERRORS: tuple[type[Exception], ...] = (PySparkException, Py4JError)

# 0A feature, 21 cardinality, 22 data, 42 syntax or name, KD files: see Spark's error conditions.
_CALLER = ("0A", "21", "22", "42", "KD")
# Of these, the ones that the rows may be to blame for: data, a column that is not there, files.
_DELIVERED = ("22", "42703", "KD")
# Faults of a file or a path that Spark reports without a SQLSTATE.
_BAD_FILE = re.compile(
    r"\S+ is not a Parquet file[^\n]*|No FileSystem for scheme[^\n]*"
    r"|Malformed records are detected[^\n]*|Could not read footer for file[^\n]*"
    r"|ERROR: (?:relation|column) [^\n]* does not exist|ERROR: permission denied [^\n]*"
)
_NOISE = re.compile(
    r"^(An error occurred while calling \S+\.\n:\s*"
    r"|\[[A-Z0-9_.]+\]\s*"
    r"|\((?:[\w$]+\.)+[\w$]+\)\s*"
    r"|Job aborted due to stage failure:.*?executor [\w.-]+\):\s*"
    r"|(?:[a-z][\w$]*\.)+[A-Z][\w$]*:\s*)+"
)
_RPC = re.compile(r'RpcError of RPC.*?details = "([^"]*)"', re.DOTALL)  # Spark did not answer
_LONGEST = 300


@contextmanager
def spark_errors(doing: str, *, remedy: str) -> Iterator[None]:
    """Errors of Spark inside the block come out as Blockmix's.

    Parameters
    ----------
    doing : what goes wrong when it does, as the start of the message: a stream key, or a step.
    remedy : what the caller can do when the input is at fault.

    Raises
    ------
    InvalidInput : what was asked for is wrong, such as an expression.
    InvalidSource : a value or a file is wrong, or a column is not there.
    ServiceUnavailable : Spark did not answer, or failed for a reason of its own.
    """
    try:
        yield
    except SPARK_ERRORS as error:
        raise _translated(error, doing, remedy) from None


def _translated(error: Exception, doing: str, remedy: str) -> BlockmixError:
    text = str(error)
    carried = carried_error(text)
    if carried is not None:
        return carried
    bad_file = _BAD_FILE.search(text)
    if bad_file:
        if bad_file[0].startswith("No FileSystem"):
            remedy = "use a scheme that Spark and fsspec both know, or add the file system to Spark"
            return InvalidInput(f"{doing}: {_short(bad_file[0])}", remedy=remedy)
        return InvalidSource(f"{doing}: {_short(bad_file[0])}", remedy=remedy)
    if isinstance(error, PythonException):
        return _worker_failed(text, doing)
    state = error.getSqlState() if isinstance(error, PySparkException) else None
    if (state or "").startswith(_CALLER):
        kind = InvalidSource if (state or "").startswith(_DELIVERED) else InvalidInput
        return kind(f"{doing}: {_short(text)}", remedy=remedy)
    return ServiceUnavailable(
        f"{doing}: Spark failed ({_short(text)})", remedy="read Spark's log, then run this again"
    )


def _worker_failed(text: str, doing: str) -> ServiceUnavailable:
    trace = text.split("JVM stacktrace")[0]
    last = trace.strip().rsplit("\n", 1)[-1].strip()
    remedy = "read Spark's log, then run this again"
    if last.startswith("ModuleNotFoundError"):
        remedy = "install blockmix and its requirements in the Python of Spark's workers"
    return ServiceUnavailable(f"{doing}: Spark's Python worker failed ({last})", remedy=remedy)


def _short(text: str) -> str:
    """Spark's first sentence: no condition name, no SQLSTATE, no plan, no stack."""
    details = _RPC.search(text)
    line = details[1] if details else _NOISE.sub("", text.strip()).split("\n", 1)[0]
    line = line.split(" SQLSTATE:")[0].strip().rstrip(".;")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
