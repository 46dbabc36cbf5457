"""Streams: the sections of settings/ together, what of one another they need, and their hashes.

See stream_files.py for the files.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.pipeline.settings.common import Day, Frozen, Name
from gmm_core.pipeline.settings.features import AnyFeature, CategoricalSettings, FeatureSettings
from gmm_core.pipeline.settings.gates import Gates, Scoring
from gmm_core.pipeline.settings.mixtures import MixtureSettings, WindowSettings
from gmm_core.pipeline.settings.promotion import Promotion
from gmm_core.pipeline.settings.sources import Source
from gmm_core.pipeline.settings.watching import DriftSettings, Health, Triggers
from gmm_core.reduction.mixed import MIXED_CRITERIA
from gmm_core.strategy import strategy_of

__all__ = ["Stream", "first_problem", "parse_key"]

_OPTIONS = ("coreset", "exact_passes", "path")  # of a fit, that came after blocks had been fitted
_ROWS_GATE = {"minimum_rows", "completeness", "in_range"}
_FIT_GATE = {"condition_number", "maximum_weight"}


class Stream(Frozen):
    """A declared data set. Frozen: `with_overrides` gives another one."""

    _trial: bool = PrivateAttr(default=False)

    stream: Name
    description: str = ""
    owner: str = "data-team"
    start: Day = Field(description="first block key")
    end: Day | None = Field(default=None, description="last block key, for a finished stream")
    source: Source
    features: dict[Name, AnyFeature] = Field(min_length=1, max_length=64)
    mixture: MixtureSettings
    window: WindowSettings
    gates: Gates = Gates()
    scoring: Scoring = Scoring()
    promotion: Promotion = Promotion()
    health: Health = Health()
    drift: DriftSettings = DriftSettings()
    triggers: Triggers = Triggers()

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
    def _label_is_no_feature(self) -> Stream:
        label = self.health.label
        if label is not None and (label in self.features or label not in self.source.columns):
            raise ValueError(
                f"health.label {label!r} must be one of source.columns and none of features"
            )
        return self

    @model_validator(mode="after")
    def _categories_can_be_merged(self) -> Stream:
        if not self.numeric_features:
            raise ValueError("features: one at least must be numeric")
        categorical = list(self.categorical_features)
        if categorical and strategy_of(self.window.strategy).criterion not in MIXED_CRITERIA:
            raise ValueError(
                f"window.strategy {self.window.strategy!r} does not know categorical features "
                f"{categorical}: set it to 'default'"
            )
        return self

    @model_validator(mode="after")
    def _categories_keep_no_rows(self) -> Stream:
        if self.mixture.coreset and self.categorical_features:
            raise ValueError(
                f"mixture.coreset does not know categorical features "
                f"{list(self.categorical_features)}: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _components_to_choose_from(self) -> Stream:
        most, have = self.window.k, self.mixture.block_components
        if most is not None and most.maximum > have:
            raise ValueError(
                f"window.k.maximum {most.maximum} exceeds {have}, the components of a block "
                "(mixture.block_k): a window of one block could not have so many"
            )
        return self

    @model_validator(mode="after")
    def _rows_enough_for_k(self) -> Stream:
        if self.gates.minimum_rows < self.mixture.block_components:
            raise ValueError(
                f"gates.minimum_rows {self.gates.minimum_rows} must be at least "
                f"{self.mixture.block_components}, the components of a block (mixture.block_k)"
            )
        return self

    @property
    def name(self) -> str:
        return self.stream

    @model_validator(mode="after")
    def _a_trigger_can_act(self) -> Stream:
        wanted, triggers, mixture = self.triggers.on_drift, self.triggers, self.mixture
        wrong = ""
        if wanted == "shorter_window" and triggers.window >= self.window.blocks:
            wrong = f"triggers.window {triggers.window} must be below window.blocks {self.window.blocks}"
        elif wanted == "wider_k" and self.window.k is not None:
            wrong = "window.k is a range: it chooses k every day"
        elif wanted == "wider_k" and mixture.block_components <= mixture.k:
            wrong = (
                f"mixture.block_k {mixture.block_components} must be above mixture.k {mixture.k}: "
                "of fewer components there are none to add"
            )
        elif wanted == "new_baseline" and self.drift.baseline is not None:
            wrong = f"drift.baseline {self.drift.baseline} is fixed: leave it out"
        if wrong:
            raise ValueError(f"triggers.on_drift {wanted!r} could do nothing: {wrong}")
        return self

    @property
    def trial(self) -> bool:
        """Whether this is not what the stream file declares: its versions are no day's own."""
        return self._trial

    @property
    def numeric_features(self) -> dict[str, FeatureSettings]:
        """The numeric ones, in declared order."""
        return {n: f for n, f in self.features.items() if isinstance(f, FeatureSettings)}

    @property
    def categorical_features(self) -> dict[str, CategoricalSettings]:
        """The categorical ones, in declared order."""
        return {n: f for n, f in self.features.items() if isinstance(f, CategoricalSettings)}

    @property
    def feature_list(self) -> tuple[Feature, ...]:
        """The features, numeric ones first, else as declared: the order of every array's columns."""
        numeric = (Feature(name, f.transform) for name, f in self.numeric_features.items())
        others = (Feature(name, levels=f.levels) for name, f in self.categorical_features.items())
        return (*numeric, *others)

    @property
    def rows_fingerprint(self) -> str:
        """Hash of the rules that landed rows have to meet."""
        return self._rules(_ROWS_GATE)

    @property
    def gate_fingerprint(self) -> str:
        """Hash of the rules that a fit has to meet, and its rows; those of a day beside the days
        before it are left out, for they change with these."""
        return self._rules(_ROWS_GATE | _FIT_GATE)

    def _rules(self, names: set[str]) -> str:
        # What is no such rule counts as its default: blocks stay landed when it is another.
        gates = Gates().model_dump(exclude={"against_window"})
        gates |= self.gates.model_dump(include=names)
        features = self.model_dump()["features"]
        for feature in features.values():
            feature |= {"unit": ""} if "unit" in feature else {}
        return _digest({"features": features, "gates": gates})

    @property
    def of_a_block(self) -> dict[str, Any]:
        """What `fit_block` is told, by its names.

        A block keeps as many components as the widest window of it alone may be declared to have.
        """
        fixed, chosen = self.mixture.block_k is not None, self.window.k
        needed = max(self.mixture.k, chosen.maximum if chosen else 1)
        return {**self.mixture.of_a_block, "fewest": None if fixed else needed}

    @property
    def fit_fingerprint(self) -> str:
        """Hash of all that decides a block mixture besides the rows."""
        return _digest(
            {
                "fewest": self.of_a_block["fewest"],
                "mixture": {
                    # What is off says nothing: blocks stay fitted when there is another option.
                    name: value
                    for name, value in self.mixture.model_dump().items()
                    if name not in _OPTIONS or value != MixtureSettings.model_fields[name].default
                },
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
                # What is off says nothing: versions stay the same when there is another option.
                "window": self.window.model_dump(exclude_none=True),
                # What is written beside the scores is no part of a version.
                "scoring": self.scoring.model_dump(exclude={"also"}),
                "seed": self.mixture.seed,
            }
        )

    def with_overrides(
        self,
        k: int | None = None,
        window: int | None = None,
        covariance_type: str | None = None,
    ) -> Stream:
        """The same stream with other settings, on trial; `None` keeps a setting. Raises `InvalidInput`.

        A trial sets nothing off: its triggers are the default's.
        """
        if (k, window, covariance_type) == (None, None, None):
            return self
        data = self.model_dump(exclude={"triggers"})
        if k is not None:
            data["mixture"]["k"] = k
        if covariance_type is not None:
            data["mixture"]["covariance_type"] = covariance_type
        if window is not None:
            data["window"]["blocks"] = window
            data["window"]["minimum_blocks"] = min(window, data["window"]["minimum_blocks"])
        try:
            changed = Stream.model_validate(data)
        except ValidationError as error:
            key, got, allowed = first_problem(error)
            raise InvalidInput(
                f"override {key} of stream {self.name!r} is wrong", got=got, bound=allowed
            ) from None
        declared = self.model_dump(exclude={"triggers"})
        changed._trial = changed.model_dump(exclude={"triggers"}) != declared  # noqa: SLF001 (its own class)
        return changed


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
    # Which type of feature was meant is no key of the file.
    loc = first["loc"]
    named = loc[:2] + loc[3:] if loc[:1] == ("features",) else loc
    key = ".".join(str(part) for part in named) or "(whole file)"
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
        kind = CategoricalSettings if "categorical" in loc[2:3] else FeatureSettings
        return list(kind.model_fields)
    section = Stream.model_fields[str(loc[0])].annotation
    return list(getattr(section, "model_fields", ()))
