"""The verb of one window: merge. What becomes of its version is in promotion.py."""

from __future__ import annotations

from collections.abc import Iterator

from gmm_core.errors import ModelRefused
from gmm_core.model import DensityModel
from gmm_core.pipeline.aliases import CHALLENGER, TRIGGER
from gmm_core.pipeline.describing import describe, is_the_days
from gmm_core.pipeline.drifting import watch_drift
from gmm_core.pipeline.labelling import label_tags, labels_of, numbers_of
from gmm_core.pipeline.lineage import (
    identity_of,
    lineage_of,
    version_facts,
    version_pages,
)
from gmm_core.pipeline.measuring import measure_version
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.windows import window_blocks, windows_with
from gmm_core.pooling import faded
from gmm_core.window import window_mixture

__all__ = ["merge", "remerge"]


def merge(stream: Stream, key: str, at: Services) -> Outcome:
    """Pool the window's block mixtures, reduce them to k, and register the result as challenger.

    The window is the b newest present blocks up to `key`. A stream on trial gives a version as well, but
    says nothing of the day: drift is watched under the declared settings alone.

    Raises `ModelRefused` when too few blocks are there or the model gate refuses the window mixture.
    """
    parse_key(key)
    blocks = window_blocks(stream, key, at)
    identity = identity_of(stream, blocks)
    present = at.registry.find(stream.name, identity)
    if present is not None:
        changed = _complete(stream, key, present, None, at)
        return Outcome(
            "merge", stream.name, key, changed, version_facts(present), version_pages(present)
        )
    counted = faded(blocks, key, stream.window.half_life)
    mixture = window_mixture(
        counted,
        **numbers_of(stream, key, at),
        strategy=stream.window.strategy,
        covariance_type=stream.mixture.covariance_type,
    )
    labels, previous = labels_of(stream, key, mixture, at)
    model = DensityModel.build(
        stream.name,
        stream.feature_list,
        mixture,
        stream.scoring.anomaly_above,
        seed=stream.mixture.seed,
        component_ids=labels.ids,
    )
    report = at.gate.check_window(stream, key, model, counted)
    if not report.passed:
        raise ModelRefused(
            f"the model gate refused the window of {stream.name} as of {key} ({report.reason})",
            remedy="read the report; the champion stays as it is",
            pages={"data_docs": report.page},
        )
    tags = {
        **identity,
        **lineage_of(blocks, counted),
        **label_tags(labels, previous),
        "gate": report.score,
        "report": report.page,
    }
    version = at.registry.register(stream, model, tags, report)
    _complete(stream, key, version, model, at)
    return Outcome("merge", stream.name, key, True, version_facts(version), version_pages(version))


def remerge(stream: Stream, key: str, at: Services) -> Iterator[Outcome | ModelRefused]:
    """Merge every window that holds a block, oldest first; in place of a refused one, its refusal.

    For a block that came late or was replaced. Windows that know it as it is stay, and so do those
    that do not hold it. Raises `NotFound` when the block has no summary.
    """
    parse_key(key)
    present = at.store.summary_keys(stream.name)
    if key not in present:
        merge(stream, key, at)  # says what is missing
    for as_of in windows_with(key, present, stream.window.blocks):
        try:
            yield merge(stream, as_of, at)
        except ModelRefused as refusal:
            yield refusal


def _complete(
    stream: Stream, key: str, version: ModelVersion, model: DensityModel | None, at: Services
) -> bool:
    """What belongs to a registered version besides itself; whether any of it was missing."""
    changed = False
    own = not stream.trial and not is_the_days(version, at)
    if own or model is not None:
        model = model or at.registry.load(stream.name, version.version)
        measure_version(stream, key, version, model, at)
        changed = True
    if own:
        describe(version, at, model)
    if not stream.trial:
        watch_drift(stream, key, version, at)
    if _challenges(stream, version, at):
        at.registry.point(stream.name, CHALLENGER, version.version)
        changed = True
    return changed


def _challenges(stream: Stream, version: ModelVersion, at: Services) -> bool:
    """Whether the alias is this version's: what drift asked for in this block keeps it."""
    challenger = at.registry.alias(stream.name, CHALLENGER)
    if challenger is None or challenger.last_block < version.last_block:
        return True
    asked_for = TRIGGER in challenger.tags
    return (
        challenger.last_block == version.last_block
        and challenger.version != version.version
        and not asked_for
    )
