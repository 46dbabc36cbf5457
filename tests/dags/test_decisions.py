"""Approval and rollback as Airflow has them: the graph, what is asked, and what becomes of the answer."""

from __future__ import annotations

import datetime as dt
import types

import pytest

from gmm_core.errors import InvalidInput
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.stream_files import load_stream

APPROVAL = {"approval": "always", "answer_hours": 2, "answer": "hold"}


class Instance(dict):
    """A task instance: what other tasks left, and what this one publishes."""

    id = "an-id"

    def xcom_pull(self, task_ids):
        return self.get(task_ids)

    def xcom_push(self, key, value):
        self[key] = value


@pytest.fixture
def asking(declare, parse):
    declare(promotion=APPROVAL, triggers={"on_drift": "wider_k"})
    return parse()


def test_an_approval_stands_between_merge_and_promote(asking, stored):
    assert asking.import_errors == {}
    dag = asking.dags["orders_merge_window"]
    assert dag.task_ids == ["merge", "react", "promote", "ask"]
    assert dag.get_task("promote").upstream_task_ids == {"react", "ask"}
    assert dag.get_task("ask").upstream_task_ids == {"react"}
    ask = dag.get_task("ask")
    assert ask.response_timeout == dt.timedelta(hours=2)
    assert ask.defaults == ["hold"]
    assert stored(dag).get_task("ask").task_type == "Approval"


def test_without_one_nothing_stands_there(bag):
    assert bag.dags["orders_merge_window"].task_ids == ["merge", "promote"]


def context_of(**tasks):
    return {
        "ti": Instance(tasks),
        "partition_key": "2024-05-04",
        "params": {},
        "task_instance": Instance(),
    }


@pytest.fixture
def judged(monkeypatch):
    """Makes `judge` answer as told."""

    def answer(decision, default="promote"):
        from gmm_core.pipeline import verbs

        facts = {"decision": decision, "why": "worse: -1", "default": default,
                 "last_block": "2024-05-04", "champion": 3}  # fmt: skip
        monkeypatch.setattr(
            verbs,
            "judge",
            lambda stream, key, at, version: Outcome("judge", "orders", key, False, facts),
        )

    return answer


def test_where_the_rule_decided_nobody_is_asked(asking, judged):
    judged("promote")
    ask = asking.dags["orders_merge_window"].get_task("ask")
    assert ask.execute(context_of(merge={"facts": {"version": 4}})) == {"chosen_options": []}


def test_a_question_waits_with_the_reason_and_a_careful_default(asking, judged, monkeypatch):
    from airflow.providers.standard.operators import hitl
    from airflow.sdk.exceptions import TaskAwaitingInput

    judged("ask", default="hold")
    written = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: written.update(detail))
    ask = asking.dags["orders_merge_window"].get_task("ask")
    with pytest.raises(TaskAwaitingInput) as waiting:
        ask.execute(context_of(merge={"facts": {"version": 4}}))
    assert waiting.value.timeout == dt.timedelta(hours=2)
    assert written["options"] == ["promote", "hold"]
    assert written["defaults"] == ["hold"]
    assert "version 4" in written["subject"]
    assert "champion is version 3. worse: -1" in written["body"]


def test_the_answer_and_who_gave_it_reach_the_verb(run, declare):
    from blockmix_approval import answer_of

    stream = load_stream("orders", declare(promotion=APPROVAL).parent)
    given = {"chosen_options": ["hold"], "responded_by_user": {"id": "1", "name": "ann"}}
    assert answer_of(context_of(ask=given), stream) == {"answer": "hold", "by": "ann"}
    late = {"chosen_options": ["promote"], "responded_by_user": None}
    assert answer_of(context_of(ask=late), stream) == {"answer": "promote", "by": "nobody in time"}
    assert answer_of(context_of(ask={"chosen_options": []}), stream) == {}


def test_a_rollback_is_a_form_with_a_reason(bag, run, monkeypatch):
    dag = bag.dags["blockmix_rollback"]
    assert dag.max_active_runs == 1
    assert dag.schedule is None or dag.timetable.can_be_scheduled is False
    assert set(dag.params) == {"stream", "why", "version", "resume"}
    from gmm_core.pipeline import verbs, wiring

    asked = []
    monkeypatch.setattr(wiring, "open_services", lambda: "services")
    monkeypatch.setattr(verbs, "rollback", lambda *a, **k: asked.append(("rollback", k)) or done())
    monkeypatch.setattr(verbs, "resume", lambda *a: asked.append(("resume", a[1])) or done())
    stream = types.SimpleNamespace(name="orders")
    context = {
        "ti": Instance(),
        "dag_run": types.SimpleNamespace(triggering_user_name="ann"),
        "params": {"why": "odd scores", "version": None, "resume": False},
    }
    run.rollback_asked(stream, context)
    context["params"]["resume"] = True
    run.rollback_asked(stream, context)
    assert asked == [
        ("rollback", {"why": "odd scores", "by": "ann", "version": None}), ("resume", "services"),
    ]  # fmt: skip


def test_the_tasks_of_a_window_as_they_are_wired(declare, parse, monkeypatch):
    """The functions that Airflow calls, over the twins: what is announced is what scores the block."""
    from orders import KEYS, make_rows

    from gmm_core.pipeline import verbs, wiring
    from gmm_core.pipeline.memory import memory_services

    small = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    folder = declare(promotion={"approval": "always"}, triggers={"on_drift": "wider_k"}, **small)
    stream, dag = load_stream("orders", folder.parent), parse().dags["orders_merge_window"]
    at = memory_services({key: make_rows(key, n=150) for key in KEYS[:3]})
    monkeypatch.setattr(wiring, "open_services", lambda: at)
    told = {}

    def day(key, **answer):
        for verb in (verbs.land, verbs.fit):
            verb(stream, key, at)
        event = types.SimpleNamespace(extra=None, add_partitions=lambda keys: None)
        window = dag.get_task("promote").outlets[0]
        context = {"partition_key": key, "params": {}, "triggering_asset_events": {},
                   "ti": Instance(ask=answer), "outlet_events": {window: event}}  # fmt: skip
        merged = dag.get_task("merge").python_callable(**context)
        merged = dag.get_task("react").python_callable(merged, **context)
        told[key] = dag.get_task("promote").python_callable(merged, **context)["facts"]["decision"]
        return event.extra

    assert day(KEYS[0]) == {"version": 1}
    assert day(KEYS[1]) == {"version": 1}
    assert "waits for a person" in told[KEYS[1]]
    assert day(KEYS[2], chosen_options=["promote"], responded_by_user={"name": "ann"}) == {
        "version": 3
    }
    assert at.registry.alias("orders", "champion").version == 3


def done():
    return Outcome("rollback", "orders", "2024-05-04", True)


def test_a_rollback_without_a_reason_is_refused(run, declare):
    stream = load_stream("orders", declare().parent)
    context = {
        "ti": Instance(),
        "dag_run": None,
        "params": {"why": "", "version": None, "resume": False},
    }
    with pytest.raises(InvalidInput, match="why must be said"):
        run.rollback_asked(stream, context)
