"""Drifting: every block beside the window before it and beside a fixed baseline, with an alarm each."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from gmm_core.drift.report import Alarm, Drift, drift_from, in_words
from gmm_core.health.changes import component_moves
from gmm_core.pipeline.measuring import record
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.windows import fitted_keys
from gmm_core.summary import BlockSummary
from gmm_core.window import block_set_hash, select_blocks

__all__ = ["BASELINE", "drift_report", "set_baseline", "stepped", "watch_drift"]

BASELINE = "drift_baseline"  # note of the registered model: as-of key of the window that stays
SECTION = "drift"
_LARGEST = 14  # blocks that stand for a longer window: beyond two weeks its spread changes little
_DRAWS = 1_024


def watch_drift(stream: Stream, key: str, version: ModelVersion, at: Services) -> dict[str, Any]:
    """Measure a block's drift, step the alarms, and keep both with what moved, in words.

    The same block beside the same references is looked at once. The answer has `changed`: whether an
    alarm went up or came down with this block.
    """
    block = at.store.summary(stream.name, key)
    if block is None:
        return {}
    references = {name: blocks for name, blocks in _references(stream, key, at).items() if blocks}
    marks = {name: block_set_hash(blocks) for name, blocks in references.items()}
    marks = {"block": block.digest, "version": str(version.version), **marks}
    present = at.store.manifest(stream.name, SECTION, key)
    if present is not None and present["marks"] == marks:
        return present
    drifts = {name: drift_from(blocks, block, _DRAWS) for name, blocks in references.items()}
    before = _last_alarms(stream, key, at)
    alarms = {
        name: stepped(stream, before.get(name, Alarm()), drift) for name, drift in drifts.items()
    }
    changed = sorted(
        name for name, alarm in alarms.items() if alarm.up != before.get(name, Alarm()).up
    )
    values = _values(stream, key, drifts, alarms, at)
    report = {
        "marks": marks,
        "alarms": {name: asdict(alarm) for name, alarm in alarms.items()},
        "changed": changed,
        "features": {
            name: [asdict(one) for one in drift.features] for name, drift in drifts.items()
        },
        "words": _words(stream, drifts, version, at),
        "values": values,
    }
    record(stream, key, "drift", values, at, version.version)
    at.store.save_record(stream.name, SECTION, key, report)
    return report


def drift_report(stream: Stream, key: str, at: Services) -> Outcome:
    """What is known of a block's drift, as a verb answers: for people and for a task's log.

    Raises `NotFound` for a block that has no mixture.
    """
    parse_key(key)
    fitted_keys(stream, key, at)
    found = at.store.manifest(stream.name, SECTION, key) or {}
    facts = {
        # What moved is said of features in words, where it is notable.
        **{name: value for name, value in found.get("values", {}).items() if "/" not in name},
        "moved": " ".join(found.get("words", [])) or "nothing notable",
    }
    return Outcome("drift", stream.name, key, False, facts)


def set_baseline(stream: Stream, key: str, at: Services) -> None:
    """Make the window as of a key the baseline from now on."""
    parse_key(key)
    at.registry.note(stream.name, BASELINE, key)


def _references(stream: Stream, key: str, at: Services) -> dict[str, list[BlockSummary]]:
    present = [one for one in at.store.summary_keys(stream.name) if one < key]
    size = stream.window.blocks
    keys = {"window": present[-min(size, _LARGEST) :]}
    fixed = stream.drift.baseline
    base = str(fixed) if fixed else at.registry.notes(stream.name).get(BASELINE)
    if base is None and len(present) >= size:
        base = present[size - 1]
        set_baseline(stream, base, at)
    if base is not None and base < key:
        keys["baseline"] = select_blocks(present, base, min(size, _LARGEST))
    return {name: _summaries(stream, named, at) for name, named in keys.items()}


def _summaries(stream: Stream, keys: list[str], at: Services) -> list[BlockSummary]:
    """The blocks that have the features of today; others cannot be compared."""
    found = (at.store.summary(stream.name, key) for key in keys)
    return [one for one in found if one is not None and one.features == stream.feature_list]


def stepped(stream: Stream, alarm: Alarm, drift: Drift) -> Alarm:
    """The alarm after one more block, as the stream's settings step it."""
    if drift.score is None:
        return alarm
    bounds = stream.drift
    return alarm.after(
        drift.score, enter=bounds.enter, leave=bounds.leave, patience=bounds.patience
    )


def _last_alarms(stream: Stream, key: str, at: Services) -> dict[str, Alarm]:
    """As the nearest block before left them."""
    earlier = [one for one in at.store.record_keys(stream.name, SECTION) if one < key]
    if not earlier:
        return {}
    found = at.store.manifest(stream.name, SECTION, earlier[-1]) or {"alarms": {}}
    return {name: Alarm(**state) for name, state in found["alarms"].items()}


def _values(
    stream: Stream,
    key: str,
    drifts: dict[str, Drift],
    alarms: dict[str, Alarm],
    at: Services,
) -> dict[str, float]:
    values = {"drifting": float(any(alarm.up for alarm in alarms.values()))}
    for name, drift in drifts.items():
        values[f"{name}_divergence"] = drift.divergence.value
        values[f"{name}_divergence_error"] = drift.divergence.error
        if drift.score is not None:
            values[f"{name}_drift_score"] = drift.score
    if "window" in drifts:
        values["largest_feature_shift"] = drifts["window"].features[0].distance
        for one in drifts["window"].features:
            values[f"feature_shift/{one.feature}"] = one.distance
            values[f"feature_shift_error/{one.feature}"] = one.error
            if one.score is not None:
                values[f"feature_drift_score/{one.feature}"] = one.score
    month = str(dt.date.fromisoformat(key) - dt.timedelta(days=30))
    retrained = [one for one in at.store.record_keys(stream.name, "triggers") if month < one <= key]
    values["retrains_30_days"] = float(len(retrained))
    return values


def _words(
    stream: Stream, drifts: dict[str, Drift], version: ModelVersion, at: Services
) -> list[str]:
    number, moves = version.tags.get("labels_from", "none"), []
    if number != "none":
        models = [at.registry.load(stream.name, one) for one in (int(number), version.version)]
        if models[0].features == models[1].features:
            moves = component_moves(*models)
    return in_words(drifts["window"], moves) if "window" in drifts else []
