"""The house rules for DAGs. A failure names the DAG, the task and what to do."""

from __future__ import annotations

import ast
import datetime as dt

import pytest

VERBS = {"land", "fit", "merge", "promote", "transform"}


def test_there_are_dags_and_they_import(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == {
        "blockmix_request",
        "blockmix_rollback",
        "orders_fit_block",
        "orders_merge_window",
        "orders_transform",
    }


def test_the_streams_of_the_repository_have_their_dags(parse, monkeypatch):
    monkeypatch.delenv("BLOCKMIX_STREAMS", raising=False)
    bag = parse()
    assert bag.import_errors == {}
    assert {"baskets_fit_block", "baskets_merge_window", "baskets_transform"} <= set(bag.dags)


def test_every_verb_is_wired_once(bag):
    tasks = [task.task_id for dag in bag.dags.values() for task in dag.tasks]
    assert sorted(set(tasks) & VERBS) == sorted(t for t in tasks if t in VERBS) == sorted(VERBS)


RULES = {
    "an on-call page (doc_md)": lambda dag: len((dag.doc_md or "").splitlines()) >= 5,
    "a page that says what red means": lambda dag: "**A red `" in dag.doc_md,
    "a description": lambda dag: bool(dag.description),
    "the tag blockmix": lambda dag: "blockmix" in dag.tags,
    "catchup off": lambda dag: dag.catchup is False,
    "a bound on its runs (max_active_runs)": lambda dag: 1 <= dag.max_active_runs <= 8,
    "to be unpaused when it appears": lambda dag: dag.is_paused_upon_creation is False,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_dag_has(bag, rule):
    wrong = [dag.dag_id for dag in bag.dags.values() if not RULES[rule](dag)]
    assert not wrong, f"{wrong} must have {rule}: use dag_settings of dags/blockmix_dag.py"


def test_every_task_has_an_owner_and_retries_only_what_may_help(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            name = f"{dag.dag_id}.{task.task_id}"
            assert task.owner in ("orders-team", "data-team"), f"{name} has no owner"
            assert 1 <= task.retries <= 3, f"{name}: retries are {task.retries}, use RETRIES"
            assert task.retry_delay >= dt.timedelta(seconds=5), f"{name} retries at once"
            assert task.retry_policy is not None, f"{name} repeats what cannot help, use RETRIES"
            assert task.depends_on_past is False, (
                f"{name} waits for the run before: windows need no order"
            )


def test_what_is_final_fails_and_what_may_pass_is_retried(bag):
    from gmm_core.errors import (
        BlockQuarantined,
        FitFailed,
        InvalidInput,
        ModelRefused,
        NotFound,
        OutputRefused,
        ServiceUnavailable,
    )

    policy = bag.dags["orders_merge_window"].get_task("merge").retry_policy
    final = (BlockQuarantined, ModelRefused, OutputRefused, InvalidInput, NotFound)
    for kind in (*final, FitFailed, ServiceUnavailable):
        decision = policy.evaluate(exception=kind("why"), try_number=1, max_tries=3, context=None)
        assert decision.action.value == ("fail" if kind in final else "retry"), kind
        assert decision.reason


def test_one_writer_at_a_time_moves_aliases_and_writes_the_marts(bag):
    assert bag.dags["orders_merge_window"].max_active_runs == 1
    assert bag.dags["orders_transform"].get_task("build").max_active_tis_per_dag == 1


def test_blocks_are_fitted_side_by_side_within_bounds(bag):
    for task in bag.dags["orders_fit_block"].tasks:
        assert task.max_active_tis_per_dag == bag.dags["orders_fit_block"].max_active_runs == 4


def test_a_block_under_way_goes_before_a_new_one(bag):
    urgency = {
        name: {task.priority_weight for task in bag.dags[f"orders_{name}"].tasks}
        for name in ("fit_block", "merge_window", "transform")
    }
    assert urgency == {"fit_block": {1}, "merge_window": {2}, "transform": {3}}


def test_a_backfill_of_a_finished_stream_gives_its_days(bag):
    dag = bag.dags["orders_fit_block"]
    assert dag.start_date == dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    assert dag.end_date == dt.datetime(2024, 5, 11, tzinfo=dt.UTC), "the run after the last day"


@pytest.mark.parametrize("dag_id", ["orders_merge_window", "orders_transform"])
def test_what_follows_has_no_end(bag, dag_id):
    assert bag.dags[dag_id].end_date is None, "a late block is merged whenever it comes"


def test_a_run_takes_the_day_that_has_just_ended(bag, stored):
    timetable = stored(bag.dags["orders_fit_block"]).timetable
    midnight = dt.datetime(2024, 5, 4, tzinfo=dt.UTC)
    assert timetable._get_partition_info(midnight)[1] == "2024-05-03"


def test_partition_keys_are_block_keys(bag, stored):
    first, last = (dt.datetime(2024, 5, d, tzinfo=dt.UTC) for d in (1, 3))
    timetable = stored(bag.dags["orders_fit_block"]).timetable
    infos = timetable.iter_partition_dagrun_infos(earliest=first, latest=last)
    assert [info.partition_key for info in infos] == ["2024-05-01", "2024-05-02", "2024-05-03"]


def test_the_chain_is_tied_by_assets(bag, stored):
    gives = {
        dag_id: [asset.name for task in dag.tasks for asset in task.outlets]
        for dag_id, dag in bag.dags.items()
    }
    assert gives["orders_fit_block"] == ["orders_block_mixture"]
    assert gives["orders_merge_window"] == ["orders_window_mixture"]
    takes = {
        dag_id: [
            key.name for key, _ in stored(bag.dags[dag_id]).timetable.asset_condition.iter_assets()
        ]
        for dag_id in ("orders_merge_window", "orders_transform")
    }
    assert takes["orders_merge_window"] == gives["orders_fit_block"]
    assert takes["orders_transform"] == gives["orders_merge_window"]


def test_parsing_twice_gives_the_same_dags(declare, parse):
    from airflow.serialization.serialized_objects import DagSerialization

    declare()
    first, second = (
        {d: DagSerialization.to_dict(dag) for d, dag in parse().dags.items()} for _ in range(2)
    )
    assert first == second, "every difference makes a new DAG version"


def test_dag_files_are_short_and_documented(dags_folder):
    files = sorted(dags_folder.glob("*.py"))
    assert len(files) >= 5
    for path in files:
        source = path.read_text()
        assert ast.get_docstring(ast.parse(source)), f"{path.name} has no docstring"
        if "with DAG(" in source:
            lines = len(source.splitlines())
            assert lines <= 80, (
                f"{path.name} has {lines} lines: wiring belongs here, work in gmm_core"
            )


def test_shared_modules_are_not_parsed_as_dag_files(bag, dags_folder):
    parsed = {stat.file.lstrip("/") for stat in bag.dagbag_stats}
    holders = {
        path.name for path in dags_folder.glob("*.py") if not path.name.startswith("blockmix_")
    }
    assert parsed == holders | {"blockmix_request.py"}
