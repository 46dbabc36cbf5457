"""Mixture and window settings: how blocks are fitted, pooled and reduced."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gmm_core.coreset import MAX_CORESET
from gmm_core.gaussian import CovarianceType
from gmm_core.pipeline.settings.common import Frozen
from gmm_core.reduction.choice import ChoiceCriterion

__all__ = [
    "MAX_K",
    "MAX_WINDOW",
    "FitPath",
    "KRange",
    "MixtureSettings",
    "StrategyName",
    "WindowSettings",
]

MAX_K = 64
StrategyName = Literal[
    "default", "paper",
    "hotelling", "runnalls", "jeffreys", "bures-wasserstein", "integrated-squared-error",
]  # fmt: skip
MAX_WINDOW = 366
FitPath = Literal["auto", "whole", "shards", "cells"]


class MixtureSettings(Frozen):
    """How a block is fitted."""

    k: int = Field(ge=1, le=MAX_K, description="components of the window's mixture")
    block_k: int | None = Field(
        default=None,
        ge=1,
        le=2 * MAX_K,
        description="components of a block's mixture, k at least; when left out twice k, or k where the "
        "block's rows do not justify more: what a block blurs together no merge can tell apart again",
    )
    covariance_type: CovarianceType = "full"
    regularisation: float = Field(
        default=1e-3,
        ge=0,
        le=1,
        description="variance added to each feature, as a share of its own",
    )
    restarts: int = Field(default=3, ge=1, le=100)
    max_iterations: int = Field(default=200, ge=1, le=10_000)
    tolerance: float = Field(
        default=1e-5, gt=0, le=1, description="gain in nats per row that ends EM"
    )
    seed: int = Field(default=0, ge=0)
    path: FitPath = Field(
        default="auto",
        description="how Spark fits a block: whole in one worker, in shards, or (one feature) by its "
        "cells, the latter two with block_k or twice k components; auto: whole up to two million rows, "
        "then cells or shards",
    )
    exact_passes: int = Field(
        default=8,
        ge=0,
        le=100,
        description="EM steps over all rows, at most, after a block's shards were joined",
    )
    coreset: int = Field(
        default=0,
        ge=0,
        le=MAX_CORESET,
        description="rows of each block kept in its summary, for the polish of windows; they are "
        "rows of the data, so none unless asked for",
    )

    @model_validator(mode="after")
    def _no_fewer(self) -> MixtureSettings:
        if self.block_k is not None and self.block_k < self.k:
            raise ValueError(f"block_k {self.block_k} must be at least k {self.k}")
        return self

    @property
    def block_components(self) -> int:
        """Components of a block's mixture, at most."""
        return 2 * self.k if self.block_k is None else self.block_k

    @property
    def of_a_block(self) -> dict[str, Any]:
        """What `fit_block` is told, by its names."""
        same = (
            "covariance_type", "regularisation", "restarts", "max_iterations", "tolerance", "seed", "coreset",
        )  # fmt: skip
        return {"k": self.block_components, **{name: getattr(self, name) for name in same}}


class KRange(Frozen):
    """Numbers of components that a window's is chosen from, anew for every window."""

    minimum: int = Field(ge=1, le=MAX_K)
    maximum: int = Field(ge=1, le=MAX_K)
    criterion: ChoiceCriterion = Field(
        default="bic", description="bic describes the density, icl counts groups that stand apart"
    )

    @model_validator(mode="after")
    def _ordered(self) -> KRange:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} exceeds maximum {self.maximum}")
        return self


class WindowSettings(Frozen):
    """Which blocks are pooled, and how they are reduced to k components."""

    blocks: int = Field(
        ge=1, le=MAX_WINDOW, description="the b newest present blocks up to the key"
    )
    minimum_blocks: int = Field(default=1, ge=1, le=MAX_WINDOW)
    strategy: StrategyName = Field(
        default="default",
        description="how the pooled components become k: reduced, refined and polished; the paper's "
        "way; or reduced by that criterion alone",
    )
    k: KRange | None = Field(
        default=None,
        description="choose the window's number of components, steady from day to day; mixture.k "
        "when left out",
    )
    half_life: float | None = Field(
        default=None, gt=0, description="days after which a row counts half; never when left out"
    )

    @model_validator(mode="after")
    def _enough(self) -> WindowSettings:
        if self.minimum_blocks > self.blocks:
            raise ValueError(f"minimum_blocks {self.minimum_blocks} exceeds blocks {self.blocks}")
        return self
