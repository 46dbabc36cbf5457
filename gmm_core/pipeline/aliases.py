"""Aliases: who may move them, how a lost race is noticed, and the hold that a rollback leaves.

A registry's alias is the last writer's. So whoever moves one says what it was when the decision was made,
and looks again afterwards: a move that somebody else made in between is an error, not a silent loss.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass

from gmm_core.errors import ComputationFailed, InvalidInput, NotFound
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "Hold",
    "hold_of",
    "move_alias",
    "said",
    "served",
    "set_hold",
]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_HOLD = "hold"
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
    _check(stream, alias, at, expected.version if expected else None)
    at.registry.point(stream, alias, version)
    _check(stream, alias, at, version)


def hold_of(stream: str, at: Services) -> Hold | None:
    """The hold that is in force, or `None`."""
    text = at.registry.notes(stream).get(_HOLD)
    return Hold(**json.loads(text)) if text else None


def set_hold(stream: str, hold: Hold | None, at: Services) -> None:
    """Put a hold in force, or end it."""
    at.registry.note(stream, _HOLD, None if hold is None else json.dumps(asdict(hold)))


def served(stream: Stream, key: str, at: Services) -> ModelVersion:
    """The version that a consumer of this block should use: the champion, or the canary's challenger.

    Which blocks the challenger gets is a hash of stream and key, so every consumer, and every repetition,
    has the same answer; `promotion.canary` is their share. Raises `NotFound` without a champion.
    """
    champion = at.registry.alias(stream.name, CHAMPION)
    if champion is None:
        raise NotFound(
            f"stream {stream.name} has no champion yet",
            remedy=f"run: blockmix merge {stream.name} KEY, then promote",
        )
    if _share(stream.name, key) >= stream.promotion.canary or hold_of(stream.name, at) is not None:
        return champion
    return at.registry.alias(stream.name, CHALLENGER) or champion


def _share(stream: str, key: str) -> float:
    digest = hashlib.sha256(f"{stream} {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _check(stream: str, alias: str, at: Services, wanted: int | None) -> None:
    found = at.registry.alias(stream, alias)
    if (found.version if found else None) != wanted:
        raise ComputationFailed(
            f"somebody else moved {alias} of {stream} at the same time",
            got=found.version if found else None,
            bound=f"version {wanted}" if wanted else "no version yet",
            remedy="look at the aliases and run this again",
        )
