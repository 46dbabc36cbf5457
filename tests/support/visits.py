"""A made-up stream with categorical features: visits of two kinds, told apart by shop and card alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from orders import FIRST

SHOPS = ("north", "south", "it's east")


def make_visits(key: str, n: int = 500) -> pd.DataFrame:
    """Rows of a day; the same key gives the same rows. One shop is not declared, some have none."""
    rng = np.random.default_rng(dt.date.fromisoformat(key).toordinal())
    kind = rng.random(n) < 0.4
    shop = np.where(
        kind,
        rng.choice([*SHOPS, "kiosk"], n, p=[0.75, 0.15, 0.08, 0.02]),
        rng.choice([*SHOPS, "kiosk"], n, p=[0.1, 0.2, 0.68, 0.02]),
    )
    seconds = np.sort(rng.uniform(0, 86_399, n))
    return pd.DataFrame(
        {
            "event_time": pd.Timestamp(key) + pd.to_timedelta(seconds, unit="s"),
            "shop": np.where(rng.random(n) < 0.01, None, shop),
            "spent": np.exp(rng.normal(3.0, 0.5, n)),
            "card": np.where(kind, rng.choice(3, n, p=[0.8, 0.1, 0.1]), rng.choice(3, n, p=[0.1, 0.2, 0.7])),
            "minutes": rng.gamma(5.0, 2.0, n),
            "weekend": np.where(kind, rng.random(n) < 0.9, rng.random(n) < 0.15),
        }
    )  # fmt: skip


def visits_declaration(**changes: Any) -> dict[str, Any]:
    """The stream file's content; categorical features stand among the numeric ones."""
    columns = ("shop", "spent", "card", "minutes", "weekend")
    return {
        "stream": "visits",
        "start": str(FIRST),
        "source": {"path": "visits.parquet", "time": "at", "columns": {c: c for c in columns}},
        "features": {
            "shop": {"type": "categorical", "levels": list(SHOPS)},
            "spent": {"transform": "log", "minimum": 0.01, "maximum": 10_000},
            "card": {"type": "categorical", "levels": ["0", "1", "2"]},
            "minutes": {"type": "numeric", "transform": "log1p", "minimum": 0, "maximum": 1_000},
            "weekend": {"type": "categorical", "levels": ["true", "false"]},
        },
        "mixture": {"k": 2, "restarts": 2},
        "window": {"blocks": 3, "strategy": "runnalls"},
        "gates": {"completeness": 0.95},
    } | changes
