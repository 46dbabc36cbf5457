"""The command line: a user's mistake is a line of text and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from orders import KEYS, make_rows
from typer.testing import CliRunner

from gmm_core import __version__
from gmm_core.cli import app as cli
from gmm_core.cli import terminal
from gmm_core.errors import ModelRefused
from gmm_core.pipeline import verbs
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.stream_files import load_stream

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("blockmix")


@pytest.fixture
def blockmix(tmp_path, declared):
    streams = tmp_path / "streams"
    streams.mkdir()
    (streams / "orders.yaml").write_text(yaml.safe_dump(declared))

    def run(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "BLOCKMIX_HOME": str(tmp_path / "home"),
            "BLOCKMIX_STREAMS": str(streams),
            "COLUMNS": "200",
            **extra,
        }
        return subprocess.run(
            [PROGRAM, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("land", "orders", "2024-5-1"), 2, "YYYY-MM-DD"),
        (("land", "orders", "2023-01-01"), 2, "2024-05-01 to 20"),
        (("land", "nothing", "2024-05-01"), 2, "orders"),
        (("fit", "orders", "2024-05-01"), 2, "blockmix land orders 2024-05-01"),
        (
            ("fit", "orders", "2024-05-01", "--covariance-type", "round"),
            2,
            "'full', 'tied', 'diag'",
        ),
        (("fit", "orders", "2024-05-01", "--k", "65"), 2, "less than or equal to 64"),
        (("merge", "orders", "2024-05-01"), 2, "blockmix fit orders 2024-05-01"),
        (("remerge", "orders", "2024-05-01"), 2, "blockmix fit orders 2024-05-01"),
    ],
)
def test_a_mistake_is_a_line_and_a_status(blockmix, words, status, said):
    outcome = blockmix(*words)
    assert outcome.returncode == status
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_it_tells_its_version(blockmix):
    outcome = blockmix("--version")
    assert (outcome.returncode, outcome.stdout) == (0, f"blockmix {__version__}\n")


def test_streams_are_listed_and_checked(blockmix, tmp_path):
    assert "orders" in blockmix("streams").stdout
    (tmp_path / "streams" / "bad.yaml").write_text("stream: bad\nwindow: {blocks: many}\n")
    outcome = blockmix("streams")
    assert outcome.returncode == 2
    assert "orders" in outcome.stdout
    assert "bad.yaml" in outcome.stderr


def test_an_empty_quarantine_says_so(blockmix):
    assert blockmix("quarantine", "orders").stdout.strip() == "quarantine: empty"


def test_help_is_quick_and_complete(blockmix):
    text = blockmix("--help").stdout
    for verb in (
        "land",
        "fit",
        "merge",
        "remerge",
        "promote",
        "transform",
        "marts",
        "run",
        "status",
        "quarantine",
    ):
        assert verb in text


def test_brackets_in_a_message_are_shown(blockmix, tmp_path, declared):
    folder = tmp_path / "a [b] [c]"
    folder.mkdir()
    (folder / "orders.yaml").write_text(yaml.safe_dump({**declared, "start": "[/May]"}))
    outcome = blockmix("status", "orders", BLOCKMIX_STREAMS=str(folder))
    assert outcome.returncode == 2
    assert f"{folder}/orders.yaml" in outcome.stderr
    assert "[/May]" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_lake_that_cannot_be_read_is_a_line_and_a_status(blockmix, tmp_path):
    entry = (
        tmp_path
        / "home"
        / "lake"
        / "orders"
        / "quarantine"
        / "block=2024-05-01"
        / "x"
        / "report.json"
    )
    entry.mkdir(parents=True)  # where a file is expected
    outcome = blockmix("quarantine", "orders")
    assert (outcome.returncode, "Traceback" in outcome.stderr) == (4, False), outcome.stderr


class TestRemerge:
    """The command in this process, over the twins in memory."""

    @pytest.fixture
    def asked(self, tmp_path, declared, monkeypatch):
        folder = tmp_path / "streams"
        folder.mkdir()
        window = {"blocks": 2, "minimum_blocks": 2}
        (folder / "orders.yaml").write_text(yaml.safe_dump({**declared, "window": window}))
        monkeypatch.setenv("BLOCKMIX_STREAMS", str(folder))
        monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))
        at = memory_services({key: make_rows(key) for key in KEYS[:4]})
        monkeypatch.setattr(terminal, "open_services", lambda settings: at)
        stream = load_stream("orders", folder)
        for key in KEYS[:4]:
            for verb in (verbs.land, verbs.fit):
                verb(stream, key, at)
        return lambda key: CliRunner().invoke(cli.app, ["remerge", "orders", key])

    def test_every_window_that_holds_the_block_is_shown(self, asked):
        for state in ("done", "nothing to do"):
            shown = asked(KEYS[1]).output
            for key in KEYS[1:3]:
                assert f"merge orders {key}: {state}" in shown
            assert KEYS[3] not in shown
        assert "born" in shown

    def test_a_window_that_is_refused_does_not_keep_the_others_from_it(self, asked):
        answer = asked(KEYS[0])
        assert isinstance(answer.exception, ModelRefused)
        assert f"merge orders {KEYS[1]}: done" in answer.output


def test_run_scores_every_block_whose_window_holds_a_late_one(tmp_path, declared, monkeypatch):
    """With the version of its own window, as the DAGs do; the marts of each are built."""
    folder, built = tmp_path / "streams", []
    folder.mkdir()
    changes = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    (folder / "orders.yaml").write_text(yaml.safe_dump(declared | changes))
    monkeypatch.setenv("BLOCKMIX_STREAMS", str(folder))
    monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))
    at = memory_services({key: make_rows(key) for key in KEYS[:4]})
    monkeypatch.setattr(terminal, "open_services", lambda settings: at)

    def marts(stream, key):
        built.append(key)
        return Outcome("marts", stream.name, key, True, {})

    monkeypatch.setattr(cli, "build_marts", marts)  # dbt is tested beside its models
    for key in (KEYS[0], KEYS[2], KEYS[3], KEYS[1]):
        answer = CliRunner().invoke(cli.app, ["run", "orders", key])
        assert answer.exit_code == 0, answer.output
    assert built == [KEYS[0], KEYS[2], KEYS[3], KEYS[1], KEYS[2]]
    versions = {key: at.store.manifest("orders", "transformed", key)["version"] for key in KEYS[:4]}
    assert versions == {KEYS[0]: 1, KEYS[1]: 4, KEYS[2]: 5, KEYS[3]: 3}
    assert at.registry.alias("orders", "champion").version == 3
