"""Measuring: what the verbs take of blocks, versions and rows, and where it is kept.

Every measure goes to two places: MLflow, as a metric of the version's run with the day as its step, and
the lake's table `metrics`, which the marts read. gmm_core/health computes; its catalogue names.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import asdict

from gmm_core.drift.comparison import difference
from gmm_core.drift.report import Alarm
from gmm_core.errors import BlockmixError
from gmm_core.health.catalogue import CATALOGUE, Stage
from gmm_core.health.changes import (
    block_measures,
    component_moves,
    likelihood_scale,
    move_measures,
)
from gmm_core.health.days import day_measures
from gmm_core.health.findings import Finding, findings
from gmm_core.health.scores import Scores
from gmm_core.health.shape import shape
from gmm_core.health.tally import expected_tally
from gmm_core.model import DensityModel
from gmm_core.pipeline.labelling import neighbours
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary

__all__ = ["measure_block", "measure_rows", "measure_version", "record"]

_SECTION = "scores"  # of the lake: by which versions a block's rows were scored


def record(
    stream: Stream,
    key: str,
    stage: Stage,
    values: Mapping[str, float],
    at: Services,
    version: int | None = None,
) -> tuple[Finding, ...]:
    """Keep measures of a block, or of a version as of it, with the stream's thresholds."""
    found = tuple(findings(values, stage, stream.health.at_least, stream.health.at_most))
    at.store.save_metrics(stream.name, key, stage, version, found)
    if version is not None:
        day = dt.date.fromisoformat(key).toordinal()
        at.registry.measure(stream.name, version, {one.metric: one.value for one in found}, day)
    return found


def measure_block(stream: Stream, summary: BlockSummary, at: Services) -> None:
    """Of a block's fit; MLflow has them with the run of the fit."""
    record(stream, summary.key, "fit", block_measures(summary), at)


def measure_version(
    stream: Stream, key: str, version: ModelVersion, model: DensityModel, at: Services
) -> None:
    """Of a window mixture: its shape, the version before it, and the blocks it stands on."""
    tags, before = version.tags, _before(version, at)
    values = {
        **shape(model.mixture, float(tags["rows"])),
        **_block_values(stream, version, at),
        "loads_back": float(_reads_back(stream, version, model, at)),
    }
    if before is not None:
        last = dt.date.fromisoformat(tags["last_block"])
        values["days_since_version"] = (last - dt.date.fromisoformat(before.last_block)).days
        known = at.registry.load(stream.name, before.version)
        if known.features == model.features:
            values |= move_measures(component_moves(known, model))
    record(stream, key, "merge", values, at, version.version)


def measure_rows(stream: Stream, key: str, digest: str, version: int, at: Services) -> bool:
    """Score a block's landed rows with the version that counts it in and with the two before it.

    Where an older version serves, because what came after it is held or waits for a person, the newest of
    these scores them as well, in the shadow: nothing is published of it but how it would have done.

    One job of the engine. Whether there was anything to do: the same rows and versions are scored once.
    """
    seen, unseen, shadow = _versions_of(stream, key, version, at)
    chosen = [*seen, *unseen, *shadow]
    marks = {"digest": digest, "versions": [one.version for one in chosen]}
    known = at.store.manifest(stream.name, _SECTION, key)
    if known is not None and known["marks"] == marks:
        return False
    models = [at.registry.load(stream.name, one.version) for one in chosen]
    strangers = sum(model.features != models[0].features for model in models)
    if strangers:
        models, shadow = models[:1], []
    started = time.perf_counter()
    rows = at.store.path(stream.name, "landed", key)
    scores = at.engine.score(stream, key, rows, models)
    values = {
        "score_seconds": time.perf_counter() - started,
        "mismatched_versions": float(strangers),
    }
    if scores.log_prob.weight:
        values |= _row_measures(scores, models[: len(models) - len(shadow)], bool(seen))
    if scores.log_prob.weight and shadow:
        values |= _shadow_measures(scores)
    alarm = _likelihood_alarm(stream, key, values.get("log_likelihood_drift"), at)
    values["likelihood_alarm"] = float(alarm.up)
    record(stream, key, "transform", values, at, version)
    at.store.save_record(stream.name, _SECTION, key, {"marks": marks, "alarm": asdict(alarm)})
    return True


def _likelihood_alarm(stream: Stream, key: str, missing: float | None, at: Services) -> Alarm:
    """The alarm as the nearest block before left it, one block on; it comes down at half the bound."""
    earlier = [one for one in at.store.record_keys(stream.name, _SECTION) if one < key]
    before = at.store.manifest(stream.name, _SECTION, earlier[-1]) if earlier else None
    alarm = Alarm(**before["alarm"]) if before else Alarm()
    name = "log_likelihood_drift"
    bound = stream.health.at_most.get(name, CATALOGUE[name].at_most)
    if missing is None or bound is None:
        return alarm
    return alarm.after(missing, enter=bound, leave=bound / 2, patience=stream.drift.patience)


def _row_measures(scores: Scores, models: list[DensityModel], seen: bool) -> dict[str, float]:
    """Of scores by the version that saw the rows, if any, and up to two that did not."""
    means, scale = scores.log_prob.mean, likelihood_scale(len(models[0].features))
    values = {"seen_log_likelihood": float(means[0])} if seen else {}
    first = int(seen)
    judged = min(first, len(models) - 1)  # a first day has only the version that saw it
    model, tally = models[judged], scores.tallies[judged]
    values |= tally.measures()
    values["anomaly_excess"] = values["anomaly_share"] / (1 - model.anomaly_above)
    if first < len(models):
        expected, usual = expected_tally(model)
        values["next_day_log_likelihood"] = float(means[first])
        values["log_likelihood_drift"] = (usual - float(means[first])) / scale
        values["assignment_distance_change"] = (
            tally.distance_quantile(0.95) / expected.distance_quantile(0.95) - 1
        )
        if seen:
            values["train_next_day_gap"] = float(means[0] - means[first]) / scale
    if first + 1 < len(models):
        gain = difference(scores.log_prob, first, first + 1)
        values |= {"last_promotion_gain": gain.mean, "last_promotion_gain_error": gain.error}
    return values


def _shadow_measures(scores: Scores) -> dict[str, float]:
    """Of the last model beside the first, which serves."""
    gain, tally = difference(scores.log_prob, -1, 0), scores.tallies[-1]
    return {
        "shadow_gain": gain.mean,
        "shadow_gain_error": gain.error,
        "shadow_anomaly_share": tally.measures()["anomaly_share"],
    }


def _versions_of(
    stream: Stream, key: str, version: int, at: Services
) -> tuple[list[ModelVersion], list[ModelVersion], list[ModelVersion]]:
    """The version if it saw the block; up to two that did not, the nearest first; and the newest of those
    that did not see it either, if it is newer than the version, and so does not serve."""
    pinned, versions = at.registry.version(stream.name, version), at.registry.versions(stream.name)
    nearest = neighbours(versions, key)[0]
    seen, first, shadow = [pinned], nearest, []
    if pinned.last_block < key:
        seen, first = [], pinned
        if nearest is not None and nearest.last_block > pinned.last_block:
            shadow = [nearest]
    second = neighbours(versions, first.last_block)[0] if first else None
    return seen, [one for one in (first, second) if one is not None], shadow


def _before(version: ModelVersion, at: Services) -> ModelVersion | None:
    number = version.tags.get("labels_from", "none")
    return None if number == "none" else at.registry.version(version.stream, int(number))


def _block_values(stream: Stream, version: ModelVersion, at: Services) -> dict[str, float]:
    """Of the blocks a version stands on: which failed, and what their days have in common."""
    first, last = version.tags["first_block"], version.tags["last_block"]
    present = [one for one in at.store.summary_keys(stream.name) if first <= one <= last]
    refused = [
        one
        for one in at.store.quarantined(stream.name)
        if first <= one <= last and one not in present
    ]
    found = (at.store.summary(stream.name, one) for one in present)
    fits = [one for one in found if one is not None]
    unconverged = sum(not fit.fit.converged for fit in fits)
    days = [fit.moments for fit in fits if fit.features == stream.feature_list]
    return {
        "failed_blocks_share": len(refused) / max(len(present) + len(refused), 1),
        "unconverged_blocks_share": unconverged / max(len(present), 1),
        **day_measures(days),
    }


def _reads_back(stream: Stream, version: ModelVersion, model: DensityModel, at: Services) -> bool:
    """Whether a reader gets what was registered: a version that cannot be read serves nobody."""
    try:
        found = at.registry.load(stream.name, version.version)
    except (BlockmixError, ValueError, KeyError):
        return False
    return found.mixture == model.mixture and found.tail == model.tail
