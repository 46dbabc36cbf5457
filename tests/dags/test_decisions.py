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

    def xcom_pull(self, task_ids, key="return_value"):
        return self.get(task_ids if key == "return_value" else key)

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

        new = {"version": 4, "blocks": "7", "rows": "2100",
               "first_block": "2024-04-28", "last_block": "2024-05-04"}  # fmt: skip
        now = {**new, "version": 3, "last_block": "2024-05-03"}
        facts = {**new, "decision": decision, "why": "worse: -1", "default": default,
                 "champion": 3, "serving": now}  # fmt: skip
        monkeypatch.setattr(
            verbs,
            "judge",
            lambda stream, key, at, version: Outcome("judge", "orders", key, False, facts),
        )

    return answer


def test_where_the_rule_decided_nobody_is_asked(asking, judged):
    judged("promote")
    ask = asking.dags["orders_merge_window"].get_task("ask")
    assert ask.execute(context_of(react={"facts": {"version": 4}})) == {"chosen_options": []}


def test_a_question_waits_with_the_reason_and_a_careful_default(asking, judged, monkeypatch):
    from airflow.providers.standard.operators import hitl
    from airflow.sdk.exceptions import TaskAwaitingInput

    judged("ask", default="hold")
    written = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: written.update(detail))
    ask = asking.dags["orders_merge_window"].get_task("ask")
    with pytest.raises(TaskAwaitingInput) as waiting:
        ask.execute(context_of(react={"facts": {"version": 4}}))
    assert waiting.value.timeout == dt.timedelta(hours=2)
    assert written["options"] == ["promote", "hold"]
    assert written["defaults"] == ["hold"]
    assert "version 4" in written["subject"]
    for part in ("worse: -1", "| serves now | 3 | 7 | 2024-04-28 to 2024-05-03 | 2,100 |",
                 "version 4 serves", "within 2 hours counts as **hold**"):  # fmt: skip
        assert part in written["body"]


def test_the_answer_and_who_gave_it_reach_the_verb(run, declare):
    from blockmix_approval import answer_of

    stream = load_stream("orders", declare(promotion=APPROVAL).parent)
    given = {"chosen_options": ["hold"], "responded_by_user": {"id": "1", "name": "ann"}}
    assert answer_of(context_of(ask=given), stream) == {"answer": "hold", "by": "ann"}
    late = {"chosen_options": ["promote"], "responded_by_user": None}
    assert answer_of(context_of(ask=late), stream) == {"answer": "promote", "by": "nobody in time"}
    anew = context_of(ask=late, default="hold")
    assert answer_of(anew, stream)["answer"] == "hold", "not what Airflow kept of an earlier try"
    assert answer_of(context_of(ask={"chosen_options": []}), stream) == {}


def test_a_rollback_is_a_form_with_a_reason(bag, run, monkeypatch):
    dag = bag.dags["blockmix_rollback"]
    assert dag.max_active_runs == 1
    assert dag.schedule is None or dag.timetable.can_be_scheduled is False
    assert set(dag.params) == {"stream", "action", "why", "version"}
    from gmm_core.pipeline import verbs, wiring

    asked = []
    monkeypatch.setattr(wiring, "open_services", lambda: "services")
    monkeypatch.setattr(verbs, "rollback", lambda *a, **k: asked.append(("rollback", k)) or done())
    monkeypatch.setattr(verbs, "resume", lambda *a, **k: asked.append(("resume", k)) or done())
    stream = types.SimpleNamespace(name="orders")
    context = {
        "ti": Instance(),
        "dag_run": types.SimpleNamespace(triggering_user_name="ann"),
        "params": {"action": "go back", "why": "odd scores", "version": None},
    }
    run.rollback_asked(stream, context)
    context["params"]["action"] = "end the hold"
    run.rollback_asked(stream, context)
    assert asked == [
        ("rollback", {"why": "odd scores", "by": "ann", "version": None}),
        ("resume", {"why": "odd scores", "by": "ann"}),
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


def test_a_scheduled_transform_gives_the_canary_its_blocks(declare, parse, monkeypatch):
    """What `promote` announces is what `transform` pins: the challenger, where the block is the canary's."""
    from orders import KEYS, make_rows

    from gmm_core.pipeline import verbs, wiring
    from gmm_core.pipeline.memory import memory_services

    small = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    folder = declare(promotion={"approval": "always", "canary": 1.0}, **small)
    stream, dags = load_stream("orders", folder.parent), parse().dags
    at = memory_services({key: make_rows(key, n=150) for key in KEYS[:2]})
    monkeypatch.setattr(wiring, "open_services", lambda: at)
    promote, score = (
        dags[f"orders_{dag}"].get_task(task)
        for dag, task in (("merge_window", "promote"), ("transform", "transform"))
    )
    (window,) = promote.outlets
    for key in KEYS[:2]:
        for verb in (verbs.land, verbs.fit):
            verb(stream, key, at)
        event = types.SimpleNamespace(extra=None, add_partitions=lambda keys: None, timestamp=0)
        context = {
            "partition_key": key,
            "params": {"version": None},
            "ti": Instance(),
            "outlet_events": {window: event},
            "triggering_asset_events": {window: [event]},
        }
        promote.python_callable(verbs.merge(stream, key, at).to_dict(), **context)
        scored = score.python_callable(**context)
    assert event.extra == {"version": 2}
    assert scored["facts"]["version"] == 2
    assert at.registry.alias("orders", "champion").version == 1


def done():
    return Outcome("rollback", "orders", "2024-05-04", True)


def test_a_rollback_without_a_reason_is_refused(run, declare):
    stream = load_stream("orders", declare().parent)
    context = {
        "ti": Instance(),
        "dag_run": None,
        "params": {"action": "go back", "why": "", "version": None},
    }
    with pytest.raises(InvalidInput, match="why must be said"):
        run.rollback_asked(stream, context)
