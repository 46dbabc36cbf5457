"""Rollback: the champion of before serves again, in one step, until a person says otherwise."""

from __future__ import annotations

from gmm_core.errors import InvalidInput, NotFound
from gmm_core.pipeline.aliases import (
    CHAMPION,
    PREVIOUS,
    REFUSED,
    Hold,
    end_hold,
    hold_of,
    move_alias,
    said,
    set_hold,
)
from gmm_core.pipeline.lineage import version_facts, version_pages
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = ["resume", "rollback"]


def rollback(
    stream: Stream, at: Services, *, why: str, by: str, version: int | None = None
) -> Outcome:
    """Make `previous`, or the version given, the champion, and hold it there.

    The hold is a tag of the registered model: no merge promotes past it. `resume`, or a promotion that
    says so, ends it. The version that was taken back carries the reason as a tag. Said twice, it changes
    nothing; after one that was cut short or lost a race, it does what is left of that one.

    Raises `NotFound` without a champion or a version to go back to, `InvalidInput` without a reason, and
    `ComputationFailed` when somebody else moved the champion at the same time.
    """
    word = said(why, by)
    champion = at.registry.alias(stream.name, CHAMPION)
    if champion is None:
        raise NotFound(f"stream {stream.name} has no champion to go back from")
    hold = hold_of(stream.name, at)
    if hold is None or version not in (None, hold.version):
        target = _target(stream, champion, version, at)
        hold = Hold(target.version, champion.version, **word)
        # The hold first: a merge that runs meanwhile must not undo the move.
        set_hold(stream.name, hold, at)
    return _carried_out(stream, hold, at)


def _target(
    stream: Stream, champion: ModelVersion, version: int | None, at: Services
) -> ModelVersion:
    """The version to go back to."""
    target = (
        at.registry.alias(stream.name, PREVIOUS)
        if version is None
        else at.registry.version(stream.name, version)
    )
    if target is None:
        raise NotFound(
            f"no champion of {stream.name} before version {champion.version}",
            remedy="name one: --version N",
        )
    if target.version == champion.version:
        raise InvalidInput(
            f"version {target.version} of {stream.name} is the champion already",
            remedy="name another: --version N",
        )
    return target


def _carried_out(stream: Stream, hold: Hold, at: Services) -> Outcome:
    """Bring everything to where the hold says that it is; what is there already stays."""
    target, reason = at.registry.version(stream.name, hold.version), f"{hold.by}: {hold.why}"
    changed = False
    for alias, version in ((CHAMPION, hold.version), (PREVIOUS, hold.instead_of)):
        present = at.registry.alias(stream.name, alias)
        if present is None or present.version != version:
            move_alias(stream.name, alias, version, at, expected=present)
            changed = True
    if at.registry.version(stream.name, hold.instead_of).tags.get("rolled_back") != reason:
        tags = {"rolled_back": reason, REFUSED: reason}
        at.registry.annotate(stream.name, hold.instead_of, tags)
        changed = True
    decision = f"rolled back: {reason}" if changed else f"already held: {hold}"
    facts = {**version_facts(target), "instead_of": hold.instead_of, "decision": decision}
    return Outcome(
        "rollback", stream.name, target.last_block, changed, facts, version_pages(target)
    )


def resume(stream: Stream, at: Services, *, why: str = "", by: str = "") -> Outcome:
    """End the hold of a rollback: the next merge may promote again; the champion stays till then.

    Who ended it, and why where that is said, is a tag of the version that was taken back.
    """
    champion = at.registry.alias(stream.name, CHAMPION)
    key = champion.last_block if champion else ""
    hold = end_hold(stream.name, at, why=why, by=by)
    if hold is None:
        return Outcome("resume", stream.name, key, False, {"decision": "no hold in force"})
    facts = {"decision": f"ended: {hold}", "serves": champion.version if champion else "none"}
    facts["next"] = f"another serves after the next merge, or: blockmix promote {stream.name} DAY"
    return Outcome("resume", stream.name, key, True, facts)
