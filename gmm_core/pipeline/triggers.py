"""Triggers: what an alarm of drift sets off, within a budget.

A trigger acts once when an alarm goes up, not every day that it stays up. What it makes is a challenger
like others: it is promoted by the same rule, and by a person's word where the stream asks for one. What it
did is a record of the block, and the records are the budget: when there are enough of them within the days,
nothing more is done, and the answer says so. A trigger never stops the day: where a gate refuses what it
makes, the day's own window goes on.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from gmm_core.errors import InvalidInput, Refused
from gmm_core.pipeline.aliases import TRIGGER
from gmm_core.pipeline.drifting import SECTION, set_baseline
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.promotion import promote
from gmm_core.pipeline.settings.mixtures import MAX_K
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.window_verbs import merge
from gmm_core.pipeline.windows import fitted_keys, window_blocks

__all__ = ["react"]

_SECTION = "triggers"


def react(stream: Stream, key: str, at: Services) -> Outcome:
    """Do what the stream asks for where drift was found in a block, if the budget allows it.

    A block is reacted to once. The fact `version` is what was made; where a person is to be asked about it,
    it is also the fact `asks`. What cannot be made costs no budget.

    Raises what `merge` and `promote` raise, but for a refusal: that is a decision. Raises `NotFound` for a
    block that has no mixture.
    """
    parse_key(key)
    fitted_keys(stream, key, at)
    done = at.store.manifest(stream.name, _SECTION, key)
    if done is not None:
        return _answer(stream, key, False, {**done, "decision": "done before"})
    wanted = stream.triggers.on_drift
    if wanted == "nothing":
        return _answer(stream, key, False, {"decision": "the stream asks for nothing"})
    report = at.store.manifest(stream.name, SECTION, key) or {"changed": [], "alarms": {}}
    raised = [name for name in report["changed"] if report["alarms"][name]["up"]]
    if not raised:
        return _answer(stream, key, False, {"decision": "no alarm went up"})
    spent = _spent(stream, key, at)
    if spent >= stream.triggers.budget:
        why = f"budget spent: {spent} in {stream.triggers.days} days"
        return _answer(stream, key, False, {"decision": why, "alarms": " ".join(raised)})
    said = {"action": wanted, "alarms": " ".join(raised)}
    try:
        made = _act(stream, key, at)
    except (InvalidInput, Refused) as refusal:
        return _answer(stream, key, False, {**said, "decision": f"not done: {refusal}"})
    if not made:
        return _answer(stream, key, False, {**said, "decision": "the window is as short already"})
    facts = {**said, **made}
    at.store.save_record(stream.name, _SECTION, key, facts)
    return _answer(stream, key, True, {**facts, "decision": f"did {wanted}"})


def _act(stream: Stream, key: str, at: Services) -> dict[str, Any]:
    """What was made, as facts; none where it would be what is there."""
    wanted, triggers = stream.triggers.on_drift, stream.triggers
    if wanted == "new_baseline":
        set_baseline(stream, key, at)
        return {"baseline": key}
    if wanted == "shorter_window":
        changed = stream.with_overrides(window=triggers.window)
        if len(window_blocks(changed, key, at)) == len(window_blocks(stream, key, at)):
            return {}
    else:
        # The blocks stay as they were fitted: more components than they have there are none to keep.
        most = min(stream.mixture.block_components, MAX_K)
        changed = stream.with_overrides(k=min(stream.mixture.k + triggers.more_k, most))
    version = merge(changed, key, at).facts["version"]
    # The stream's own version of this window must not take its place again.
    at.registry.annotate(stream.name, version, {TRIGGER: wanted})
    promoted = promote(changed, key, at, version).facts
    asks = {"asks": version} if "asks" in promoted else {}
    return {"version": version, "promotion": promoted["decision"], **asks}


def _spent(stream: Stream, key: str, at: Services) -> int:
    since = str(parse_key(key) - dt.timedelta(days=stream.triggers.days))
    return sum(since < one <= key for one in at.store.record_keys(stream.name, _SECTION))


def _answer(stream: Stream, key: str, changed: bool, facts: dict[str, Any]) -> Outcome:
    return Outcome("react", stream.name, key, changed, facts)
