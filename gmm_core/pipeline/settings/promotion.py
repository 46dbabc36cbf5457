"""Settings of promotion: what a challenger must show, who is asked, and who gets it first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gmm_core.pipeline.settings.common import Frozen

__all__ = ["Promotion"]


class Promotion(Frozen):
    """How a challenger becomes champion (docs/decisions/0007)."""

    compare: bool = Field(
        default=True, description="compare with the champion on rows that neither was fitted to"
    )
    margin: float = Field(
        default=0.05, ge=0, le=10, description="nats per row that a challenger may be worse by"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    unclear: Literal["promote", "hold"] = Field(
        default="promote", description="what to do when the rows cannot tell"
    )
    approval: Literal["never", "unclear", "always"] = Field(
        default="never", description="when a person is asked before a promotion"
    )
    answer_hours: float = Field(
        default=4.0, gt=0, le=720, description="how long an answer is awaited"
    )
    answer: Literal["promote", "hold"] = Field(
        default="promote", description="the answer when nobody gave one"
    )
    canary: float = Field(
        default=0.0, ge=0, le=1, description="share of block keys that the challenger scores"
    )
