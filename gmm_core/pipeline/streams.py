"""Streams: what can be declared of one, and what is allowed (see stream_files.py for the files)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, TransformName

__all__ = [
    "Gates",
    "MixtureSettings",
    "Source",
    "Stream",
    "WindowSettings",
    "first_problem",
    "parse_key",
]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
CovarianceType = Literal["full", "diag"]
MAX_K = 64
MAX_WINDOW = 366
# Names of the columns that landing and transforming add.
RESERVED = {
    "event_time", "component", "log_prob", "score", "anomaly",
    "model_version", "stream", "block_key", "block",
}  # fmt: skip


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
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


class FeatureSettings(_Frozen):
    """One feature of the mixture: its transform, and the bounds of a sane value in source units."""

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


class MixtureSettings(_Frozen):
    """How a block is fitted."""

    k: int = Field(ge=1, le=MAX_K, description="components, of a block and of the window")
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


class WindowSettings(_Frozen):
    """Which blocks are pooled, and how they are reduced to k components."""

    blocks: int = Field(
        ge=1, le=MAX_WINDOW, description="the b newest present blocks up to the key"
    )
    minimum_blocks: int = Field(default=1, ge=1, le=MAX_WINDOW)
    criterion: Literal["hotelling"] = "hotelling"

    @model_validator(mode="after")
    def _enough(self) -> WindowSettings:
        if self.minimum_blocks > self.blocks:
            raise ValueError(f"minimum_blocks {self.minimum_blocks} exceeds blocks {self.blocks}")
        return self


class Gates(_Frozen):
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


class Scoring(_Frozen):
    """When a row counts as an anomaly."""

    anomaly_above: float = Field(default=0.999, gt=0, lt=1, description="score, a tail probability")


class Stream(_Frozen):
    """A declared data set. Frozen: `with_overrides` gives another one."""

    stream: Name
    description: str = ""
    owner: str = "data-team"
    start: dt.date = Field(description="first block key")
    end: dt.date | None = Field(default=None, description="last block key, for a finished stream")
    source: Source
    features: dict[Name, FeatureSettings] = Field(min_length=1, max_length=64)
    mixture: MixtureSettings
    window: WindowSettings
    gates: Gates = Gates()
    scoring: Scoring = Scoring()

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: dt.date | None, info: Any) -> dt.date | None:
        if end is not None and "start" in info.data and end < info.data["start"]:
            raise ValueError(f"must not be before start {info.data['start']}")
        return end

    @model_validator(mode="after")
    def _features_exist(self) -> Stream:
        unknown = sorted(set(self.features) - set(self.source.columns))
        if unknown:
            raise ValueError(
                f"features {unknown} are not among source.columns {sorted(self.source.columns)}"
            )
        return self

    @model_validator(mode="after")
    def _rows_enough_for_k(self) -> Stream:
        if self.gates.minimum_rows < self.mixture.k:
            raise ValueError(
                f"gates.minimum_rows {self.gates.minimum_rows} must be at least mixture.k {self.mixture.k}"
            )
        return self

    @property
    def name(self) -> str:
        return self.stream

    @property
    def feature_list(self) -> tuple[Feature, ...]:
        """The features in declared order, the order of every array's columns."""
        return tuple(Feature(name, f.transform) for name, f in self.features.items())

    @property
    def rows_fingerprint(self) -> str:
        """Hash of the rules that landed rows have to meet."""
        return _digest(
            {"features": self.model_dump()["features"], "gates": self.gates.model_dump()}
        )

    @property
    def fit_fingerprint(self) -> str:
        """Hash of all that decides a block mixture besides the rows."""
        return _digest(
            {
                "mixture": self.mixture.model_dump(),
                "features": [f.to_dict() for f in self.feature_list],
            }
        )

    @property
    def window_fingerprint(self) -> str:
        """Hash of all that decides a window mixture besides the block summaries."""
        return _digest(
            {
                "k": self.mixture.k,
                "covariance_type": self.mixture.covariance_type,
                "window": self.window.model_dump(),
                "scoring": self.scoring.model_dump(),
                "seed": self.mixture.seed,
            }
        )

    def with_overrides(
        self,
        k: int | None = None,
        window: int | None = None,
        covariance_type: str | None = None,
    ) -> Stream:
        """The same stream with other settings; `None` keeps a setting. Raises `InvalidInput`."""
        data = self.model_dump()
        if k is not None:
            data["mixture"]["k"] = k
        if covariance_type is not None:
            data["mixture"]["covariance_type"] = covariance_type
        if window is not None:
            data["window"]["blocks"] = window
            data["window"]["minimum_blocks"] = min(window, data["window"]["minimum_blocks"])
        try:
            return Stream.model_validate(data)
        except ValidationError as error:
            key, got, allowed = first_problem(error)
            raise InvalidInput(
                f"override {key} of stream {self.name!r} is wrong", got=got, bound=allowed
            ) from None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def parse_key(key: str) -> dt.date:
    """The day of a block key; raises `InvalidInput` unless it is written as 2017-03-14."""
    if isinstance(key, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", key):
        try:
            return dt.date.fromisoformat(key)
        except ValueError:
            pass
    raise InvalidInput(
        "not a block key",
        got=key,
        bound="a day as YYYY-MM-DD",
        remedy="write the day as 2017-03-14",
    )


def first_problem(error: ValidationError) -> tuple[str, Any, str]:
    """Key, value and what is allowed, of the first thing a validation found wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    if first["type"] == "missing":
        return key, None, "a value: the key is required"
    if first["type"] == "extra_forbidden":
        known = _keys_at(first["loc"][:-1])
        return (
            key,
            first["input"],
            "no such key" + (f"; keys here: {', '.join(known)}" if known else ""),
        )
    got = (
        "the values together"
        if isinstance(first["input"], Mapping) and not first["loc"]
        else first["input"]
    )
    return key, got, first["msg"].removeprefix("Value error, ")


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where an unknown one was found."""
    if not loc:
        return list(Stream.model_fields)
    if loc[0] == "features":
        return list(FeatureSettings.model_fields)
    section = Stream.model_fields[str(loc[0])].annotation
    return list(getattr(section, "model_fields", ()))
