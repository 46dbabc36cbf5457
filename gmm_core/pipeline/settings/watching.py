"""Settings of what is watched: thresholds of measures, drift, and what drift may set off."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from gmm_core.health.catalogue import CATALOGUE
from gmm_core.pipeline.settings.common import Day, Frozen, Name

__all__ = ["DriftSettings", "Health", "Triggers"]


class Health(Frozen):
    """Thresholds of measures that differ from the catalogue's, by name; null asks nothing."""

    at_least: dict[str, float | None] = Field(default_factory=dict)
    at_most: dict[str, float | None] = Field(default_factory=dict)
    label: Name | None = Field(
        default=None, description="column of landed rows that says which are anomalies: 0 or 1"
    )

    @field_validator("at_least", "at_most")
    @classmethod
    def _known(cls, limits: dict[str, float | None]) -> dict[str, float | None]:
        if unknown := sorted(set(limits) - set(CATALOGUE)):
            raise ValueError(f"measures {unknown} are none of: {', '.join(CATALOGUE)}")
        return limits


class DriftSettings(Frozen):
    """When a block counts as unusual, and when the alarm goes up and comes down."""

    enter: float = Field(
        default=4.0, gt=0, description="spreads above what is usual that are unusual"
    )
    leave: float = Field(default=2.0, gt=0, description="spreads below which all is usual again")
    patience: int = Field(
        default=3, ge=1, le=60, description="blocks in a row that put the alarm up, or down"
    )
    baseline: Day | None = Field(
        default=None,
        description="as-of key of the window that stays the reference; the first whole one if left out",
    )

    @model_validator(mode="after")
    def _gap(self) -> DriftSettings:
        if self.leave > self.enter:
            raise ValueError(f"leave {self.leave} must not be above enter {self.enter}")
        return self


class Triggers(Frozen):
    """What an alarm that goes up sets off, and how often it may."""

    on_drift: Literal["nothing", "shorter_window", "wider_k", "new_baseline"] = "nothing"
    window: int = Field(default=3, ge=1, description="blocks of the shorter window")
    more_k: int = Field(default=2, ge=1, le=32, description="components that wider_k adds")
    budget: int = Field(
        default=2, ge=0, description="times within `days`; beyond it nothing is done"
    )
    days: int = Field(default=30, ge=1, le=366)
