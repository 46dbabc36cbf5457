"""Frames: what a table of pandas, polars or Arrow is made of, without importing any of them.

Told apart by what they can do. What is null becomes NaN where the column holds numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.errors import InvalidInput

__all__ = ["column", "column_names", "whole"]


def column_names(X: Any) -> list[str] | None:
    """Names of the columns of a table; `None` when `X` is no table.

    Raises `InvalidInput` for a query, such as a polars LazyFrame: its rows are not there yet.

    >>> column_names([[1.0, 2.0]]) is None
    True
    """
    if hasattr(X, "collect") and not hasattr(X, "to_numpy"):
        raise InvalidInput(
            "rows are a query that has not run yet",
            got=type(X).__name__,
            bound="an array, or a table whose rows are there",
            remedy="call its collect() first",
        )
    # Arrow's `columns` are the data, so its own name for names goes first.
    names = getattr(X, "column_names", getattr(X, "columns", None))
    return None if names is None else [str(name) for name in names]


def whole(X: Any) -> NDArray[Any] | None:
    """The table as the one array that it is kept in, uncopied; `None` when it is kept otherwise."""
    if not hasattr(X, "to_numpy") or len(set(X.dtypes)) != 1:
        return None
    matrix: NDArray[Any] = X.to_numpy()
    return matrix


def column(X: Any, index: int) -> NDArray[Any]:
    """Values (n,) of one column."""
    if hasattr(X, "to_series"):  # polars
        values = X.to_series(index).to_numpy()
    elif hasattr(X, "iloc"):  # pandas
        values = _pandas_column(X.iloc[:, index])
    else:
        values = X.column(index)
    return np.asarray(values)


def _pandas_column(series: Any) -> Any:
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, np.dtype) or kind not in "biuf":
        return series.to_numpy()
    # Nullable numbers: their null is an object of its own, unless told to be NaN.
    single = kind == "f" and series.dtype.itemsize == 4
    return series.to_numpy(np.float32 if single else np.float64, na_value=np.nan)
