"""Checked arrays: the one way that numbers enter a value of this package.

Every value (mixture, moments, summary) holds read-only float64 arrays, so that it can be shared,
hashed and compared by content.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.errors import InvalidInput
from gmm_core.frames import column, column_names, whole

__all__ = [
    "Array",
    "Missing",
    "as_numbers",
    "as_rows",
    "as_weights",
    "content_hash",
    "frozen_array",
    "whole_numbers",
]

Array = NDArray[np.float64]
Missing = Literal["error", "marginalise"]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def frozen_array(values: ArrayLike, name: str, shape: tuple[int | str | None, ...]) -> Array:
    """A read-only float64 copy; raises `InvalidInput` for a wrong shape or not finite numbers.

    Parameters
    ----------
    name : what the array is, for the message.
    shape : the expected shape; `None` allows any length of that axis, and so does a text, its name.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        wanted = f"numbers, of shape {_shape(shape)}"
        raise InvalidInput(f"{name} is not an array of numbers", got=values, bound=wanted) from None
    fits = array.ndim == len(shape) and all(
        want is None or isinstance(want, str) or want == have
        for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = f"shape {_shape(shape)}"
        raise InvalidInput(f"{name} has the wrong shape", got=array.shape, bound=wanted)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(bad[0].tolist())
        place = f", the first at index {_index(where)}" if where else ""
        raise InvalidInput(
            f"{name} holds {len(bad)} NaN or infinite values{place}",
            got=float(array[where]),
            bound="finite numbers",
            remedy=f"drop or repair what {name} says there",
        )
    array += 0.0  # -0.0 becomes 0.0: equal values then have equal bytes and equal hashes
    array.flags.writeable = False
    return array


def as_rows(
    X: ArrayLike, n_features: int | None = None, missing: Missing | None = None
) -> NDArray[Any]:
    """`X` as an (n, d) float array, copied only when it is neither float32 nor float64.

    Arrays, and tables of pandas, polars or Arrow: float32 when all columns are, copied unless the
    table keeps them in one array. Finite values only; a null is NaN. Raises `InvalidInput` naming
    the first bad row and column. `missing` is what the caller may choose: "marginalise" lets NaN
    through, "error" tells of that, `None` is for where there is no such choice.

    >>> as_rows([[1, 2]]).tolist()
    [[1.0, 2.0]]
    """
    names = column_names(X)
    rows = as_numbers(X, "rows") if names is None else _of_table(X, names)
    rows = rows if rows.dtype in _FLOATS else rows.astype(np.float64)
    if rows.ndim != 2:
        raise InvalidInput(
            "rows must be a two-dimensional array",
            got=rows.shape,
            bound="shape (rows, features)",
            remedy="use X.reshape(-1, 1) for a single feature",
        )
    if n_features is not None and rows.shape[1] != n_features:
        raise InvalidInput(
            "rows have the wrong number of features", got=rows.shape[1], bound=str(n_features)
        )
    _check_finite(rows, names, missing)
    return rows


def _check_finite(rows: NDArray[Any], names: list[str] | None, missing: Missing | None) -> None:
    if missing is not None and not (isinstance(missing, str) and missing in get_args(Missing)):
        raise InvalidInput("missing", got=missing, bound=", ".join(get_args(Missing)))
    if not _perhaps_wrong(rows, missing):
        return
    bad = np.argwhere(np.isinf(rows) if missing == "marginalise" else ~np.isfinite(rows))
    if not len(bad):
        return
    row, place = bad[0].tolist()
    where = place if names is None else f"{place} ({names[place]!r})"
    kinds = "infinite" if missing == "marginalise" else "NaN or infinite"
    remedy = "drop or repair these rows first"
    if missing == "error" and np.isnan(rows).any():
        remedy += ', or take NaN as a missing value with missing="marginalise"'
    raise InvalidInput(
        f"rows hold {len(bad)} {kinds} values, the first in row {row}, column {where}",
        got=float(rows[row, place]),
        bound="finite numbers",
        remedy=remedy,
    )


def _perhaps_wrong(rows: NDArray[Any], missing: Missing | None) -> bool:
    """False where no value is wrong, without a mask of all rows, which would take an eighth of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(rows.sum()):
            return False
        if missing == "marginalise":
            extremes = np.fmin.reduce(rows, axis=None), np.fmax.reduce(rows, axis=None)
            return bool(np.isinf(extremes).any())
    return True


def _of_table(X: Any, names: list[str]) -> NDArray[Any]:
    matrix = whole(X)
    if matrix is not None and matrix.dtype in _FLOATS:
        return matrix
    columns = [as_numbers(column(X, i), f"column {name!r}") for i, name in enumerate(names)]
    single = bool(columns) and all(values.dtype == np.float32 for values in columns)
    result = np.empty(X.shape, np.float32 if single else np.float64)
    for index, values in enumerate(columns):
        result[:, index] = values
    return result


def as_numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    """`values` as an array of real numbers of whatever type; raises `InvalidInput` for others.

    Text and dates are refused, also where numpy could convert them.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and not any(isinstance(v, (str, bytes)) for v in array.flat):
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=np.str_)
    if array.dtype.kind not in "biuf":
        got = str(getattr(values, "dtype", type(values).__name__))
        raise InvalidInput(f"{name} holds values that are not numbers", got=got, bound="numbers")
    return array


def as_weights(sample_weight: ArrayLike | None, n_rows: int) -> Array | None:
    """Row weights as an (n,) array, `None` when all rows weigh one; raises `InvalidInput`."""
    if sample_weight is None:
        return None
    weight = frozen_array(sample_weight, "sample_weight", (n_rows,))
    if (weight < 0).any():
        raise InvalidInput(
            f"sample_weight holds negative weights, the first at index {(weight < 0).argmax()}",
            got=float(weight[weight < 0][0]),
            bound="0 or more",
        )
    if n_rows and not weight.any():
        raise InvalidInput(
            "sample_weight is zero for every row",
            bound="at least one positive weight",
            remedy="leave it out",
        )
    return weight


def whole_numbers(values: Iterable[Any]) -> list[int]:
    """The values as ints; raises `TypeError` for what is no whole number, as a bool is none.

    >>> whole_numbers(np.array([2, 0]))
    [2, 0]
    """
    numbers = list(values)
    if any(isinstance(value, (bool, np.bool_)) for value in numbers):
        raise TypeError("a bool is no number here")
    return [operator.index(value) for value in numbers]


def _shape(shape: tuple[int | str | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"


def _index(where: tuple[int, ...]) -> str:
    return str(where[0]) if len(where) == 1 else str(where)


def content_hash(*parts: Any) -> str:
    """SHA-256 over arrays (shape, bytes) and the text of everything else, as 64 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            text, payload = f"array{part.shape}", np.ascontiguousarray(part, dtype="<f8").tobytes()
        else:
            text, payload = type(part).__name__, repr(part).encode()
        digest.update(f"{text}:{len(payload)}:".encode() + payload)
    return digest.hexdigest()
