"""The command line: a user's mistake is a line of text and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
        (("fit", "orders", "2024-05-01", "--covariance-type", "round"), 2, "'full' or 'diag'"),
        (("fit", "orders", "2024-05-01", "--k", "65"), 2, "less than or equal to 64"),
        (("merge", "orders", "2024-05-01"), 2, "blockmix fit orders 2024-05-01"),
    ],
)
def test_a_mistake_is_a_line_and_a_status(blockmix, words, status, said):
    outcome = blockmix(*words)
    assert outcome.returncode == status
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


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
