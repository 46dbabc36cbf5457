"""A person's word on a promotion: asked for where the stream wants it, and only when there is a question.

Not a DAG file itself (see `.airflowignore`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from blockmix_run import event_extra, run_verb

from gmm_core.pipeline.streams import Stream

__all__ = ["Approval", "answer_of", "question_of"]

ASK = "ask"
DEFAULT = "default"  # XCom key of what no answer means
VERSION = "version"  # XCom key of what was asked about


class Approval(HITLOperator):
    """Judges the version that an event of the asset `of` names; where a person is to be asked, waits.

    Skips what follows where there is no question, or none any more. Nobody's answer is the judgement's
    default: `promotion.answer`, and "hold" where the challenger does worse. No worker waits meanwhile, and
    no other run.
    """

    def __init__(self, *, stream: Stream, of: Asset, **kwargs: Any) -> None:
        super().__init__(
            task_id=ASK,
            subject=f"{stream.name}: promote the new window mixture?",
            options=["promote", "hold"],
            defaults=stream.promotion.answer,
            response_timeout=dt.timedelta(hours=stream.promotion.answer_hours),
            **kwargs,
        )
        self.stream = stream
        self.of = of

    def execute(self, context: Mapping[str, Any]) -> Any:
        told: int | None = event_extra(context, self.of).get("version")
        version = context["params"].get("version") or told  # none is the window's own
        facts = run_verb("judge", self.stream, context, version=version).facts
        if facts["decision"] != "ask":
            raise AirflowSkipException(f"no question: {facts['decision']}, {facts['why']}")
        version = facts["version"]
        self.subject = (
            f"{self.stream.name}: promote version {version}, up to {facts['last_block']}?"
        )
        self.body = question_of(facts, self.stream.promotion.answer_hours)
        self.defaults = [facts["default"]]
        # Airflow keeps the question of a task that is cleared, with the default it had then.
        context["ti"].xcom_push(key=DEFAULT, value=facts["default"])
        context["ti"].xcom_push(key=VERSION, value=version)
        return super().execute(context)


def question_of(facts: Mapping[str, Any], hours: float) -> str:
    """What a person needs for an answer, as Markdown: both versions, what is known, what follows."""
    rows = "\n".join(
        f"| {role} | {one['version']} | {one['blocks']} | {one['first_block']} to {one['last_block']} "
        f"| {int(one['rows']):,} |"
        for role, one in (("serves now", facts["serving"]), ("new", facts))
    )
    awaited = f"{hours:g} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    return (
        f"**What is known:** {facts['why']}.\n\n"
        f"| | version | blocks | from and to | rows |\n|---|---|---|---|---|\n{rows}\n\n"
        f"**promote**: version {facts['version']} serves from the next lookup on.\n\n"
        f"**hold**: version {facts['champion']} goes on, and scores this block too.\n\n"
        f"No answer within {awaited} counts as **{facts['default']}**. "
        "The link *MLflow* under *Details* shows the new version, *Data Docs* the gate's report."
    )


def answer_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """Version, answer and who gave it, as `promote` takes them."""
    pull = context["ti"].xcom_pull
    given, version = pull(task_ids=ASK), pull(task_ids=ASK, key=VERSION)
    if who := given.get("responded_by_user"):
        return {"version": version, "answer": given["chosen_options"][0], "by": str(who["name"])}
    default = pull(task_ids=ASK, key=DEFAULT) or given["chosen_options"][0]
    return {"version": version, "answer": default, "by": "nobody in time"}
