"""Density: what answers are made from, whoever holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from numpy.typing import ArrayLike

from gmm_core.answering.scoring import TailCurve
from gmm_core.arrays import Array
from gmm_core.features import Feature
from gmm_core.mixed.mixture import AnyMixture

__all__ = ["Density"]


class Density(Protocol):
    """A mixture, its features and its tail curve; `gmm_core.model.DensityModel` is one."""

    @property
    def mixture(self) -> AnyMixture:
        """In feature space."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The numeric ones, then the categorical ones."""

    @property
    def numeric_features(self) -> tuple[Feature, ...]:
        """Those that can be normalised."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in order."""

    @property
    def normalised_names(self) -> list[str]:
        """Names of the normalised columns, in the order of the numeric features."""

    @property
    def tail(self) -> TailCurve:
        """Calibration of the log-density."""

    @property
    def anomaly_above(self) -> float:
        """Score above which a row counts as an anomaly."""

    @property
    def component_ids(self) -> tuple[int, ...]:
        """(k,) ids that components keep from one version to the next."""

    def to_matrix(self, columns: Mapping[str, ArrayLike]) -> Array:
        """Columns in source units as (n, d) rows in feature space; raises `InvalidInput`."""
