"""The picture of the demo: what is drawn follows from the states of the tasks."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from demo.airflow import TaskState
from demo.board import STEPS, Board

KEYS = ["2017-03-01", "2017-03-02"]


def task(key: str, title: str, state: str, at: int = 0) -> TaskState:
    dag, name = next((dag, name) for t, dag, name in STEPS if t == title)
    moment = [f"2026-01-01T00:00:{second:02d}+00:00" for second in (at, at + 3)]
    return TaskState(f"baskets_{dag}", key, "run", name, state, 3.0, *moment)


@pytest.fixture
def board() -> Board:
    return Board("baskets", KEYS, Console(file=io.StringIO(), width=120))


def text(board: Board) -> str:
    board.console.print(board.table())
    return board.console.file.getvalue()


def test_a_day_is_through_when_its_last_step_is(board):
    board.update(
        [task(KEYS[0], title, "success", at=i) for i, (title, _, _) in enumerate(STEPS)], None
    )
    assert not board.finished(KEYS)
    assert "1 of 2 days" in text(board)
    board.update([task(KEYS[1], "landed", "failed")], None)
    assert board.finished(KEYS)
    assert [t.key for t in board.failures()] == [KEYS[1]]
    assert "refused" in text(board)


def test_wall_time_runs_from_the_first_start_to_the_last_end(board):
    board.update(
        [task(KEYS[0], "landed", "success", at=5), task(KEYS[0], "marts", "success", at=20)], None
    )
    assert board.seconds(KEYS[0]) == 18.0
    assert math.isnan(board.seconds(KEYS[1]))


def test_a_plain_stream_gets_a_line_per_change(board):
    for _ in range(2):
        board.update([task(KEYS[0], "landed", "success")], None)
    assert board.console.file.getvalue().count("2017-03-01 landed: success in 3.0 s") == 1


def test_the_newest_run_of_a_day_is_the_one_shown(board):
    newest, older = (
        task(KEYS[0], "landed", state, at) for state, at in (("failed", 9), ("success", 2))
    )
    board.update([newest, older], None)
    assert [t.key for t in board.failures()] == [KEYS[0]]


def test_tasks_of_other_dags_and_days_are_left_out(board):
    board.update([task("2017-05-01", "landed", "success")], None)
    assert board.tasks == {}
