"""Features: the columns of a mixture, each with the transform that brings it to feature space.

Sums of money and counts are closer to Gaussian on a log scale. A mixture lives in *feature space*
(after `forward`); people read *source units* (after `inverse`). A categorical feature is text there and
the code of a level here; what none of its levels is called, and what is missing, is the last level, `OTHER`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_numbers
from gmm_core.errors import InvalidInput

__all__ = ["OTHER", "Feature", "TransformName", "categorical_of", "numeric_of", "to_matrix"]

OTHER = "(other)"
TransformName = Literal["identity", "log", "log1p", "sqrt"]


@dataclass(frozen=True)
class _Transform:
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    allowed: Callable[[Array], Any]
    domain: str


def _finite(values: Array) -> Any:
    return np.isfinite(values)


def _square(values: Array) -> Array:
    # Feature values below 0 have no source value; the nearest is 0, and the inverse stays monotone.
    return np.square(np.maximum(values, 0.0))


_TRANSFORMS: dict[str, _Transform] = {
    "identity": _Transform(np.copy, np.copy, _finite, "finite numbers"),
    "log": _Transform(np.log, np.exp, lambda v: _finite(v) & (v > 0), "finite numbers above 0"),
    "log1p": _Transform(
        np.log1p, np.expm1, lambda v: _finite(v) & (v > -1), "finite numbers above -1"
    ),
    "sqrt": _Transform(
        np.sqrt, _square, lambda v: _finite(v) & (v >= 0), "finite numbers, 0 or more"
    ),
}


@dataclass(frozen=True)
class Feature:
    """A named column and the transform that is applied to it; or a categorical one, and its levels.

    >>> amount = Feature("amount", "log")
    >>> amount.inverse(amount.forward([1.0, 20.0])).round(12).tolist()
    [1.0, 20.0]
    >>> shop = Feature("shop", levels=("north", "south"))
    >>> shop.forward(["south", "west", None]).tolist()
    [1.0, 2.0, 2.0]
    """

    name: str
    transform: TransformName = "identity"
    levels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidInput(
                "a feature needs a name", got=self.name, bound="a text that is not empty"
            )
        if self.transform not in _TRANSFORMS:
            raise InvalidInput(
                f"unknown transform of feature {self.name!r}",
                got=self.transform,
                bound=", ".join(get_args(TransformName)),
            )
        if self.levels is not None:
            object.__setattr__(self, "levels", _checked_levels(self))

    @property
    def categorical(self) -> bool:
        """Whether values are levels, not numbers."""
        return self.levels is not None

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels by code, the last of them `OTHER`; none of a numeric feature."""
        return () if self.levels is None else (*self.levels, OTHER)

    def forward(self, values: ArrayLike) -> Array:
        """Source units to feature space, as a new float64 array.

        Raises `InvalidInput` with the first bad value and the count of bad values: NaN, infinite,
        or outside the transform's domain. Of a categorical feature nothing is bad: its values are
        compared as text, so the number 3 is the level "3".
        """
        if self.levels is not None:
            return _codes(values, self.levels)
        transform = _TRANSFORMS[self.transform]
        if isinstance(values, np.ma.MaskedArray):  # asarray would show what the mask hides
            values = np.ma.filled(values.astype(np.float64), np.nan)
        source: Array = as_numbers(values, f"feature {self.name!r}").astype(np.float64)
        good = transform.allowed(source)
        if not np.all(good):
            bad = source[~good]
            raise InvalidInput(
                f"feature {self.name!r} ({self.transform}) has {bad.size} bad values, the first "
                f"in row {int(np.argmin(good))}",
                got=float(bad[0]),
                bound=transform.domain,
                remedy="drop or repair these rows, or change the feature's transform",
            )
        return transform.forward(source)

    def allowed(self, values: Array) -> NDArray[np.bool_]:
        """(n,) which numbers have a value in feature space; of a numeric feature."""
        good: NDArray[np.bool_] = _TRANSFORMS[self.transform].allowed(values)
        return good

    def inverse(self, values: ArrayLike) -> Array:
        """Feature space to source units, as a new float64 array; of a numeric feature."""
        with np.errstate(
            over="ignore"
        ):  # beyond the largest float lies inf, and that is the answer
            return _TRANSFORMS[self.transform].inverse(np.asarray(values, dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Name and transform, or levels, as a plain dict."""
        if self.levels is not None:
            return {"name": self.name, "levels": list(self.levels)}
        return {"name": self.name, "transform": self.transform}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Feature:
        """Raises `InvalidInput` when a key is missing or a value is not allowed."""
        try:
            if "levels" in data:
                return cls(data["name"], levels=tuple(data["levels"]))
            return cls(data["name"], cast(TransformName, data["transform"]))
        except (KeyError, TypeError):
            raise InvalidInput(
                "not a feature", got=data, bound="a mapping with name, and transform or levels"
            ) from None


def numeric_of(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """The numeric ones, which come first; raises `InvalidInput` for none, or another order.

    >>> [one.name for one in numeric_of([Feature("x"), Feature("c", levels=("a",))])]
    ['x']
    """
    numeric = tuple(feature for feature in features if not feature.categorical)
    if not numeric:
        raise InvalidInput("numeric features", got=0, bound="at least 1")
    if tuple(features[: len(numeric)]) != numeric:
        raise InvalidInput(
            "categorical features must come after the numeric ones",
            got=[feature.name for feature in features],
        )
    return numeric


def categorical_of(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """The categorical ones, which come last."""
    return tuple(feature for feature in features if feature.categorical)


def _checked_levels(feature: Feature) -> tuple[str, ...]:
    if feature.transform != "identity":
        raise InvalidInput(
            f"categorical feature {feature.name!r} with a transform",
            got=feature.transform,
            remedy="leave the transform out",
        )
    levels = feature.levels
    good = (
        isinstance(levels, (list, tuple))
        and len(levels) > 0
        and all(isinstance(level, str) and level != OTHER for level in levels)
        and len(set(levels)) == len(levels)
    )
    if not good:
        raise InvalidInput(
            f"levels of feature {feature.name!r}",
            got=levels,
            bound=f"one or more different texts, none of them {OTHER!r}",
        )
    return tuple(levels or ())


def _codes(values: ArrayLike, levels: tuple[str, ...]) -> Array:
    """Codes of values as text; what is no level, or is not there, has the last."""
    column: NDArray[Any] = np.ma.filled(np.ma.asarray(values, dtype=object), None)
    code = {level: float(index) for index, level in enumerate(levels)}
    found = [code.get(_text(value), float(len(levels))) for value in column.ravel()]
    return np.array(found, dtype=np.float64).reshape(column.shape)


def _text(value: Any) -> str:
    """As SQL writes it. A whole float is an integer: tables keep integers with gaps as floats."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return OTHER if value is None else str(value)


def to_matrix(features: Sequence[Feature], columns: Mapping[str, ArrayLike]) -> Array:
    """Columns in source units as an (n, d) matrix in feature space, in the order of `features`.

    Raises `InvalidInput` for a missing column, columns of unequal length, and whatever
    `Feature.forward` refuses.
    """
    if not features:
        raise InvalidInput("no features given", got=0, bound="at least 1")
    missing = [feature.name for feature in features if feature.name not in columns]
    if missing:
        raise InvalidInput(
            f"columns {missing} are missing",
            got=sorted(str(name) for name in columns),
            bound=", ".join(feature.name for feature in features),
        )
    n = np.size(columns[features[0].name])
    matrix = np.empty((n, len(features)))
    for index, feature in enumerate(features):
        values = feature.forward(columns[feature.name])
        if values.shape != (n,):
            raise InvalidInput(
                f"column {feature.name!r} has the wrong shape", got=values.shape, bound=f"({n},)"
            )
        matrix[:, index] = values
    return matrix
