"""Landing a block: the rows, what was left out, the digest, and errors that name the key."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.errors import InvalidInput, ServiceUnavailable
from gmm_core.spark import files, landing

KEY = "2017-03-14"
GROUPS = ["basket_id", "household_id", "store_id"]
MICRO = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="module")
def expected(transactions: pd.DataFrame) -> pd.DataFrame:
    """The baskets of the day, computed by pandas alone."""
    time = transactions["transaction_timestamp"]
    day = transactions[(time >= "2017-03-14") & (time < "2017-03-15")]
    clock = day["transaction_timestamp"].dt
    groups = day.assign(hour=clock.hour + clock.minute / 60).groupby(GROUPS)
    rows = groups.agg(
        event_time=("transaction_timestamp", "min"), amount=("sales_value", "sum"),
        items=("quantity", "sum"), retail=("retail_disc", "sum"), coupon=("coupon_disc", "sum"),
        hour=("hour", "min"),
    ).reset_index()  # fmt: skip
    discount = rows["retail"] + rows["coupon"]
    return rows.assign(discount_share=discount / (rows["amount"] + discount))


def test_a_real_day_is_what_pandas_computes(landed, expected, read):
    folder, outcome = landed
    wanted = expected[(expected["amount"] > 0) & (expected["items"] > 0)]
    got = read(folder)
    assert outcome.rows == len(got) == len(wanted) == 391
    assert outcome.left_out == len(expected) - len(wanted) == 1
    assert list(got) == [*GROUPS, "event_time", "amount", "items", "discount_share", "hour"]
    assert got["event_time"].is_monotonic_increasing
    got = got.assign(event_time=got["event_time"].dt.tz_localize(None)).sort_values(GROUPS)
    wanted = wanted.sort_values(GROUPS)[list(got)]
    for name in got:
        if name in ("amount", "discount_share", "hour"):
            # hour is a decimal of six digits in the stream's own expression
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-12, atol=1e-6)
        else:
            assert (got[name].to_numpy() == wanted[name].to_numpy()).all(), name


def test_the_folder_holds_one_portable_file(landed):
    folder, _ = landed
    visible = [p for p in pd.io.common.Path(folder).iterdir() if not p.name.startswith(".")]
    assert [p.suffix for p in visible] == [".parquet"]
    schema = pq.read_schema(visible[0])
    assert schema.field("event_time").type == MICRO
    assert schema.field("hour").type == pa.float64(), (
        "a decimal in the expression, a double in the lake"
    )


def test_landing_again_gives_the_same_digest(landed, engine, baskets, tmp_path):
    _, first = landed
    assert engine.land(baskets, KEY, str(tmp_path / "again")) == first


def test_landing_into_a_folder_in_use_replaces_it(engine, stream_of, source_file, tmp_path, read):
    for times in (["2017-03-14"] * 3, ["2017-03-14"] * 2):
        stream = stream_of(source_file([pd.Timestamp(t) for t in times], pa.timestamp("us")))
        engine.land(stream, KEY, str(tmp_path / "out"))
    assert len(read(str(tmp_path / "out"))) == 2


def test_a_day_without_rows_lands_empty(land, baskets):
    outcome, rows = land(baskets, "2031-01-01")
    assert (outcome.rows, outcome.left_out) == (0, 0)
    assert len(rows) == 0
    assert "amount" in rows


def test_plain_rows_where_and_having(land, stream_of, source_file):
    nan = float("nan")
    path = source_file(
        [pd.Timestamp(KEY)] * 6, pa.timestamp("us"),
        v=pa.array([1.0, 2.0, None, -4.0, 5.0, nan]), kind=["a", "a", "a", "a", "b", "a"],
    )  # fmt: skip
    stream = stream_of(path, where="kind = 'a'", columns={"x": "v * 2"}, having="x > 0")
    outcome, rows = land(stream)
    # NULL fails the filter and is counted; NaN is larger than any number to Spark, the gate's to judge
    assert sorted(rows["x"].dropna()) == [2.0, 4.0]
    assert (outcome.rows, outcome.left_out) == (3, 2)


def test_a_block_column_may_have_the_name_of_a_source_column(land, stream_of, source_file):
    path = source_file([pd.Timestamp(KEY)] * 4, pa.timestamp("us"), x=[1, 2, 3, -9], g=[1, 1, 2, 2])
    _, rows = land(stream_of(path, group_by=["g"], columns={"x": "sum(x)"}, having="x > 0"))
    assert rows[["g", "x"]].to_numpy().tolist() == [[1, 3]]


# The digest


@pytest.fixture
def digest(engine, tmp_path):
    """The digest of tables as Parquet files in one folder."""

    def of(*tables: pa.Table) -> str:
        folder = tmp_path / "content"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for index, table in enumerate(tables):
            pq.write_table(table, folder / f"{index}.parquet")
        with engine._spark() as spark:
            count, text = files.content(spark.read.parquet(str(folder)))
        assert count == sum(len(table) for table in tables)
        return text

    return of


def test_the_digest_does_not_depend_on_order_or_files(digest):
    table = pa.table({"a": [1, 2, 3, 4], "b": ["x", None, "z", "z"], "c": [0.1, 0.2, None, 0.4]})
    whole = digest(table)
    assert re.fullmatch("[0-9a-f]{32}", whole)
    assert whole == digest(table.take([3, 1, 0, 2]))
    assert whole == digest(table.slice(2), table.slice(0, 2))


def test_the_digest_sees_every_change(digest):
    table = pa.table({"a": [1, 2, 3, 4], "b": [5, None, 7, 7]})
    rows = table.to_pylist()
    changed = {
        "a value": [{**rows[0], "a": 9}, *rows[1:]],
        "a NULL filled": [rows[0], {"a": 2, "b": 0}, *rows[2:]],
        "a value moved to the other column": [rows[0], {"a": None, "b": 2}, *rows[2:]],
        "a row less": rows[1:],
        "a row twice": [*rows, rows[0]],
        "a pair of equal rows more": [*rows, rows[0], rows[0]],
    }
    made = {name: digest(pa.Table.from_pylist(r, table.schema)) for name, r in changed.items()}
    made["a column renamed"] = digest(table.rename_columns(["a", "c"]))
    made["nothing"] = digest(table)
    assert len(set(made.values())) == len(made), made


def test_a_sum_of_floats_does_not_depend_on_how_the_source_is_stored(engine, stream_of, tmp_path):
    rng = np.random.default_rng(5)
    n = 6_000
    table = pa.table(
        {
            "at": pa.array([pd.Timestamp(KEY)] * n, pa.timestamp("us")),
            "g": rng.integers(0, 40, n),
            "x": rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n),
        }
    )
    digests = set()
    for name, order, parts in (("a", np.arange(n), 1), ("b", rng.permutation(n), 7)):
        folder = tmp_path / name
        folder.mkdir()
        for index, part in enumerate(np.array_split(order, parts)):
            pq.write_table(table.take(part), folder / f"{index}.parquet")
        stream = stream_of(folder, group_by=["g"], columns={"x": "sum(x)"})
        digests.add(engine.land(stream, KEY, str(tmp_path / "out")).digest)
    assert len(digests) == 1
    # The rows would tell: added up in two orders they give different digits.
    x = table["x"].to_numpy()
    assert sum(x) != sum(x[::-1])


# Errors

COLUMN, TWICE = r"source\.columns\.", r"source\.columns would give a block column twice: .*"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"amount": "sum(sales_valu)"}}, COLUMN + "amount: .*`sales_valu` .*`sales_value`"),
        ({"columns": {"amount": "sum(sales_value"}}, COLUMN + r"amount: Syntax error"),
        ({"columns": {"amount": "sum(1 / (quantity - quantity))"}}, COLUMN + r"amount: Division by zero"),
        ({"columns": {"amount": "sum(int(concat('a', quantity)))"}}, COLUMN + r"amount: The value 'a\d"),
        ({"columns": {"amount": "quantity"}}, COLUMN + r"amount: The non-aggregating expression"),
        ({"columns": {"amount": "max(string(quantity))"}}, COLUMN + "amount is a feature: got 'string'"),
        ({"columns": {"store_id": "sum(quantity)"}}, TWICE + "'store_id'"),
        ({"columns": {"event_time": "sum(quantity)"}}, TWICE + "'event_time'"),
        ({"where": "quantit > 0"}, r"source\.where: .*`quantit` cannot be resolved"),
        ({"where": "quantity / (quantity - quantity) > 0"}, r"source\.where: Division by zero"),
        ({"having": "amout > 0"}, r"source\.having: .*`amout` cannot be resolved.*`amount`"),
        ({"group_by": ("till",)}, r"source\.group_by: .*`till` cannot be resolved"),
        ({"time": "when"}, r"source\.time is not a column of the source: got 'when'; allowed: hous"),
        ({"time": "sales_value"}, r"source\.time 'sales_value' is not a time: got 'double'; allowed: time"),
        ({"time": "quantity"}, r"source\.time 'quantity' is not a time: got \d+; allowed: timestamp"),
        ({"path": "/nowhere/rows.parquet"}, r"source\.path: Path does not exist: \S*/nowhere/rows.parquet"),
        ({"path": "tape://a/b"}, r'source\.path: No FileSystem for scheme "tape"\. Use a scheme'),
    ],
    ids=lambda value: str(next(iter(value.items()))) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_wrong_declaration_is_named(engine, baskets, tmp_path, change, message):
    if "columns" in change:
        change = {"columns": {**baskets.source.columns, **change["columns"]}}
    source = baskets.source.model_copy(update=change)
    stream = baskets.model_copy(update={"source": source})
    with pytest.raises(InvalidInput, match=r"^stream baskets: " + message) as caught:
        engine.land(stream, KEY, str(tmp_path / "out"))
    text = str(caught.value)
    assert not re.search(r"SQLSTATE|JVM|\tat |\n", text), "Spark's first sentence, no stack"
    assert re.search(r"\. [A-Z][^.]*\.$", text), "ends with a remedy"


def test_a_file_that_is_not_parquet(land, stream_of, tmp_path):
    (tmp_path / "rows.parquet").write_text("at,x\n2017-03-14,1\n")
    with pytest.raises(InvalidInput, match=r"source\.path: \S*rows\.parquet is not a Parquet file"):
        land(stream_of(tmp_path / "rows.parquet"))


def test_a_folder_spark_may_not_write_is_not_the_callers_fault(engine, baskets):
    with pytest.raises(
        ServiceUnavailable, match=r"Spark failed \(Mkdirs failed .*Read Spark's log"
    ):
        engine.land(baskets, KEY, "/proc/no/such/place")


def test_only_columns_that_are_named_are_read(engine, stream_of, source_file, capfd):
    path = source_file([pd.Timestamp(KEY)], pa.timestamp("us"), x=[1.0], g=[1], wide=["w"])
    stream = stream_of(path, group_by=["g"], columns={"x": "sum(x)"})
    with engine._spark() as spark:
        landing._block_rows(landing.day_rows(spark, stream, KEY), stream.source).explain()
    plan = capfd.readouterr().out
    scan = next(line for line in plan.splitlines() if "FileScan" in line)
    assert "wide" not in scan
    assert "GreaterThanOrEqual(at,2017-03-14T00:00)" in scan, "the day reaches the file reader"
