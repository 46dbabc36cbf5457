"""A person's word on a promotion: asked for where the stream wants it, and only when there is a question.

Not a DAG file itself (see `.airflowignore`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from blockmix_run import run_verb

from gmm_core.pipeline.streams import Stream

__all__ = ["Approval", "answer_of"]

ASK, MERGED = "ask", "merge"


class Approval(HITLOperator):
    """Judges the merged version; where a person is to be asked, waits for "promote" or "hold".

    Nobody's answer is the judgement's default: `promotion.answer`, and "hold" where the challenger does
    worse. No worker waits meanwhile.
    """

    def __init__(self, *, stream: Stream, **kwargs: Any) -> None:
        super().__init__(
            task_id=ASK,
            subject=f"{stream.name}: promote the new window mixture?",
            options=["promote", "hold"],
            defaults=stream.promotion.answer,
            response_timeout=dt.timedelta(hours=stream.promotion.answer_hours),
            **kwargs,
        )
        self.stream = stream

    def execute(self, context: Mapping[str, Any]) -> Any:
        version = context["ti"].xcom_pull(task_ids=MERGED)["facts"]["version"]
        facts = run_verb("judge", self.stream, context, version=version).facts
        if facts["decision"] != "ask":
            return {"chosen_options": []}
        self.subject = (
            f"{self.stream.name}: promote version {version}, up to {facts['last_block']}?"
        )
        self.body = f"The champion is version {facts['champion']}. {facts['why']}"
        self.defaults = [facts["default"]]
        return super().execute(context)


def answer_of(context: Mapping[str, Any], stream: Stream) -> dict[str, Any]:
    """Answer and who gave it, as `promote` takes them; nothing where nobody was asked."""
    if stream.promotion.approval == "never":
        return {}
    given = context["ti"].xcom_pull(task_ids=ASK) or {}
    chosen = given.get("chosen_options") or []
    if not chosen:
        return {}
    who = given.get("responded_by_user") or {}
    return {"answer": chosen[0], "by": str(who.get("name") or "nobody in time")}
