"""What happens inside a task, without Airflow around it."""

from __future__ import annotations

import datetime as dt
import logging
import types

import pytest

from gmm_core.errors import InvalidInput, NotFound, Refused
from gmm_core.pipeline.stream_files import load_stream


class Xcom(dict):
    """Takes what a task publishes."""

    try_number = 1

    def xcom_push(self, key, value):
        self[key] = value


def context(partition_key=None, events=None, **params):
    names = ("block_key", "k", "window", "covariance_type")
    return {
        "partition_key": partition_key,
        "params": {name: params.get(name) for name in names},
        "triggering_asset_events": events or {},
        "ti": Xcom(),
    }


def event(minute, **extra):
    moment = dt.datetime(2024, 5, 1, 12, minute, tzinfo=dt.UTC)
    return types.SimpleNamespace(timestamp=moment, extra=extra)


@pytest.fixture
def stream(declare):
    return load_stream("orders", declare().parent)


def test_the_partition_key_names_the_block(run):
    assert run.block_key(context("2024-05-02", block_key="2024-05-03")) == "2024-05-02"
    assert run.block_key(context(block_key="2024-05-03")) == "2024-05-03"


@pytest.mark.parametrize("key", [None, "", "2024-5-2", "yesterday", "2024-02-30"])
def test_a_run_without_a_block_says_so(run, key):
    with pytest.raises(InvalidInput, match="block"):
        run.block_key(context(key))


def test_settings_of_the_run_win_over_those_of_the_event(run):
    newest = event(2, overrides={"k": 5, "window": 2}, through="2024-05-02")
    events = {"asset": [newest, event(1, overrides={"k": 9}, through="2024-05-02")]}
    assert run.overrides(context("2024-05-02", events=events), "asset") == {"k": 5, "window": 2}
    assert run.overrides(context("2024-05-02", events=events, k=7), "asset") == {
        "k": 7,
        "window": 2,
    }
    assert run.overrides(context("2024-05-03", events=events), "asset") == {}, "of another window"
    assert run.overrides(context(covariance_type="diag")) == {"covariance_type": "diag"}
    assert run.overrides(context(), "asset") == {}


def test_a_late_block_belongs_to_every_window_that_holds_it(run, stream, summaries):
    summaries("2024-05-01", "2024-05-02", "2024-05-04", "2024-05-05", "2024-05-08")
    assert stream.window.blocks == 3
    assert run.windows_of(stream, "2024-05-02") == ["2024-05-02", "2024-05-04", "2024-05-05"]
    assert run.windows_of(stream, "2024-05-08") == ["2024-05-08"]


@pytest.fixture
def summaries(stream):
    """Puts block summaries into the lake of the environment's installation."""
    from orders import make_rows

    from gmm_core.block import fit_block
    from gmm_core.features import to_matrix
    from gmm_core.pipeline.wiring import open_services

    def put(*keys):
        for key in keys:
            rows = make_rows(key, n=60)
            X = to_matrix(stream.feature_list, {name: rows[name] for name in stream.features})
            summary = fit_block(
                stream.name, key, stream.feature_list, X, k=2, covariance_type="full",
                regularisation=1e-3, restarts=1, max_iterations=20, tolerance=1e-3, seed=0,
                input_digest=key, fit_fingerprint="test",
            )  # fmt: skip
            open_services().store.save_summary(summary, {})

    return put


def test_a_refusal_is_told_in_one_line_and_raised_without_the_verbs_frames(run, stream, caplog):
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(NotFound, match="has no mixture") as caught,
    ):
        run.run_verb("merge", stream, context("2024-05-02"))
    frames = [entry.name for entry in caught.traceback]
    assert frames[-1] == "run_verb"
    assert caught.value.__suppress_context__
    assert [record.levelname for record in caplog.records if record.name == "blockmix.merge"] == [
        "ERROR"
    ]
    assert "has no mixture" in caplog.text


def test_the_pages_of_a_refusal_are_published(run, stream, monkeypatch, caplog):
    from gmm_core.pipeline import verbs

    def refuse(*_, **__):
        raise Refused("no", pages={"data_docs": "http://docs/report", "mlflow": ""})

    monkeypatch.setattr(verbs, "land", refuse)
    given = context("2024-05-02")
    with pytest.raises(Refused):
        run.run_verb("land", stream, given)
    assert given["ti"] == {run.PAGES: {"data_docs": "http://docs/report", "mlflow": ""}}
    assert "data_docs: http://docs/report" in caplog.text


def test_a_request_becomes_its_days(run, stream):
    assert run.requested_days(stream, "2024-05-01", "2024-05-03") == [
        "2024-05-01", "2024-05-02", "2024-05-03",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("2024-04-30", "2024-05-02", "2024-05-01 to 2024-05-10"),
        ("2024-05-09", "2024-05-11", "2024-05-01 to 2024-05-10"),
        ("2024-05-03", "2024-05-02", "first_day not after last_day"),
        ("2024-5-3", "2024-05-04", "YYYY-MM-DD"),
    ],
)
def test_a_wrong_request_is_refused(run, stream, first, last, says):
    with pytest.raises(InvalidInput) as caught:
        run.requested_days(stream, first, last)
    assert says in str(caught.value)


def test_a_request_has_a_longest_range(run, declare):
    stream = load_stream("orders", declare(start="2020-01-01", end="2022-01-01").parent)
    assert len(run.requested_days(stream, "2020-01-01", "2020-12-31")) == 366
    with pytest.raises(InvalidInput, match="1 to 366 days"):
        run.requested_days(stream, "2020-01-01", "2021-01-01")


def test_a_day_that_has_not_ended_cannot_be_requested(run, declare):
    stream = load_stream("orders", declare(end=None).parent)
    today = str(dt.datetime.now(dt.UTC).date())
    with pytest.raises(InvalidInput, match="no such block"):
        run.requested_days(stream, today, today)
