"""Source settings: where a stream's rows come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gmm_core.pipeline.settings.common import Frozen, Name

__all__ = ["RESERVED", "Source"]

# Names of the columns that landing and transforming add.
RESERVED = {
    "event_time", "component", "component_id", "log_prob", "score", "anomaly",
    "model_version", "stream", "block_key", "block",
}  # fmt: skip


class Source(Frozen):
    """Where the rows come from and how a block's rows are made of them (Spark SQL expressions)."""

    format: Literal["parquet", "csv"] = "parquet"
    path: str = Field(
        min_length=1, description="path, URL, or package:NAME/FILE for data in a package"
    )
    time: str = Field(min_length=1, description="column with the event time, UTC")
    where: str = Field(default="", description="which source rows count")
    group_by: tuple[str, ...] = Field(
        default=(), description="one block row per distinct value of these"
    )
    columns: dict[Name, str] = Field(
        min_length=1, description="block column: expression over the source"
    )
    having: str = Field(
        default="", description="which block rows count; what is left out is counted"
    )

    @model_validator(mode="after")
    def _free_names(self) -> Source:
        # SQL takes names that differ in case alone for the same column.
        names = [name.lower() for name in (*self.group_by, *self.columns)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns {twice} are named twice in group_by and columns")
        taken = [name for name in names if name in RESERVED or name.endswith("_normalised")]
        if taken:
            raise ValueError(
                f"columns {taken} have names that Blockmix gives to columns of its own: "
                f"{', '.join(sorted(RESERVED))}, and all that end in _normalised"
            )
        return self
