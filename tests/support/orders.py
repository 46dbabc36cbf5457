"""A made-up stream for tests: orders of two groups of customers over ten days."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

FIRST = dt.date(2024, 5, 1)
KEYS = [str(FIRST + dt.timedelta(days=i)) for i in range(10)]


def make_rows(key: str, n: int = 400, seed: int | None = None) -> pd.DataFrame:
    """Rows of two groups of customers; the same key gives the same rows."""
    rng = np.random.default_rng(dt.date.fromisoformat(key).toordinal() if seed is None else seed)
    large = rng.random(n) < 0.3
    price = np.exp(np.where(large, rng.normal(4.5, 0.4, n), rng.normal(2.0, 0.7, n)))
    seconds = np.sort(rng.uniform(0, 86_399, n))
    return pd.DataFrame(
        {
            "event_time": pd.Timestamp(key) + pd.to_timedelta(seconds, unit="s"),
            "price": price,
            "delay": np.where(large, rng.gamma(9.0, 1.0, n), rng.gamma(3.0, 1.0, n)),
            "rating": rng.normal(0.0, 1.0, n) + 0.5 * np.log(price),
        }
    )
