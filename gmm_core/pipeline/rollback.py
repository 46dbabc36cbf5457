"""Rollback: the champion of before serves again, in one step, until a person says otherwise."""

from __future__ import annotations

from gmm_core.errors import InvalidInput, NotFound
from gmm_core.pipeline.aliases import CHAMPION, PREVIOUS, Hold, hold_of, move_alias, said, set_hold
from gmm_core.pipeline.lineage import version_facts, version_pages
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.streams import Stream

__all__ = ["resume", "rollback"]


def rollback(
    stream: Stream, at: Services, *, why: str, by: str, version: int | None = None
) -> Outcome:
    """Make `previous`, or the version given, the champion, and hold it there.

    The hold is a tag of the registered model: no merge promotes past it. `resume`, or a promotion that
    says so, ends it. Said twice, it changes nothing. The version that was taken back carries the reason
    as a tag.

    Raises `NotFound` without a champion or a version to go back to, `InvalidInput` without a reason, and
    `ComputationFailed` when somebody else moved the champion at the same time.
    """
    word = said(why, by)
    champion = at.registry.alias(stream.name, CHAMPION)
    if champion is None:
        raise NotFound(f"stream {stream.name} has no champion to go back from")
    hold = hold_of(stream.name, at)
    if hold is not None and hold.version == champion.version and version in (None, hold.version):
        facts = {**version_facts(champion), "decision": f"already held: {hold}"}
        return Outcome("rollback", stream.name, champion.last_block, False, facts)
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
    # The hold first: a merge that runs meanwhile must not undo the move.
    set_hold(stream.name, Hold(target.version, champion.version, **word), at)
    move_alias(stream.name, CHAMPION, target.version, at, expected=champion)
    before = at.registry.alias(stream.name, PREVIOUS)
    move_alias(stream.name, PREVIOUS, champion.version, at, expected=before)
    at.registry.annotate(
        stream.name, champion.version, {"rolled_back": f"{word['by']}: {word['why']}"}
    )
    facts = {**version_facts(target), "instead_of": champion.version, "decision": "rolled back"}
    return Outcome("rollback", stream.name, target.last_block, True, facts, version_pages(target))


def resume(stream: Stream, at: Services) -> Outcome:
    """End the hold of a rollback: the next merge may promote again; the champion stays till then."""
    champion, hold = at.registry.alias(stream.name, CHAMPION), hold_of(stream.name, at)
    key = champion.last_block if champion else ""
    if hold is None:
        return Outcome("resume", stream.name, key, False, {"decision": "no hold in force"})
    set_hold(stream.name, None, at)
    return Outcome("resume", stream.name, key, True, {"decision": f"ended: {hold}"})
