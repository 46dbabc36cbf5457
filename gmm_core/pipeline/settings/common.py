"""What all sections of a stream's file have in common."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Day", "Frozen", "Name"]


def _no_number(value: Any) -> Any:
    """20240501 would be a count of seconds."""
    if str(value).isdigit():
        raise ValueError("a day as YYYY-MM-DD")
    return value


Day = Annotated[dt.date, BeforeValidator(_no_number)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Frozen(BaseModel):
    """Settings: read-only, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
