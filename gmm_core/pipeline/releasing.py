"""Releasing: a person looked at what a gate refused, and takes it in.

The delivery goes where the gate would have put it, with the reason and the name of who said so; what
follows runs as for any other block. A delivery that comes later goes through the gates again.
"""

from __future__ import annotations

from typing import Any

from gmm_core.errors import InvalidInput, NotFound
from gmm_core.pipeline.aliases import said
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.streams import Stream, parse_key

__all__ = ["release"]

_NOTHING = {"source", "fit"}  # checks that say so: rows that cannot be read, a fit that failed
_SECTIONS = {"rows": "landed", "fit": "landed", "transformed": "transformed"}


def release(stream: Stream, key: str, at: Services, *, why: str, by: str) -> Outcome:
    """Take the newest delivery of a block out of quarantine; `blockmix run` then takes it further.

    Rows that the rows gate refused become the landed rows; the fit gate still looks at them. Rows that the
    fit gate refused are fitted past it. Scored rows that the output gate refused are published.

    Raises `NotFound` when nothing of the block is in quarantine, and `InvalidInput` without a reason, for a
    delivery that no fit succeeded on, for one refused under other features or gates than the stream has
    now, and for scored rows of other rows than have landed since.
    """
    parse_key(key)
    word = said(why, by)
    entry = at.store.quarantined(stream.name).get(key)
    if entry is None:
        raise NotFound(
            f"no block {key} of {stream.name} is in quarantine",
            remedy=f"see: blockmix quarantine {stream.name}",
        )
    manifest = _manifest(stream, key, entry, word, at)
    staged = at.store.stage(stream.name, _SECTIONS[entry["gate"]], key)
    try:
        at.store.copy_rows(f"{entry['path']}/rows", staged)
        section = _SECTIONS[entry["gate"]]
        keep = section == "landed"
        at.store.publish(stream.name, section, key, staged, manifest, keep=keep)
    finally:
        at.store.discard(staged)
    at.store.repaired(stream.name, key, (entry["gate"],), note={"released": word})
    facts = {"gate": entry["gate"], "reason": entry["reason"], **word}
    return Outcome("release", stream.name, key, True, facts, {"data_docs": entry["page"]})


def _manifest(
    stream: Stream, key: str, entry: dict[str, Any], word: dict[str, str], at: Services
) -> dict[str, Any]:
    """What the section's manifest says of the released rows."""
    if any(check["name"] in _NOTHING for check in entry["checks"]):
        raise InvalidInput(
            f"there is nothing of block {key} of {stream.name} to take in: no rows, or no fit of them",
            got=entry["reason"],
            remedy="repair the source and run the block again",
        )
    facts: dict[str, Any] = dict(entry.get("facts") or {})
    rules = stream.rows_fingerprint
    if not facts or facts.get("rules") != rules:
        raise InvalidInput(
            f"block {key} of {stream.name} was refused under other features or gates than it has now",
            remedy=f"run: blockmix land {stream.name} {key}",
        )
    score = f"{sum(check['passed'] for check in entry['checks'])}/{len(entry['checks'])}"
    if entry["gate"] == "transformed":
        landed = at.store.manifest(stream.name, "landed", key) or {}
        if landed.get("digest") != facts["digest"]:
            raise InvalidInput(
                f"the scored rows of {stream.name} {key} are not those that have landed since",
                remedy=f"run: blockmix transform {stream.name} {key}",
            )
        kept = {name: facts[name] for name in ("digest", "version", "facts")}
        return {**kept, "page": entry["page"], "released": word}
    before = facts.pop("released", {"gates": [], "said": []})
    gates = sorted({*before["gates"], entry["gate"]})
    released = {**word, "gates": gates, "said": [*before.get("said", []), word]}
    return {**facts, "gate": score, "page": entry["page"], "released": released}
