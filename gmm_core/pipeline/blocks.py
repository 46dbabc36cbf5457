"""What the verbs of a block share: its key, its landed rows, and the way into quarantine."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gmm_core.errors import BlockQuarantined, ComputationFailed, InvalidInput, NotFound
from gmm_core.pipeline.ports import GateReport, Published, Services
from gmm_core.pipeline.streams import Stream, parse_key

__all__ = [
    "all_there",
    "check_key",
    "fitted",
    "landed_block",
    "landed_keys",
    "quarantined",
    "same",
]


def check_key(stream: Stream, key: str) -> None:
    """Raises `InvalidInput` for a day that the stream does not have, or that is not over."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)  # today is not whole yet
    newest = min(stream.end or yesterday, yesterday)
    if not stream.start <= parse_key(key) <= newest:
        raise InvalidInput(
            f"stream {stream.name} has no such block",
            got=key,
            bound=f"{stream.start} to {newest}",
            remedy="choose a day within the stream that is over",
        )


def landed_block(stream: Stream, key: str, at: Services) -> Published:
    """The block's landed rows; raises `NotFound`, or `ComputationFailed` when files of them are gone."""
    landed = at.store.published(stream.name, "landed", key)
    remedy = f"run: blockmix land {stream.name} {key}"
    if landed is None:
        raise NotFound(f"block {key} of {stream.name} has not landed", remedy=remedy)
    if not landed.whole:
        raise ComputationFailed(
            f"the landed rows of block {key} of {stream.name} are not whole",
            got=f"files in {landed.path} that are gone or changed",
            bound="the files that landed",
            remedy=remedy,
        )
    return landed


def all_there(stream: Stream, key: str, landed: Published, got: int, doing: str) -> None:
    """Raises `ComputationFailed` unless as many rows came out of a step as have landed."""
    if got != landed.manifest["rows"]:
        raise ComputationFailed(
            f"not every row of {stream.name} {key} was {doing}",
            got=got,
            bound=f"{landed.manifest['rows']}, the rows that landed",
            remedy="run this again",
        )


def fitted(stream: Stream, key: str, digest: str, at: Services) -> bool:
    """Whether the block's summary is of these rows, and has passed the fit gate as it is now."""
    summary = at.store.summary(stream.name, key)
    passed = at.store.manifest(stream.name, "summaries", key) or {}
    rules = {"rules": stream.gate_fingerprint}
    return summary is not None and summary.input_digest == digest and same(passed, rules, "rules")


def landed_keys(stream: Stream, first: str, last: str, at: Services) -> list[str]:
    """Keys of the landed blocks from one day to another; raises `InvalidInput` for none."""
    start, end = parse_key(first), parse_key(last)
    keys = [key for key in at.store.record_keys(stream.name, "landed") if first <= key <= last]
    if start > end or not keys:
        raise InvalidInput(
            f"no landed blocks of {stream.name}",
            got=f"{first} to {last}",
            bound="two days in order, with landed blocks between them",
            remedy=f"run: blockmix land {stream.name} KEY",
        )
    return keys


def quarantined(
    stream: Stream,
    key: str,
    digest: str,
    folder: str,
    report: GateReport,
    at: Services,
    pages: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
) -> BlockQuarantined:
    """Puts what a gate refused into quarantine; the refusal is for the caller to raise."""
    where = at.store.quarantine(stream.name, key, digest, folder, report, facts)
    return BlockQuarantined(
        f"the {report.gate} gate refused block {key} of {stream.name} ({report.reason})",
        remedy=f"the rows and the report are in {where}; repair the source and run the block again, "
        f"or look at them and run: blockmix release {stream.name} {key} --why REASON",
        pages=pages or {"data_docs": report.page},
    )


def same(present: dict[str, Any], wanted: dict[str, Any], *names: str) -> bool:
    """Whether a manifest says of these names what is wanted."""
    return all(present.get(name) == wanted[name] for name in names)
