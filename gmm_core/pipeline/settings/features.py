"""Feature settings: what can be declared of a feature of a stream, numeric or categorical."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gmm_core.features import OTHER, TransformName
from gmm_core.pipeline.settings.common import Frozen

__all__ = ["AnyFeature", "CategoricalSettings", "FeatureSettings"]

MAX_LEVELS = 256


class FeatureSettings(Frozen):
    """One feature of the mixture: its transform, and the bounds of a sane value in source units."""

    # Left out of dumps: fingerprints of streams are what they were before there was another type.
    type: Literal["numeric"] = Field(default="numeric", exclude=True)
    transform: TransformName = "identity"
    minimum: float
    maximum: float
    unit: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> FeatureSettings:
        if not self.minimum < self.maximum:
            raise ValueError(f"minimum {self.minimum} must be below maximum {self.maximum}")
        if self.transform == "log" and self.minimum <= 0:
            raise ValueError(f"a log feature needs a minimum above 0, got {self.minimum}")
        if self.transform in ("log1p", "sqrt") and self.minimum < 0:
            raise ValueError(
                f"a {self.transform} feature needs a minimum of at least 0, got {self.minimum}"
            )
        return self


class CategoricalSettings(Frozen):
    """A categorical feature: what its values are called. NULL and all others are one level more."""

    type: Literal["categorical"]
    levels: tuple[str, ...] = Field(min_length=1, max_length=MAX_LEVELS)
    other: float = Field(
        default=0.1, ge=0, le=1, description="share of values that may be none of the levels"
    )

    @model_validator(mode="after")
    def _different(self) -> CategoricalSettings:
        if twice := sorted({one for one in self.levels if self.levels.count(one) > 1}):
            raise ValueError(f"levels {twice} are there twice")
        if OTHER in self.levels:
            raise ValueError(f"{OTHER!r} is what Blockmix calls all other levels")
        return self


def _type_of(value: Any) -> str:
    got = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return "categorical" if got == "categorical" else "numeric"


AnyFeature = Annotated[
    Annotated[FeatureSettings, Tag("numeric")] | Annotated[CategoricalSettings, Tag("categorical")],
    Discriminator(_type_of),
]
