"""The lake: folders are swapped in whole, on a disk and in memory alike."""

from __future__ import annotations

import glob
import json
import uuid
from pathlib import Path

import pytest

from gmm_core.errors import ComputationFailed, InvalidInput
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.ports import Check, GateReport

KEY = "2024-05-01"
REPORT = GateReport("rows", (Check("rows", False, "3", "at least 50"), Check("schema", True)))


@pytest.fixture(params=["disk", "file url", "memory"])
def url(request, tmp_path) -> str:
    return {
        "disk": str(tmp_path / "la[k]e"),
        "file url": f"file://{tmp_path}/lake",
        "memory": f"memory://{uuid.uuid4().hex}",
    }[request.param]


def write(lake: Lake, folder: str, text: str) -> None:
    fs = lake._fs
    fs.makedirs(folder, exist_ok=True)
    with fs.open(f"{folder}/part.txt", "w") as out:
        out.write(text)


def read(lake: Lake, folder: str) -> str:
    with lake._fs.open(f"{folder}/part.txt", "r") as file:
        return file.read()


def test_publishing_replaces_the_whole_folder(url):
    lake = Lake(url)
    for text in ("first", "second"):
        staged = lake.stage("s", "landed", KEY)
        write(lake, staged, text)
        assert lake.publish("s", "landed", KEY, staged, {"text": text}) == lake.path(
            "s", "landed", KEY
        )
        assert read(lake, lake.path("s", "landed", KEY)) == text
        assert lake.manifest("s", "landed", KEY) == {"text": text}
    assert lake._fs.ls(f"{lake._root}/s/_staging", detail=False) == []


def test_what_is_staged_is_not_seen(url):
    lake = Lake(url)
    staged = lake.stage("s", "summaries", KEY)
    write(lake, staged, "half")
    assert lake.manifest("s", "summaries", KEY) is None
    assert lake.summary_keys("s") == []
    lake.discard(staged)
    lake.discard(staged)


def test_quarantine_keeps_every_delivery(url):
    lake = Lake(url)
    for digest in ("aaa", "bbb", "bbb"):
        staged = lake.stage("s", "landed", KEY)
        write(lake, staged, digest)
        where = lake.quarantine("s", KEY, digest, staged, REPORT)
        assert read(lake, f"{where}/rows") == digest
    entry = lake.quarantined("s")[KEY]
    assert entry["reason"] == "rows: got 3, allowed at least 50"
    assert entry["checks"][0] == {
        "name": "rows",
        "passed": False,
        "got": "3",
        "bound": "at least 50",
    }
    lake.repaired("s", KEY, ("fit",))
    assert KEY in lake.quarantined("s")
    lake.repaired("s", KEY, ("rows", "fit"))
    assert lake.quarantined("s") == {}
    kept = lake._fs.glob(f"{glob.escape(lake._root)}/s/quarantine/block={KEY}/*/report.json")
    assert len(kept) == 2


def test_a_path_on_disk_is_plain(tmp_path):
    lake = Lake(f"file://{tmp_path}/lake")
    assert lake.path("s", "landed", KEY) == f"{tmp_path}/lake/s/landed/block={KEY}"


def test_an_interrupted_swap_is_repaired_by_the_next(tmp_path):
    lake = Lake(str(tmp_path))
    staged = lake.stage("s", "landed", KEY)
    write(lake, staged, "old")
    lake.publish("s", "landed", KEY, staged, {"n": 1})
    # as if the process had died between the two renames
    Path(lake.path("s", "landed", KEY)).rename(tmp_path / "s" / "_staging" / "gone-old")
    assert lake.manifest("s", "landed", KEY) is None
    staged = lake.stage("s", "landed", KEY)
    write(lake, staged, "new")
    lake.publish("s", "landed", KEY, staged, {"n": 2})
    assert read(lake, lake.path("s", "landed", KEY)) == "new"


def test_a_writer_that_meets_another_fails_and_nests_nothing(tmp_path, monkeypatch):
    lake = Lake(str(tmp_path))
    staged = lake.stage("s", "landed", KEY)
    write(lake, staged, "mine")
    other = Path(lake.path("s", "landed", KEY))
    monkeypatch.setattr(lake._fs, "exists", lambda _: False)  # the other one comes in between
    write(lake, str(other), "theirs")
    with pytest.raises(ComputationFailed, match="at the same time"):
        lake.publish("s", "landed", KEY, staged, {})
    assert [p.name for p in other.iterdir()] == ["part.txt"]
    assert read(lake, str(other)) == "theirs"


@pytest.mark.parametrize("accepted", [True, False])
def test_what_was_set_aside_is_forgotten_or_comes_back(url, accepted):
    lake = Lake(url)
    for text in ("first", "second", "third"):
        staged = lake.stage("s", "landed", KEY)
        write(lake, staged, text)
        lake.publish("s", "landed", KEY, staged, {"text": text}, keep=True)
    for _ in range(2):
        lake.settle("s", "landed", KEY, accepted=accepted)
        if not accepted and lake.manifest("s", "landed", KEY) is None:
            break  # nothing was aside the second time: the refused rows go
        assert read(lake, lake.path("s", "landed", KEY)) == ("third" if accepted else "first")
    assert not lake._fs.exists(lake._strip(lake.path("s", "superseded", KEY)))


@pytest.mark.parametrize("key", ["../../etc", "2024-05-01/..", "x"])
def test_a_key_never_leaves_the_lake(url, key):
    lake = Lake(url)
    with pytest.raises(InvalidInput):
        lake.path("s", "landed", key)


def test_a_summary_of_another_schema_is_an_error(tmp_path):
    lake = Lake(str(tmp_path))
    folder = Path(lake.path("s", "summaries", KEY))
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"schema": "blockmix/block_summary/999"}))
    with pytest.raises(InvalidInput, match="999"):
        lake.summary("s", KEY)
