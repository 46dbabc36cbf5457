"""Texts of errors: what Spark says in its many ways becomes one sentence of the right class."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, PySparkException, PythonException

from gmm_core import errors
from gmm_core.errors import (
    BlockmixError,
    FitFailed,
    InvalidInput,
    InvalidSource,
    NotFound,
    Refused,
    ServiceUnavailable,
)
from gmm_core.spark.carrying import carried_error, carrying, pack, unpack
from gmm_core.spark.failures import spark_errors


class Stated(PySparkException):
    def __init__(self, message, state):
        super().__init__(message)
        self._state = state

    def getSqlState(self):
        return self._state


def translated(error):
    with pytest.raises(BlockmixError) as caught, spark_errors("doing", remedy="do the other thing"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("state", "kind"),
    [(state, InvalidInput) for state in ("42601", "42883", "0A000", "21000")]
    + [(state, InvalidSource) for state in ("42703", "22012", "KD001")]
    + [(state, ServiceUnavailable) for state in ("58030", "XX000", "", None)],
)
def test_the_class_follows_the_sqlstate(state, kind):
    assert type(translated(Stated("[X.Y] Something is off. SQLSTATE: 1; line 1", state))) is kind


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("[A_B.C_D] Is it? It is. SQLSTATE: 42703; line 1\n'Project\n\tat x", "Is it? It is"),
        ("\n[PARSE] Syntax error near end. SQLSTATE: 42601 (line 1)\n\n== SQL ==", "Syntax error near end"),
        ("(org.apache.x.Some$Exception) No room\n\nJVM stacktrace:\n", "No room"),
        ("An error occurred while calling o12.x.\n: java.io.IOException: Disk full\n\tat x", "Disk full"),
        (
            "Job aborted due to stage failure: Task 0 in stage 2.0 failed 1 times, most recent failure: "
            "Lost task 0.0 in stage 2.0 (TID 3) (vm executor driver): java.io.IOException: No room\n\tat",
            "No room",
        ),
        (
            '<_InactiveRpcError of RPC that terminated with:\n\tstatus = UNAVAILABLE\n\tdetails = "gone"\n>',
            "gone",
        ),
        ("x" * 400, "x" * 300 + "..."),
    ],
)  # fmt: skip
def test_the_message_is_one_short_sentence(text, short):
    assert str(translated(Stated(text, "42000"))) == f"doing: {short}. Do the other thing."


def test_a_worker_that_breaks():
    trace = (
        "Traceback (most recent call last):\n  File x\nValueError: boom\n\n\nJVM stacktrace:\nat"
    )
    error = translated(PythonException(trace))
    assert type(error) is ServiceUnavailable
    assert str(error).startswith(
        "doing: Spark's Python worker failed (ValueError: boom). Read Spark's log"
    )


def test_a_worker_without_blockmix_says_what_to_install():
    error = translated(
        PythonException("Traceback\nModuleNotFoundError: No module named 'gmm_core'\n")
    )
    assert "Install blockmix and its requirements in the Python of Spark's workers" in str(error)


def test_our_own_errors_and_bugs_pass_through():
    refused = InvalidInput("as it is")
    assert translated(refused) is refused
    with pytest.raises(ZeroDivisionError), spark_errors("doing", remedy="none"):
        _ = 1 / 0


KINDS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_cross_the_border_with_class_and_message(kind):
    error = kind("feature 'x' is <wrong>", got=[1, "ü"], bound="{a} to {b}", remedy="mend it")
    back = unpack(pack(error))
    assert type(back) is kind
    assert str(back) == str(error)


def test_the_pages_of_a_refusal_cross_it_too_and_nothing_else_is_an_error():
    assert unpack(pack(Refused("no", pages={"mlflow": "http://x"}))).pages == {"mlflow": "http://x"}
    with pytest.raises(InvalidInput, match="kind of an error: got 'reprlib'"):
        unpack('{"kind": "reprlib", "message": "no"}')


def test_an_error_carried_in_a_traceback_comes_out_whole():
    error = FitFailed("no start gave a usable mixture", got={"a": {"b": 1}}, remedy="lower k")
    text = f"Traceback:\nRuntimeError: {carrying(error)}\n\nJVM stacktrace:\n"
    back = translated(PythonException(text))
    assert type(back) is FitFailed
    assert str(back) == str(error)
    assert carried_error("Traceback: ValueError") is None
    assert NotFound in KINDS


def test_analysis_errors_without_a_state_are_not_the_callers():
    assert type(translated(AnalysisException("odd"))) is ServiceUnavailable
