"""What the tasks of the Blockmix DAGs do: find the run's block and settings, call the verb, tell of it.

Not a DAG file itself (see `.airflowignore`). Everything heavy is imported inside the functions.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from gmm_core.config import load_settings
from gmm_core.errors import InvalidInput, Refused
from gmm_core.pipeline.settings.mixtures import MAX_WINDOW
from gmm_core.pipeline.settings.sources import connection_variable
from gmm_core.pipeline.streams import Stream, parse_key

if TYPE_CHECKING:
    from gmm_core.pipeline.verbs import Outcome

__all__ = [
    "PAGES",
    "announce",
    "block_key",
    "event_extra",
    "overrides",
    "requested_days",
    "rollback_asked",
    "run_verb",
    "settings_to_tell",
    "windows_of",
]

PAGES = "pages"  # XCom key under which plugins/blockmix_plugin.py finds a task's pages


def run_verb(name: str, stream: Stream, context: Mapping[str, Any], **options: Any) -> Outcome:
    """Run a verb on the run's block; its pages go to XCom, also when a gate refuses."""
    from gmm_core.pipeline import submitting, verbs, wiring

    log = logging.getLogger(f"blockmix.{name}")
    try:
        key = block_key(context)
        if name == "marts":
            outcome = wiring.build_marts(stream, key, **options)
        elif name == "fit" and load_settings().spark_connection:
            ticket = str(context["run_id"])
            outcome = submitting.take_answer(stream, key, ticket, wiring.open_services())
        else:
            _know_connection(stream)
            outcome = getattr(verbs, name)(stream, key, wiring.open_services(), **options)
    except (InvalidInput, Refused) as error:
        pages = getattr(error, "pages", {})
        _publish(pages, context)
        # The message says it all; the frames inside the verb would only hide it.
        log.error("%s%s", error, _links(pages))  # noqa: TRY400
        raise error.with_traceback(None) from None
    _publish(outcome.pages, context)
    done = "done" if outcome.changed else "nothing to do"
    what = f"{name} {stream.name} {key}: {done}"
    log.info("%s %s%s", what, outcome.facts, _links(outcome.pages))
    return outcome


def _know_connection(stream: Stream) -> None:
    """Puts the Airflow connection of a stream's database, if there is one, where land looks for it."""
    name = stream.source.connection
    if name is None or connection_variable(name) in os.environ:
        return
    with suppress(AirflowNotFoundException):  # the verb says what is missing
        os.environ[connection_variable(name)] = Connection.get(name).get_uri()


def rollback_asked(stream: Stream, context: Mapping[str, Any]) -> Outcome:
    """What the form of a rollback asks for; the person is who started the run."""
    from gmm_core.pipeline import verbs, wiring

    asked, services = context["params"], wiring.open_services()
    by = getattr(context["dag_run"], "triggering_user_name", None) or "somebody in Airflow"
    if asked["action"] == "end the hold":
        outcome = verbs.resume(stream, services, why=asked["why"], by=by)
    else:
        outcome = verbs.rollback(
            stream, services, why=asked["why"], by=by, version=asked["version"]
        )
    _publish(outcome.pages, context)
    log, facts = logging.getLogger("blockmix.rollback"), outcome.facts
    log.info("%s: %s", stream.name, facts.get("decision", "done"))
    if "instead_of" in facts:
        log.info("version %s serves instead of %s", facts["version"], facts["instead_of"])
    return outcome


def _links(pages: Mapping[str, str]) -> str:
    return "".join(f"\n{page}: {where}" for page, where in pages.items() if where)


def _publish(pages: Mapping[str, str], context: Mapping[str, Any]) -> None:
    if any(pages.values()):
        context["ti"].xcom_push(key=PAGES, value=dict(pages))


def block_key(context: Mapping[str, Any]) -> str:
    """The block key of a run: its partition key, else the parameter `block_key`."""
    key = context.get("partition_key") or context["params"].get("block_key")
    if not key:
        raise InvalidInput(
            "this run names no block",
            bound="a partition key, or the parameter block_key",
            remedy="start it by a backfill or with a partition key, or fill in block_key",
        )
    parse_key(key)
    return str(key)


def overrides(context: Mapping[str, Any], asset: Asset | None = None) -> dict[str, Any]:
    """Fit settings that differ from the stream's: the run's own, over those its event carries.

    A fit is announced to every window that holds its block; its settings are meant for the windows
    up to the last block of its request alone.
    """
    names = ("k", "window", "covariance_type")
    own = {name: context["params"].get(name) for name in names}
    event = event_extra(context, asset) if asset else {}
    carried = event["overrides"] if event and block_key(context) <= event["through"] else {}
    return {**carried, **{name: value for name, value in own.items() if value is not None}}


def settings_to_tell(context: Mapping[str, Any]) -> dict[str, Any]:
    """What the event of a fit carries: the run's settings, and the last block whose window takes them."""
    through = context["params"].get("through") or block_key(context)
    return {"overrides": overrides(context), "through": through}


def event_extra(context: Mapping[str, Any], asset: Asset) -> dict[str, Any]:
    """What the newest event that started this run carries; nothing for a run by hand."""
    events = context["triggering_asset_events"].get(asset) or ()
    newest = max(events, key=lambda event: event.timestamp, default=None)
    return dict(newest.extra) if newest else {}


def announce(context: Mapping[str, Any], asset: Asset, key: str, version: int) -> None:
    """Tell those who wait for a block's partition of an asset which version it is about."""
    event = context["outlet_events"][asset]
    event.extra = {"version": version}
    event.add_partitions(key)


def windows_of(stream: Stream, key: str) -> list[str]:
    """The block key, and the keys of later present blocks whose window holds this block.

    A block that comes out of order, or is repaired after quarantine, belongs to windows that were
    merged without it. Their partitions are announced again, so that they are merged anew.
    """
    from gmm_core.pipeline.windows import windows_with
    from gmm_core.pipeline.wiring import open_services

    present = open_services().store.summary_keys(stream.name)
    return windows_with(key, present, stream.window.blocks)


def requested_days(stream: Stream, first: str, last: str) -> list[str]:
    """The block keys from `first` to `last`, both included; raises `InvalidInput`."""
    from gmm_core.pipeline.blocks import check_key

    for key in (first, last):
        check_key(stream, key)
    start, end = parse_key(first), parse_key(last)
    count = (end - start).days + 1
    if not 1 <= count <= MAX_WINDOW:
        raise InvalidInput(
            "first_day and last_day are not a range of days",
            got=f"{first} to {last}",
            bound=f"1 to {MAX_WINDOW} days, first_day not after last_day",
            remedy="for a longer range start a backfill",
        )
    return [str(start + dt.timedelta(days=i)) for i in range(count)]
