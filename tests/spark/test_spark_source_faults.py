"""What a source may deliver in place of what its stream declares: kept aside with a reason, repaired by
the next delivery, and no other day's business."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.errors import BlockQuarantined, InvalidSource
from gmm_core.pipeline import verbs
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.memory import MemoryServices

KEYS = ("2017-03-14", "2017-03-15")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "source"
    made.mkdir()
    return made


def deliver(folder, key, **columns):
    """A day's file, of 60 rows unless columns are given."""
    columns = columns or {"x": [float(i) for i in range(60)]}
    n = len(next(iter(columns.values())))
    times = [dt.datetime.fromisoformat(key) + dt.timedelta(minutes=i) for i in range(n)]
    table = pa.table({"at": pa.array(times, pa.timestamp("us", "UTC"))} | columns)
    pq.write_table(table, folder / f"{key}.parquet")


@pytest.fixture
def services(engine, tmp_path):
    """The real engine and lake, gates in memory."""
    return MemoryServices(engine, Lake(str(tmp_path / "lake")), gate=Passing())


class Passing:
    """What the gate thinks of the rows is not the matter here."""

    def check_rows(self, stream, key, rows):
        from gmm_core.pipeline.ports import Check, GateReport

        return GateReport("rows", (Check("rows", rows.count() > 0, str(rows.count()), "above 0"),))


def other_type(folder):
    deliver(folder, KEYS[1], x=["many"] * 60)


def no_file(folder):
    (folder / f"{KEYS[1]}.parquet").write_bytes(b"PAR1" + b"?" * 100)


@pytest.mark.parametrize(
    ("spoil", "says", "before_lands"),
    [(other_type, "x", True), (no_file, "is not a Parquet file", False)],
    ids=["a column of another type", "a file that is none"],
)
def test_a_day_is_quarantined_with_a_reason_and_repaired_by_the_next(
    stream_of, folder, services, spoil, says, before_lands
):
    stream = stream_of(folder)
    deliver(folder, KEYS[0])
    deliver(folder, KEYS[1])
    assert verbs.land(stream, KEYS[1], services).facts["rows"] == 60
    spoil(folder)
    with pytest.raises(
        BlockQuarantined, match=r"the rows gate refused .*source: got stream toy: source"
    ):
        verbs.land(stream, KEYS[1], services)
    entry = services.store.quarantined("toy")[KEYS[1]]
    assert says in entry["reason"]
    assert [check["name"] for check in entry["checks"]] == ["source"]
    assert services.store.manifest("toy", "landed", KEYS[1])["rows"] == 60, "as it was before"
    if before_lands:
        assert verbs.land(stream, KEYS[0], services).changed, "the other day is not concerned"
    else:
        with pytest.raises(BlockQuarantined):  # its rows could be in the file that cannot be read
            verbs.land(stream, KEYS[0], services)
    deliver(folder, KEYS[1], x=[float(i) for i in range(61)])
    assert verbs.land(stream, KEYS[1], services).facts["rows"] == 61
    verbs.land(stream, KEYS[0], services)
    assert services.store.quarantined("toy") == {}


def test_a_renamed_column_is_named(stream_of, folder, services):
    deliver(folder, KEYS[0], y=[1.0] * 60)
    with pytest.raises(BlockQuarantined, match=r"source\.columns\.x.*`x` cannot be resolved"):
        verbs.land(stream_of(folder), KEYS[0], services)


@pytest.mark.parametrize(
    ("times", "mixed"),
    [
        (["2017-03-14 10:00:00", "2017-03-14 11:00:00"], False),
        (["2017-03-14 10:00:00Z", "2017-03-14 11:00:00+02:00"], False),
        (["2017-03-14T10:00:00Z", "2017-03-14T11:00:00"], True),
        (["2017-03-14 10:00:00", "2017-03-14 11:00:00 Europe/Paris"], True),
        (
            ["2017-03-14 10:00", "2017-03-15 11:00:00+02:00"],
            True,
        ),  # 09:00 of the next day, if in UTC
        (["2017-03-14 10:00:00.5", "2017-03-17T11:00:00Z"], False),  # no business of this day
        (["2017-03-14", "2017-03-14 10:00:00Z"], True),
    ],
)
def test_times_with_and_without_an_offset_do_not_mix(land, stream_of, source_file, times, mixed):
    stream = stream_of(source_file(times, pa.string()))
    if not mixed:
        assert land(stream, "2017-03-14")[0].rows > 0
        return
    with pytest.raises(
        InvalidSource, match=r"source\.time 'at' has times with an offset from UTC and"
    ):
        land(stream, "2017-03-14")
