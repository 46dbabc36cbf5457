"""Corrupts one day of the demo's source, the way sources do break: the unit of a column changes."""

from __future__ import annotations

import datetime as dt
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

__all__ = ["corrupted_streams"]

PROJECT = Path(__file__).resolve().parent.parent


def corrupted_streams(home: Path, stream: str, key: str) -> Path:
    """A folder of stream files in which one stream reads a copy of its source with a bad day.

    On that day dollars arrive as cents. The installed package's own file is left alone.
    """
    declared = yaml.safe_load((PROJECT / "dags" / "streams" / f"{stream}.yaml").read_text())
    package, _, inner = declared["source"]["path"].removeprefix("package:").partition("/")
    table = pq.read_table(str(files(package).joinpath(inner)))
    home.mkdir(parents=True, exist_ok=True)
    copy = home / Path(inner).name
    pq.write_table(_in_cents(table, declared["source"]["time"], dt.date.fromisoformat(key)), copy)
    folder = home / "streams"
    folder.mkdir(exist_ok=True)
    declared["source"]["path"] = str(copy)
    (folder / f"{stream}.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return folder


def _in_cents(table: pa.Table, time_column: str, day: dt.date) -> pa.Table:
    on_the_day = pc.equal(pc.cast(table[time_column], pa.date32()), pa.scalar(day))
    for name in ("sales_value", "retail_disc", "coupon_disc"):
        wrong = pc.if_else(on_the_day, pc.multiply(table[name], 100.0), table[name])
        table = table.set_column(table.schema.get_field_index(name), name, wrong)
    return table
