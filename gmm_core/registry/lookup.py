"""Look-ups for other jobs that have gmm_core: one question to MLflow, then a version that stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from gmm_core.config import load_settings
from gmm_core.errors import NotFound
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import ModelVersion
from gmm_core.pipeline.streams import parse_key
from gmm_core.registry.mlflow_registry import MlflowRegistry

__all__ = ["PinnedModel", "champion_of", "model_as_of"]


@dataclass(frozen=True)
class PinnedModel:
    """A version and its model, read once: what aliases do afterwards changes nothing here.

    Write `version.version` beside whatever you make with it.
    """

    version: ModelVersion
    model: DensityModel

    @property
    def uri(self) -> str:
        """What MLflow knows it by, for `mlflow.pyfunc.load_model` and `spark_udf`."""
        return f"models:/{self.version.stream}/{self.version.version}"

    def predict(
        self, rows: Mapping[str, ArrayLike], output: str = "score"
    ) -> dict[str, NDArray[Any]]:
        """One of `gmm_core.model.OUTPUTS` for n rows in source units, as named columns (n,).

        `rows` is a table of pandas or polars, or a mapping of columns. Raises `InvalidInput`.
        """
        return self.model.output(rows, output)


def champion_of(stream: str, tracking_uri: str | None = None) -> PinnedModel:
    """The version that serves now, pinned; raises `NotFound` when none was promoted.

    `tracking_uri` is that of this installation when left out; `ServiceUnavailable` when MLflow does not
    answer.
    """
    registry = _registry(tracking_uri)
    found = registry.alias(stream, "champion")
    if found is None:
        raise NotFound(f"{stream} has no champion", remedy="promote a version")
    return PinnedModel(found, registry.load(stream, found.version))


def model_as_of(stream: str, key: str, tracking_uri: str | None = None) -> PinnedModel:
    """The model that knows the blocks up to a day and nothing later, pinned.

    The newest version of the window that ends at `key` ("2017-03-14") or, where no window does, of the
    nearest before it, whether or not it was ever champion. Raises `InvalidInput` for what is no day,
    `NotFound` when every window ends later, and otherwise as `champion_of`.
    """
    parse_key(key)
    registry = _registry(tracking_uri)
    known = [version for version in registry.versions(stream) if version.last_block <= key]
    if not known:
        raise NotFound(
            f"no version of {stream} has a window that ends by that day",
            got=key,
            remedy=f"merge one: blockmix merge {stream} {key}",
        )
    found = max(known, key=lambda version: (version.last_block, version.version))
    return PinnedModel(found, registry.load(stream, found.version))


def _registry(tracking_uri: str | None) -> MlflowRegistry:
    settings = load_settings()
    return MlflowRegistry(tracking_uri or settings.mlflow_uri, settings.mlflow_page)
