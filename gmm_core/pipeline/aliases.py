"""Aliases: who may move them, how a lost race is noticed, and the hold that a rollback leaves.

A registry's alias is the last writer's, and it has no compare-and-set. So whoever moves one signs first, then
looks whether it still is what it was when the decision was made, moves it, and looks at the signature again.
Of two that overlap, one at least finds the other's signature: a lost race is an error, not a silent loss.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from dataclasses import asdict, dataclass

from gmm_core.errors import ComputationFailed, InvalidInput, NotFound
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "REFUSED",
    "TRIGGER",
    "Hold",
    "end_hold",
    "hold_of",
    "move_alias",
    "said",
    "served",
    "set_hold",
]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
REFUSED = "refused"  # tag of a version that was judged worse, or that a person refused: why
TRIGGER = "trigger"  # tag of a version that drift asked for: what did
_HOLD, _MOVER = "hold", "mover"
_LONGEST = 500  # characters of a reason


@dataclass(frozen=True)
class Hold:
    """A person's word that the champion stays until further notice.

    Parameters
    ----------
    version : the champion that stays.
    instead_of : the version that it was taken back from.
    why, by, at : the reason, who said so, and when (UTC).
    """

    version: int
    instead_of: int
    why: str
    by: str
    at: str

    def __str__(self) -> str:
        return f"{self.by} went back from version {self.instead_of} on {self.at[:10]}: {self.why}"


def said(why: str, by: str) -> dict[str, str]:
    """Reason, person and moment as they are recorded; raises `InvalidInput` without reason or person."""
    for name, text in (("why", why), ("by", by)):
        if not text.strip() or len(text) > _LONGEST:
            raise InvalidInput(
                f"{name} must be said", got=text, bound=f"1 to {_LONGEST} characters"
            )
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {"why": why.strip(), "by": by.strip(), "at": now}


def move_alias(
    stream: str, alias: str, version: int, at: Services, *, expected: ModelVersion | None
) -> None:
    """Point an alias at a version, if it still is where it was when that was decided.

    Raises `ComputationFailed` when somebody else moved it before or meanwhile: deciding again may help.
    """
    signature = uuid.uuid4().hex
    at.registry.note(stream, _MOVER, signature)
    _check(stream, alias, at, expected.version if expected else None)
    at.registry.point(stream, alias, version)
    _check(stream, alias, at, version)
    if at.registry.notes(stream).get(_MOVER) != signature:
        raise _lost(stream, alias, got="a move of somebody else's", bound="no other move meanwhile")


def hold_of(stream: str, at: Services) -> Hold | None:
    """The hold that is in force, or `None`."""
    text = at.registry.notes(stream).get(_HOLD)
    return Hold(**json.loads(text)) if text else None


def set_hold(stream: str, hold: Hold | None, at: Services) -> None:
    """Put a hold in force, or end it."""
    at.registry.note(stream, _HOLD, None if hold is None else json.dumps(asdict(hold)))


def end_hold(stream: str, at: Services, *, why: str = "", by: str = "") -> Hold | None:
    """End the hold in force and return it; who did, and why if that is said, stays with the version
    that was taken back as the tag `hold_ended`."""
    hold = hold_of(stream, at)
    if hold is not None:
        text = ": ".join(part for part in (by.strip() or "somebody", why.strip()) if part)
        at.registry.annotate(stream, hold.instead_of, {"hold_ended": text[: 2 * _LONGEST]})
        set_hold(stream, None, at)
    return hold


def served(stream: Stream, key: str, at: Services) -> ModelVersion:
    """The version that a consumer of this block should use: the champion, or the canary's challenger.

    Which blocks the challenger gets is a hash of stream and key, so every consumer, and every repetition,
    has the same answer; `promotion.canary` is their share. A challenger that was refused, by the rows or a
    person, gets none, and none does while a rollback holds the champion. Raises `NotFound` without a
    champion.
    """
    champion = at.registry.alias(stream.name, CHAMPION)
    if champion is None:
        raise NotFound(
            f"stream {stream.name} has no champion yet",
            remedy=f"run: blockmix merge {stream.name} KEY, then promote",
        )
    if _share(stream.name, key) >= stream.promotion.canary or hold_of(stream.name, at) is not None:
        return champion
    challenger = at.registry.alias(stream.name, CHALLENGER)
    return champion if challenger is None or challenger.tags.get(REFUSED) else challenger


def _share(stream: str, key: str) -> float:
    digest = hashlib.sha256(f"{stream} {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _check(stream: str, alias: str, at: Services, wanted: int | None) -> None:
    found = at.registry.alias(stream, alias)
    if (found.version if found else None) != wanted:
        bound = f"version {wanted}" if wanted else "no version yet"
        raise _lost(stream, alias, got=found.version if found else None, bound=bound)


def _lost(stream: str, alias: str, *, got: object, bound: str) -> ComputationFailed:
    return ComputationFailed(
        f"somebody else moved {alias} of {stream} at the same time",
        got=got,
        bound=bound,
        remedy="look at the aliases and run this again",
    )
