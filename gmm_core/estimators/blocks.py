"""What the windowed estimator knows of a block: its key, and how it is fitted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.block import fit_block
from gmm_core.em import fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.features import Feature
from gmm_core.moments import Moments
from gmm_core.summary import BlockSummary, FitReport

__all__ = ["Key", "block_summary", "checked_key", "checked_y"]

Key = int | str | dt.date | np.datetime64


def block_summary(
    rows: NDArray[Any], weight: Array | None, key: str, settings: dict[str, Any], seed: int
) -> BlockSummary:
    """Summary of a block of checked rows (n, d), each counting `weight` (n,) times if given.

    Parameters
    ----------
    settings : k, covariance_type, regularisation, restarts, max_iterations, tolerance and, if any,
        fewest and the size of the coreset, as `gmm_core.block.fit_block` takes them.

    Raises `FitFailed` for a feature that is constant in the block, `InvalidInput` for a coreset of
    weighted rows, and as `fit_block`.

    >>> settings = {"k": 1, "covariance_type": "full", "regularisation": 0.0}
    >>> settings |= {"restarts": 1, "max_iterations": 5, "tolerance": 1e-3}
    >>> rows, weight = np.array([[1.0], [5.0]]), np.array([3.0, 1.0])
    >>> block_summary(rows, weight, "monday", settings, seed=0).mixture.means.round(9).tolist()
    [[2.0]]
    """
    _check_spread(rows if weight is None else rows[weight > 0], key)
    features = tuple(Feature(f"x{index}") for index in range(rows.shape[1]))
    if weight is None:
        return fit_block("rows", key, features, rows, seed=seed, **settings)
    return _weighted(rows, weight, key, features, settings, seed)


def _check_spread(rows: NDArray[Any], key: str) -> None:
    """Raises `FitFailed` for a constant feature, here: `fit_block` would tell of a stream file."""
    flat = np.flatnonzero(rows.min(axis=0) == rows.max(axis=0))
    if len(flat):
        raise FitFailed(
            f"feature {flat[0]} is constant in block {key}",
            got=float(rows[0, flat[0]]),
            bound="at least two different values in each block",
            remedy="leave the feature out, or make blocks of more rows",
        )


def _weighted(
    rows: NDArray[Any],
    weight: Array,
    key: str,
    features: tuple[Feature, ...],
    settings: dict[str, Any],
    seed: int,
) -> BlockSummary:
    """`fit_block` of weighted rows; the order of the rows does not matter here either."""
    if settings.get("coreset"):
        raise InvalidInput(
            "coreset of a block with sample_weight",
            got=settings["coreset"],
            bound="0",
            remedy="leave one of the two out: the rows of a coreset count alike",
        )
    order = np.lexsort((weight, *rows.T[::-1]))
    rows, weight = rows[order], weight[order]
    rows, weight = rows[weight > 0], weight[weight > 0]
    moments = Moments.of(rows, weight)
    added: Array = settings["regularisation"] * np.diagonal(moments.covariance)
    result = fit(
        rows,
        settings["k"],
        covariance_type=settings["covariance_type"],
        reg_covar=added,
        tol=settings["tolerance"],
        max_iter=settings["max_iterations"],
        n_init=settings["restarts"],
        seed=seed,
        sample_weight=weight,
        fewest=settings.get("fewest"),
    )
    report = FitReport(
        result.status.value,
        result.converged,
        result.iterations,
        result.log_likelihood,
        result.restarts,
        result.reseeded,
        result.seconds,
    )
    low, high = rows.min(axis=0), rows.max(axis=0)
    return BlockSummary(
        "rows", key, features, result.mixture, moments, low, high, added, report, "", ""
    )


def _plain(key: Any) -> Any:
    """A key as Python's own int, text, date or datetime: numpy's and pandas' become these.

    numpy's days, months and years become dates, what is finer datetimes. Raises `InvalidInput` for
    no time, and for one that is finer than a datetime: microseconds.
    """
    if isinstance(key, np.integer):
        return int(key)
    if isinstance(key, str):
        return str(key)
    if isinstance(key, np.datetime64):
        days = np.datetime_data(key)[0] in ("Y", "M", "W", "D")
        rounded = key.astype("datetime64[D]" if days else "datetime64[us]")
        plain = rounded.item()  # an int beyond the year 9999
        lossless = bool(rounded == key) and isinstance(plain, dt.date)
        key = plain if lossless else key
    elif hasattr(key, "to_pydatetime"):  # pandas
        lossless = bool(key == key) and not getattr(key, "nanosecond", 0)  # NaT equals nothing
        key = key.to_pydatetime() if lossless else key
    else:
        return key
    if not lossless:
        raise InvalidInput(
            "key of a block",
            got=key,
            bound="a time in the years 1 to 9999, to the microsecond at most",
        )
    return key


def checked_key(key: Any, blocks: Mapping[Any, BlockSummary]) -> int | str | dt.date:
    """A key of the kind that the other blocks have, in plain Python; `InvalidInput` for another.

    >>> checked_key(np.int64(3), {}), checked_key(np.datetime64("2024-05-03"), {})
    (3, datetime.date(2024, 5, 3))
    """
    key = _plain(key)
    others = {_kind(other) for other in blocks} or {_kind(key)}
    if type(key) not in (int, str, dt.date, dt.datetime) or others != {_kind(key)}:
        raise InvalidInput(
            "key of a block",
            got=key,
            bound=" or ".join(sorted(others))
            if blocks
            else "a whole number, a text, a date or time",
            remedy="give all blocks keys of one kind" if blocks else "",
        )
    known: int | str | dt.date = key
    return known


def checked_y(y: Any) -> None:
    """Raises `InvalidInput` for a single value: a key in the place of the `y` that is not used.

    >>> checked_y(None)
    """
    if isinstance(y, (str, int, float, dt.date, np.generic)):
        raise InvalidInput(
            "y, which is not used, is a single value",
            got=y,
            bound="None, or a list",
            remedy="pass the key of a block by its name, key",
        )


def _kind(key: Any) -> str:
    """What sorts together; times with and without a zone do not."""
    zoned = getattr(key, "tzinfo", None) is not None
    return type(key).__name__ + " with a time zone" * zoned
