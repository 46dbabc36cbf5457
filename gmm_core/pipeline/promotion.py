"""Promotion: a challenger becomes champion, is held, or a person is asked, as it was judged (judging.py)."""

from __future__ import annotations

from gmm_core.pipeline.aliases import (
    CHAMPION,
    PREVIOUS,
    REFUSED,
    end_hold,
    hold_of,
    move_alias,
    served,
)
from gmm_core.pipeline.describing import describe, is_the_days
from gmm_core.pipeline.judging import Answer, Decision, Judgement, candidate_of, judgement_of
from gmm_core.pipeline.lineage import version_facts, version_pages
from gmm_core.pipeline.measuring import record
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = ["promote"]


def promote(
    stream: Stream,
    key: str,
    at: Services,
    version: int | None = None,
    *,
    answer: Answer | None = None,
    by: str = "",
    why: str = "",
    resume: bool = False,
) -> Outcome:
    """Make a window mixture the champion; the champion of before becomes `previous`.

    `version` names it; without it, the version of the window as of `key`. It is held back when its newest
    block is older than the champion's (filling in the past never moves consumers back in time), when it is
    an older version of the champion's own window, unless that is what the window's blocks give now, while
    a rollback holds the champion, or when it does worse on rows that neither has seen.

    Parameters
    ----------
    answer, by, why : a person's, who it is, and a reason if one is said: it decides where the rows cannot,
        and where they said "worse". The version carries all three as a tag, also where they came too late.
    resume : end the hold of a rollback with it, as a person's word; it stays where the version is held back.

    The fact `serves` is the version that the block is to be scored with: while the candidate is not champion,
    what `served` says, so a share of the blocks gets a challenger that nobody refused (`promotion.canary`).
    The fact `asks` is the version that waits for a person's word, where one does.
    """
    candidate = candidate_of(stream, key, at, version)
    champion = at.registry.alias(stream.name, CHAMPION)
    hold = None if resume else hold_of(stream.name, at)
    found = judgement_of(stream, candidate, champion, hold, at)
    if found.gain is not None:
        gains = {"challenger_gain": found.gain.mean, "challenger_gain_error": found.gain.error}
        record(stream, key, "promote", gains, at, candidate.version)
    decision, reason = found.decision, found.why
    if answer is not None:
        decision, reason = _answered(stream, candidate, found, answer, by, why, at)
    if resume and decision in ("promote", "none"):
        end_hold(stream.name, at, why=why, by=by)
    facts = {**version_facts(candidate), "champion": candidate.version, "serves": candidate.version}
    pages = version_pages(candidate)
    if decision == "none":
        return Outcome("promote", stream.name, key, False, {**facts, "decision": reason}, pages)
    if decision != "promote" and champion is not None:
        # A window of the past scores its own block whoever is champion.
        past = candidate.last_block < champion.last_block
        if decision == "ask":
            say = f"blockmix promote {stream.name} {key} --version {candidate.version} --yes"
            reason = f"waits for a person ({reason}): {say}"
            facts["asks"] = candidate.version
        facts |= {"champion": champion.version, "decision": f"held: {reason}"}
        if not past:
            if not found.final:
                refused = found.worse or answer == "hold"
                _note_refusal(stream.name, candidate, reason if refused else "", at)
            facts["serves"] = served(stream, key, at).version
        return Outcome("promote", stream.name, key, False, facts, pages)
    _succeed(stream.name, candidate, champion, at)
    _note_refusal(stream.name, candidate, "", at)
    facts |= {"decision": "promoted", "why": reason}
    return Outcome("promote", stream.name, key, True, facts, pages)


def _answered(
    stream: Stream,
    candidate: ModelVersion,
    found: Judgement,
    answer: Answer,
    by: str,
    why: str,
    at: Services,
) -> tuple[Decision, str]:
    """Decision and reason after a person's word; what is final stays, and the version says so."""
    said = f"{answer}: {why}" if why else answer
    reason = f"{by or 'somebody'} answered {said}; {found.why}"
    told = f"{reason} (without effect)" if found.final else reason
    at.registry.annotate(stream.name, candidate.version, {"answer": told})
    return (found.decision, found.why) if found.final else (answer, reason)


def _succeed(
    stream: str, candidate: ModelVersion, champion: ModelVersion | None, at: Services
) -> None:
    if champion is not None:
        before = at.registry.alias(stream, PREVIOUS)
        move_alias(stream, PREVIOUS, champion.version, at, expected=before)
    move_alias(stream, CHAMPION, candidate.version, at, expected=champion)
    if not is_the_days(candidate, at):  # a trial
        describe(candidate, at)


def _note_refusal(stream: str, candidate: ModelVersion, why: str, at: Services) -> None:
    """Tag a version that was refused with the reason, or untag one that is not refused any more."""
    if candidate.tags.get(REFUSED, "") != why:
        at.registry.annotate(stream, candidate.version, {REFUSED: why})
