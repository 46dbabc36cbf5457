"""Which ids the components of a new version get, how many there are, and how its tags tell of them.

The labels go on from the version of the window before: of those whose newest block is older than this
window's, the one with the newest block, and of these the newest version. A window that is merged again,
or for the first time behind others, was known by those that follow: what is born in it and is there
already keeps the id it has there. So re-running changes nothing, and a late block no more than it must.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gmm_core.labels import Labels, first_labels, relabel
from gmm_core.mixed.mixture import AnyMixture
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = ["label_tags", "labels_of", "neighbours", "numbers_of"]

NEXT_ID = "next_component_id"


def labels_of(
    stream: Stream, key: str, mixture: AnyMixture, at: Services
) -> tuple[Labels, ModelVersion | None]:
    """Labels of the window mixture as of a key, and the version that they go on from, if any.

    A version of other features is not comparable. Ids are new to all versions of the stream.
    """
    versions = at.registry.versions(stream.name)
    before, after = neighbours(versions, key)
    next_id = max((int(version.tags.get(NEXT_ID, 0)) for version in versions), default=0)
    known, follows = _known(stream, before, next_id, at), _known(stream, after, next_id, at)
    if known is not None:
        return relabel(*known, mixture, later=follows), before
    if follows is not None:  # the stream's first windows came after this one
        found = relabel(*follows, mixture)
        return Labels(found.ids, found.next_id, tuple(sorted(found.ids))), None
    return first_labels(mixture, next_id), None


def neighbours(
    versions: Iterable[ModelVersion], key: str
) -> tuple[ModelVersion | None, ModelVersion | None]:
    """The newest version of the nearest window before a key, and of the nearest at or after it."""
    ranked = sorted(versions, key=lambda version: (version.last_block, version.version))
    before = [version for version in ranked if version.last_block < key]
    after = [version for version in ranked if version.last_block >= key]
    nearest = [version for version in after if version.last_block == after[0].last_block]
    return (before[-1] if before else None), (nearest[-1] if nearest else None)


def numbers_of(stream: Stream, key: str, at: Services) -> dict[str, Any]:
    """What `window_mixture` needs to know of k: the stream's, or its range and k of the window before."""
    chosen = stream.window.k
    if chosen is None:
        return {"k": stream.mixture.k}
    before, _ = neighbours(at.registry.versions(stream.name), key)
    ids = before.tags.get("component_ids", "").split() if before else []
    return {
        "k": range(chosen.minimum, chosen.maximum + 1),
        "k_criterion": chosen.criterion,
        "previous_k": len(ids) or None,
    }


def label_tags(labels: Labels, previous: ModelVersion | None) -> dict[str, str]:
    """What a version says of its labels: component ids in order, births, deaths, and since when."""
    return {
        "component_ids": _listed(labels.ids),
        "born": _listed(labels.born),
        "died": _listed(labels.died),
        "labels_from": str(previous.version) if previous else "none",
        NEXT_ID: str(labels.next_id),
    }


def _known(
    stream: Stream, version: ModelVersion | None, next_id: int, at: Services
) -> tuple[AnyMixture, Labels] | None:
    if version is None:
        return None
    model = at.registry.load(stream.name, version.version)
    if model.features != stream.feature_list:
        return None
    ids = model.component_ids
    return model.mixture, Labels(ids, max(next_id, max(ids) + 1))


def _listed(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids)) or "none"
