"""Describing: the tables that SQL readers find a version in.

Every version has its own. The one written last is the day's: what its history shows.
"""

from __future__ import annotations

from gmm_core.model import DensityModel
from gmm_core.pipeline.aliases import TRIGGER
from gmm_core.pipeline.ports import ModelVersion, Services

__all__ = ["describe", "is_the_days"]


def is_the_days(version: ModelVersion, at: Services) -> bool:
    """Whether the tables of a version's day are its own, or those of what drift asked for in its place."""
    present = at.store.manifest(version.stream, "components", version.last_block)
    if present is None:
        return False
    if present["version"] == version.version:
        return True
    return TRIGGER in at.registry.version(version.stream, present["version"]).tags


def describe(version: ModelVersion, at: Services, model: DensityModel | None = None) -> None:
    """Write the tables of a version, from now on the day's own.

    A merge under the declared settings describes its version. Of trials only those are described that
    come to serve: the history of a stream is not that of what was tried out.
    """
    model = model or at.registry.load(version.stream, version.version)
    at.store.save_components(version.stream, version.last_block, version.version, model)
