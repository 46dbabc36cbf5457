"""Gate and scoring settings: what may pass, and what counts as an anomaly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gmm_core.pipeline.settings.common import Frozen

__all__ = ["AgainstWindow", "Gates", "Scoring"]


class AgainstWindow(Frozen):
    """A block beside the blocks before it (`gmm_core.drift.precedent`)."""

    on: bool = True
    level: float = Field(
        default=1e-4,
        gt=0,
        lt=1,
        description="probability that a block like those before it is refused",
    )
    blocks: int = Field(
        default=7,
        ge=4,
        le=28,
        description="newest accepted blocks before it; with fewer nothing is judged. Seven hold every "
        "day of the week once",
    )


class Gates(Frozen):
    """What may pass."""

    minimum_rows: int = Field(default=50, ge=1, description="rows a block needs")
    completeness: float = Field(
        default=1.0, ge=0, le=1, description="share of values that must be present"
    )
    in_range: float = Field(
        default=1.0, ge=0, le=1, description="share of values within feature bounds"
    )
    condition_number: float = Field(default=1e8, gt=1, description="worst component of a mixture")
    maximum_weight: float = Field(
        default=0.9, gt=0, le=1, description="largest weight of a component"
    )
    normalised_bound: float = Field(
        default=10.0, gt=0, description="largest absolute normalised value"
    )
    normalised_share: float = Field(default=0.99, ge=0, le=1, description="share of rows within it")
    against_window: AgainstWindow = AgainstWindow()


Also = Literal["explanation", "contributions", "responsibilities", "entropy", "tail_probability"]


class Scoring(Frozen):
    """When a row counts as an anomaly, and what is written beside its score."""

    anomaly_above: float = Field(default=0.999, gt=0, lt=1, description="score, a tail probability")
    also: tuple[Also, ...] = Field(
        default=(), description="outputs that transform writes besides: explanation, ..."
    )
