"""What all sections of a stream's file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Name"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Frozen(BaseModel):
    """Settings: read-only, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
