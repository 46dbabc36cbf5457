"""A fit that spark-submit runs: the application, and its answer for the task that comes after it.

The answer goes through the lake, since the driver may run on any machine of a cluster. A refusal is
an answer, not a failure of the application: whoever asked is to say so, and not to try again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from gmm_core.config import load_settings
from gmm_core.errors import BlockmixError, ComputationFailed, InvalidInput, Refused
from gmm_core.pipeline import verbs
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.wiring import open_services

__all__ = ["SUBMITTED", "main", "submitted_fit", "take_answer"]

SUBMITTED = "submitted"  # the section of the lake with the answers


def main(arguments: Sequence[str] | None = None) -> None:
    """What `deploy/submit/fit.py` calls. Ends with status 1 when the fit failed for lack of a service."""
    parser = argparse.ArgumentParser(description="Fit one block inside a submitted application.")
    parser.add_argument("--stream", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--ticket", required=True, help="names this request in its answer")
    parser.add_argument("--k", type=_number, default=None)
    parser.add_argument("--covariance-type", type=lambda text: text or None, default=None)
    given = parser.parse_args(arguments)
    try:
        # The Spark that this application was submitted to, whatever the one is that tasks use.
        settings = load_settings().model_copy(update={"spark_remote": ""})
        stream = load_stream(given.stream, settings.streams)
        wanted = stream.with_overrides(k=given.k, covariance_type=given.covariance_type)
        submitted_fit(wanted, given.key, given.ticket, open_services(settings))
    except BlockmixError as error:
        sys.exit(f"error: {error}")


def _number(text: str) -> int | None:
    return int(text) if text else None  # a form field left empty


def submitted_fit(stream: Stream, key: str, ticket: str, at: Services) -> None:
    """Run the verb and leave its answer in the lake; raises `ComputationFailed` as it does."""
    answer: dict[str, Any] = {"ticket": ticket}
    try:
        answer["outcome"] = verbs.fit(stream, key, at).to_dict()
    except (InvalidInput, Refused) as error:
        answer["refusal"] = error.to_dict()
    at.store.save_record(stream.name, SUBMITTED, key, answer)


def take_answer(stream: Stream, key: str, ticket: str, at: Services) -> Outcome:
    """The outcome of the fit submitted with the ticket, or its refusal raised anew.

    Raises `ComputationFailed` when there is no answer to this ticket.
    """
    answer = at.store.manifest(stream.name, SUBMITTED, key) or {}
    if answer.get("ticket") != ticket:
        raise ComputationFailed(
            f"the submitted fit of {stream.name} {key} left no answer",
            got=answer.get("ticket"),
            bound=ticket,
            remedy="read the log of the task that submitted it, and clear that task",
        )
    if "refusal" in answer:
        raise BlockmixError.from_dict(answer["refusal"])
    return Outcome(**answer["outcome"])
