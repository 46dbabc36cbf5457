"""The verbs of one window: merge, promote."""

from __future__ import annotations

from collections.abc import Iterator

from gmm_core.errors import ModelRefused, NotFound
from gmm_core.model import DensityModel
from gmm_core.pipeline.labelling import label_tags, labels_of
from gmm_core.pipeline.lineage import (
    identity_of,
    lineage_of,
    version_facts,
    version_pages,
)
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.windows import window_blocks, windows_with
from gmm_core.pooling import faded
from gmm_core.window import window_mixture

__all__ = ["CHALLENGER", "CHAMPION", "PREVIOUS", "merge", "promote", "remerge"]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


def merge(stream: Stream, key: str, at: Services) -> Outcome:
    """Pool the window's block mixtures, reduce them to k, and register the result as challenger.

    The window is the b newest present blocks up to `key`. Raises `ModelRefused` when too few
    blocks are there or the model gate refuses the window mixture.
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
        counted, stream.mixture.k, stream.window.strategy, stream.mixture.covariance_type
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
    described = at.store.manifest(stream.name, "components", key)
    if described != {"version": version.version}:
        model = model or at.registry.load(stream.name, version.version)
        at.store.save_components(stream.name, key, version.version, model)
        changed = True
    challenger = at.registry.alias(stream.name, CHALLENGER)
    if challenger is None or (
        challenger.version != version.version and challenger.last_block <= version.last_block
    ):
        at.registry.point(stream.name, CHALLENGER, version.version)
        changed = True
    return changed


def promote(stream: Stream, key: str, at: Services, version: int | None = None) -> Outcome:
    """Make a window mixture the champion; the champion of before becomes `previous`.

    `version` names it; without it, the version of the window as of `key`. A version whose newest
    block is older than the champion's is held back: filling in the past never moves consumers
    back in time. So is an older version of the champion's own window, unless it is what that
    window's blocks give now.
    """
    parse_key(key)
    if version is None:
        found = _current(stream, key, at)
        if found is None:
            raise NotFound(
                f"no version of {stream.name} for the window as of {key}",
                remedy=f"run: blockmix merge {stream.name} {key}",
            )
        candidate = found
    else:
        candidate = at.registry.version(stream.name, version)
    champion = at.registry.alias(stream.name, CHAMPION)
    facts = {**version_facts(candidate), "champion": candidate.version}
    pages = version_pages(candidate)
    if champion is not None and champion.version == candidate.version:
        return Outcome(
            "promote", stream.name, key, False, {**facts, "decision": "is champion"}, pages
        )
    if champion is not None and (why := _held(stream, candidate, champion, at)):
        facts |= {"champion": champion.version, "decision": f"held: {why}"}
        return Outcome("promote", stream.name, key, False, facts, pages)
    if champion is not None:
        at.registry.point(stream.name, PREVIOUS, champion.version)
    at.registry.point(stream.name, CHAMPION, candidate.version)
    return Outcome("promote", stream.name, key, True, {**facts, "decision": "promoted"}, pages)


def _held(stream: Stream, candidate: ModelVersion, champion: ModelVersion, at: Services) -> str:
    """Why a version must not follow the champion; empty when it may."""
    if candidate.last_block < champion.last_block:
        return f"champion {champion.version} knows blocks up to {champion.last_block}"
    if candidate.last_block == champion.last_block and candidate.version < champion.version:
        current = _current(stream, candidate.last_block, at)
        if current is None or current.version != candidate.version:
            return f"champion {champion.version} is a newer mixture of the same window"
    return ""


def _current(stream: Stream, key: str, at: Services) -> ModelVersion | None:
    """The version of the window as of a key, from its blocks as they are now."""
    return at.registry.find(stream.name, identity_of(stream, window_blocks(stream, key, at)))
