"""What the verbs of a block share: its key, its landed rows, and the way into quarantine."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gmm_core.errors import BlockQuarantined, InvalidInput, NotFound
from gmm_core.pipeline.ports import GateReport, Services
from gmm_core.pipeline.streams import Stream, parse_key

__all__ = ["check_key", "landed_block", "landed_keys", "quarantined", "same"]


def check_key(stream: Stream, key: str) -> None:
    """Raises `InvalidInput` for a day that the stream does not have, or that is not over."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)  # today is not whole yet
    newest = min(stream.end or yesterday, yesterday)
    if not stream.start <= parse_key(key) <= newest:
        raise InvalidInput(
            f"stream {stream.name} has no such block",
            got=key,
            bound=f"{stream.start} to {newest}",
        )


def landed_block(stream: Stream, key: str, at: Services) -> dict[str, Any]:
    """Manifest of the block's landed rows; raises `NotFound`."""
    landed = at.store.manifest(stream.name, "landed", key)
    if landed is None:
        raise NotFound(
            f"block {key} of {stream.name} has not landed",
            remedy=f"run: blockmix land {stream.name} {key}",
        )
    return landed


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
