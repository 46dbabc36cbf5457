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


def test_a_person_is_asked_in_a_run_that_no_merge_waits_for(asking, stored):
    assert asking.import_errors == {}
    merging, dag = asking.dags["orders_merge_window"], asking.dags["orders_approve"]
    assert merging.task_ids == ["merge", "react", "promote"]
    assert merging.max_active_runs == 1 < dag.max_active_runs <= 32
    assert dag.task_ids == ["ask", "promote"]
    assert dag.get_task("promote").upstream_task_ids == {"ask"}
    ask = dag.get_task("ask")
    assert ask.response_timeout == dt.timedelta(hours=2)
    assert ask.defaults == ["hold"]
    assert stored(dag).get_task("ask").task_type == "Approval"
    takes = [one.name for one, _ in stored(dag).timetable.asset_condition.iter_assets()]
    assert takes == ["orders_challenger"]
    gives = [[one.name for one in where.get_task("promote").outlets] for where in (merging, dag)]
    assert gives == [["orders_window_mixture", "orders_challenger"], ["orders_window_mixture"]]


def test_without_one_nothing_stands_there(bag):
    assert "orders_approve" not in bag.dags
    assert bag.dags["orders_merge_window"].task_ids == ["merge", "promote"]


def context_of(of=None, **tasks):
    event = types.SimpleNamespace(extra={"version": 4}, timestamp=0)
    return {
        "ti": Instance(tasks),
        "partition_key": "2024-05-04",
        "params": {"version": None},
        "task_instance": Instance(),
        "triggering_asset_events": {of: [event]},
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


@pytest.mark.parametrize("decision", ["promote", "hold", "none"])
def test_where_the_rule_decided_nobody_is_asked(asking, judged, decision):
    from airflow.sdk.exceptions import AirflowSkipException

    judged(decision)
    ask = asking.dags["orders_approve"].get_task("ask")
    with pytest.raises(AirflowSkipException, match=f"no question: {decision}, worse: -1"):
        ask.execute(context_of(ask.of))


def test_a_question_waits_with_the_reason_and_a_careful_default(asking, judged, monkeypatch):
    from airflow.providers.standard.operators import hitl
    from airflow.sdk.exceptions import TaskAwaitingInput

    judged("ask", default="hold")
    written = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: written.update(detail))
    ask = asking.dags["orders_approve"].get_task("ask")
    with pytest.raises(TaskAwaitingInput) as waiting:
        ask.execute(context_of(ask.of))
    assert waiting.value.timeout == dt.timedelta(hours=2)
    assert written["options"] == ["promote", "hold"]
    assert written["defaults"] == ["hold"]
    assert "version 4" in written["subject"]
    for part in ("worse: -1", "| serves now | 3 | 7 | 2024-04-28 to 2024-05-03 | 2,100 |",
                 "version 4 serves", "within 2 hours counts as **hold**"):  # fmt: skip
        assert part in written["body"]


def test_the_answer_and_who_gave_it_reach_the_verb(run):
    from blockmix_approval import answer_of

    given = {"chosen_options": ["hold"], "responded_by_user": {"id": "1", "name": "ann"}}
    told = answer_of(context_of(ask=given, version=7))
    assert told == {"version": 7, "answer": "hold", "by": "ann"}, (
        "what was asked about, not event's 4"
    )
    late = {"chosen_options": ["promote"], "responded_by_user": None}
    told = answer_of(context_of(ask=late, version=7))
    assert told == {"version": 7, "answer": "promote", "by": "nobody in time"}
    anew = context_of(ask=late, default="hold")
    assert answer_of(anew)["answer"] == "hold", "not what Airflow kept of an earlier try"


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


def test_days_go_on_while_a_person_thinks(declare, parse, monkeypatch):
    """The functions that Airflow calls, over the twins: what is announced is what scores the block."""
    from airflow.sdk.exceptions import AirflowSkipException
    from orders import KEYS, make_rows

    from gmm_core.pipeline import verbs, wiring
    from gmm_core.pipeline.memory import memory_services

    small = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    folder = declare(promotion={"approval": "always"}, triggers={"on_drift": "wider_k"}, **small)
    stream, dags = load_stream("orders", folder.parent), parse().dags
    merging, asking = dags["orders_merge_window"], dags["orders_approve"]
    at = memory_services({key: make_rows(key, n=150) for key in KEYS[:4]})
    monkeypatch.setattr(wiring, "open_services", lambda: at)

    def context(key, outlets, **more):
        events = {asset: event_of() for asset in outlets}
        return {"partition_key": key, "params": {}, "triggering_asset_events": {},
                "ti": Instance(), "outlet_events": events, **more}  # fmt: skip

    def day(key):
        """A day's land, fit and merge run; what it decided, and its events of window and challenger."""
        for verb in (verbs.land, verbs.fit):
            verb(stream, key, at)
        told = context(key, merging.get_task("promote").outlets)
        merged = merging.get_task("merge").python_callable(**told)
        merged = merging.get_task("react").python_callable(merged, **told)
        facts = merging.get_task("promote").python_callable(merged, **told)["facts"]
        return facts["decision"], *told["outlet_events"].values()

    def answered(key, challenger, chosen):
        """What a run that asked about an event decides on an answer, and its event of the window."""
        given = {"chosen_options": [chosen], "responded_by_user": {"name": "ann"}}
        [window], of = asking.get_task("promote").outlets, asking.get_task("ask").of
        asked = Instance(ask=given, version=challenger.extra["version"])
        more = {"ti": asked, "triggering_asset_events": {of: [challenger]}}
        told = context(key, [window], **more)
        try:
            decision = asking.get_task("promote").python_callable(**told)["facts"]["decision"]
        except AirflowSkipException as skipped:  # what is published of the block stays
            decision = str(skipped)
        return decision, told["outlet_events"][window]

    days = {key: day(key) for key in KEYS[:4]}
    assert days[KEYS[0]][0] == "promoted"
    for version, key in enumerate(KEYS[1:4], start=2):
        decision, window, challenger = days[key]
        assert "waits for a person" in decision
        assert (window.extra, challenger.extra) == ({"version": 1}, {"version": version})
        assert window.partitions == challenger.partitions == [key]
    # Two days later a person answers the first question, then the third, then the second.
    decision, window = answered(KEYS[1], days[KEYS[1]][2], "promote")
    assert (decision, window.extra) == ("promoted", {"version": 2})
    decision, window = answered(KEYS[3], days[KEYS[3]][2], "promote")
    assert (decision, window.extra) == ("promoted", {"version": 4})
    decision, window = answered(KEYS[2], days[KEYS[2]][2], "promote")
    assert (decision, window.extra) == (f"held: champion 4 knows blocks up to {KEYS[3]}", None)
    assert at.registry.alias("orders", "champion").version == 4
    assert "(without effect)" in at.registry.version("orders", 3).tags["answer"]
    assert at.registry.alias("orders", "previous").version == 2


def event_of():
    """An outlet's event as a task has it, and as those that wait for it get it."""
    event = types.SimpleNamespace(extra=None, partitions=[], timestamp=0)
    event.add_partitions = event.partitions.append
    return event


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
    window, challenger = promote.outlets
    for key in KEYS[:2]:
        for verb in (verbs.land, verbs.fit):
            verb(stream, key, at)
        event = event_of()
        context = {
            "partition_key": key,
            "params": {"version": None},
            "ti": Instance(),
            "outlet_events": {window: event, challenger: event_of()},
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
