"""Source settings: where a stream's rows come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gmm_core.pipeline.settings.common import Frozen, Name

__all__ = ["RESERVED", "Source", "connection_variable"]

# Names of the columns that landing and transforming add.
RESERVED = {
    "event_time", "component", "component_id", "log_prob", "score", "anomaly",
    "model_version", "stream", "block_key", "block",
}  # fmt: skip


# What PostgreSQL takes unquoted; quoted it stands for itself, case and all.
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_$]{0,62}"
Table = Annotated[str, Field(pattern=rf"^{_IDENTIFIER}(\.{_IDENTIFIER})?$")]
# The keys of a format, besides those of all: which it needs, and which it may have.
_KEYS = {
    "parquet": (("path",), ()),
    "csv": (("path",), ()),
    "delta": (("path",), ("version",)),
    "postgres": (("connection", "table"), ("readers",)),
}


def connection_variable(name: str) -> str:
    """The environment variable with address and password of a connection.

    >>> connection_variable("shop")
    'BLOCKMIX_CONNECTION_SHOP'
    """
    return f"BLOCKMIX_CONNECTION_{name.upper()}"


class Source(Frozen):
    """Where the rows come from and how a block's rows are made of them (Spark SQL expressions)."""

    format: Literal["parquet", "csv", "delta", "postgres"] = "parquet"
    path: str | None = Field(
        default=None,
        min_length=1,
        description="of files or a Delta table: path, URL, or package:NAME/FILE for data in a package",
    )
    version: int | None = Field(
        default=None, ge=0, description="of a Delta table; the newest when left out"
    )
    connection: Name | None = Field(
        default=None, description="name that address and password of a database are known by"
    )
    table: Table | None = Field(default=None, description="of a database: schema.table or table")
    readers: int | None = Field(
        default=None,
        ge=1,
        le=96,
        description="connections that read a day together; 1 when left out",
    )
    time: str = Field(min_length=1, description="column with the event time, UTC")
    where: str = Field(default="", description="which source rows count")
    group_by: tuple[str, ...] = Field(
        default=(), description="one block row per distinct value of these"
    )
    entity: str | None = Field(
        default=None, description="column of group_by or columns that says who a row is of"
    )
    columns: dict[Name, str] = Field(
        min_length=1, description="block column: expression over the source"
    )
    having: str = Field(
        default="", description="which block rows count; what is left out is counted"
    )

    @model_validator(mode="after")
    def _keys_of_the_format(self) -> Source:
        needed, allowed = _KEYS[self.format]
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise ValueError(f"format {self.format!r} needs {' and '.join(missing)}")
        others = {name for keys in _KEYS.values() for part in keys for name in part}
        extra = [
            n for n in sorted(others.difference(needed, allowed)) if getattr(self, n) is not None
        ]
        if extra:
            raise ValueError(f"format {self.format!r} has no {' and no '.join(extra)}")
        return self

    @model_validator(mode="after")
    def _entity_exists(self) -> Source:
        if self.entity is not None and self.entity not in (*self.group_by, *self.columns):
            raise ValueError(
                f"entity {self.entity!r} is not among group_by {list(self.group_by)} "
                f"and columns {sorted(self.columns)}"
            )
        return self

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
