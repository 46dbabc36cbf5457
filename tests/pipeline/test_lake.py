"""The lake: a block changes in one step, on a disk and in memory alike, whoever is killed on the way."""

from __future__ import annotations

import glob
import itertools
import json
import uuid
from pathlib import Path

import pytest

from gmm_core.errors import ComputationFailed, InvalidInput
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.ports import Check, GateReport

KEY = "2024-05-01"
REPORT = GateReport("rows", (Check("rows", False, "3", "at least 50"), Check("schema", True)))


@pytest.fixture(params=["disk", "memory"])
def url(request, tmp_path) -> str:
    return {
        "disk": str(tmp_path / "la[k]e"),
        "memory": f"memory://{uuid.uuid4().hex}/la[k]e",
    }[request.param]


def write(lake: Lake, folder: str, text: str) -> None:
    fs = lake._files.system
    fs.makedirs(folder, exist_ok=True)
    for part in range(2):
        with fs.open(f"{folder}/part-{part}.txt", "w") as out:
            out.write(text)


def read(lake: Lake, folder: str) -> str:
    texts = []
    for part in range(2):
        with lake._files.system.open(f"{folder}/part-{part}.txt", "r") as file:
            texts.append(file.read())
    assert texts[0] == texts[1], "never half of one and half of another"
    return texts[0]


def staged(lake: Lake, text: str) -> str:
    folder = lake.stage("s", "landed", KEY)
    write(lake, folder, text)
    return folder


def publish(lake: Lake, text: str, folder: str | None = None) -> str:
    return lake.publish("s", "landed", KEY, folder or staged(lake, text), {"text": text}, keep=True)


def settle(lake: Lake, accepted: bool) -> None:
    lake.settle("s", "landed", KEY, lake.path("s", "landed", KEY), accepted=accepted)


def there(lake: Lake) -> str | None:
    """The block's text, after a look at everything that the lake says of it."""
    found = lake.published("s", "landed", KEY)
    assert (found and found.manifest) == lake.manifest("s", "landed", KEY)
    if found is None:
        return None
    assert found.whole
    assert found.path == lake.path("s", "landed", KEY)
    assert read(lake, found.path) == found.manifest["text"]
    return found.manifest["text"]


def folders(lake: Lake) -> list[str]:
    return lake._files.children(f"{lake._files.root}/s/_rows/landed/block={KEY}")


def test_publishing_replaces_the_whole_folder(url):
    lake = Lake(url)
    for text in ("first", "second"):
        assert publish(lake, text) == lake.path("s", "landed", KEY)
        assert there(lake) == text
        settle(lake, True)
    assert len(folders(lake)) == 1


def test_what_is_staged_is_not_seen(url):
    lake = Lake(url)
    folder = staged(lake, "half")
    assert there(lake) is None
    assert lake.record_keys("s", "landed") == []
    lake.discard(folder)
    lake.discard(folder)
    assert folders(lake) == []
    publish(lake, "whole")
    lake.discard(lake.path("s", "landed", KEY))
    assert there(lake) == "whole", "what is published is not discarded"


def test_quarantine_keeps_every_delivery(url):
    lake = Lake(url)
    for digest in ("aaa", "bbb", "bbb"):
        where = lake.quarantine("s", KEY, digest, staged(lake, digest), REPORT)
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
    root = glob.escape(lake._files.root)
    assert len(lake._files.system.glob(f"{root}/s/quarantine/block={KEY}/*/report.json")) == 2


def test_a_path_on_disk_is_plain(tmp_path):
    lake = Lake(f"file://{tmp_path}/lake")
    assert lake.path("s", "landed", KEY) == f"{tmp_path}/lake/s/landed/block={KEY}"
    assert publish(lake, "x").startswith(f"{tmp_path}/lake/s/_rows/landed/block={KEY}/000001-")


def test_the_later_of_two_writers_fails_and_what_is_there_is_whole(url):
    lake, other = Lake(url), Lake(url)
    publish(lake, "before")
    settle(lake, True)
    mine, theirs = staged(lake, "mine"), staged(other, "theirs")
    publish(other, "theirs", theirs)
    with pytest.raises(ComputationFailed, match="at the same time"):
        publish(lake, "mine", mine)
    lake.discard(mine)
    assert there(lake) == "theirs"
    assert publish(lake, "mine") == lake.path("s", "landed", KEY), "run this again"
    assert there(lake) == "mine"
    settle(lake, False)
    assert there(lake) == "before"
    assert len(folders(lake)) == 1


def test_a_writer_about_to_publish_is_not_swept(url, monkeypatch):
    """Two who look at the manifest before either has written it: the last one is the block, whole."""
    lake, other = Lake(url), Lake(url)
    mine, theirs, look = staged(lake, "mine"), staged(other, "theirs"), lake._rows._entry

    def meanwhile(place):
        found = look(place)
        monkeypatch.setattr(lake._rows, "_entry", look)
        publish(other, "theirs", theirs)
        return found

    monkeypatch.setattr(lake._rows, "_entry", meanwhile)
    publish(lake, "mine", mine)
    assert there(lake) == "mine"
    publish(lake, "next")
    settle(lake, True)
    assert len(folders(lake)) == 1


def test_what_is_being_written_is_not_swept(url):
    lake, other = Lake(url), Lake(url)
    publish(lake, "first")
    later = staged(other, "second")
    settle(lake, True)
    publish(other, "second", later)
    assert there(lake) == "second"


def test_a_settlement_is_of_the_rows_that_were_judged(url):
    lake = Lake(url)
    judged = publish(lake, "judged")
    publish(lake, "next")
    for accepted in (True, False):
        lake.settle("s", "landed", KEY, judged, accepted=accepted)
        assert there(lake) == "next"
    settle(lake, False)
    assert there(lake) == "judged"


class Killed(BaseException):
    """The process is gone."""


def killed_at(lake: Lake, step: int, monkeypatch) -> None:
    """Dies at the given one of the calls that change files; of a folder, one file is gone by then."""
    count = itertools.count()
    write_file, remove = lake._files.write, lake._files.remove

    def dying_write(path, content):
        if next(count) == step:
            raise Killed
        write_file(path, content)

    def dying_remove(path):
        if next(count) == step:
            for file in lake._files.system.find(path)[:1]:
                remove(file)
            raise Killed
        remove(path)

    monkeypatch.setattr(lake._files, "write", dying_write)
    monkeypatch.setattr(lake._files, "remove", dying_remove)


@pytest.mark.parametrize(
    ("act", "allowed"),
    [
        (lambda lake: publish(lake, "new"), {"old", "new"}),
        (lambda lake: [publish(lake, "new"), settle(lake, True)], {"old", "new"}),
        (lambda lake: [publish(lake, "new"), settle(lake, False)], {"old", "new"}),
        (lambda lake: settle(lake, False), {"old", None}),
    ],
    ids=["publish", "accept", "refuse", "refuse the first"],
)
@pytest.mark.parametrize("again", [True, False], ids=["then accepted", "then refused"])
def test_a_writer_killed_at_any_step_leaves_a_whole_block(url, act, allowed, again, monkeypatch):
    for step in itertools.count():
        lake = Lake(f"{url}/{step}")
        publish(lake, "old")
        if "new" in allowed:
            settle(lake, True)
        killed_at(lake, step, monkeypatch)
        try:
            act(lake)
        except Killed:
            dead = True
        else:
            dead = False
        lake = Lake(f"{url}/{step}")
        assert there(lake) in allowed
        publish(lake, "again")
        settle(lake, again)
        assert there(lake) in ({"again"} if again else allowed)
        for text in ("next", "last"):  # a mark holds a left-over for a turn
            publish(lake, text)
            settle(lake, True)
            assert there(lake) == text
        assert len(folders(lake)) == 1, "left-overs are swept"
        if not dead:
            assert step > 0
            break


def test_a_killed_copy_to_quarantine_is_no_entry_and_is_made_again(url, monkeypatch):
    lake = Lake(url)
    folder, system = staged(lake, "bad"), lake._files.system
    copy, count = system.cp_file, itertools.count()

    def dying(*args):
        if next(count) == 1:
            raise Killed
        copy(*args)

    monkeypatch.setattr(system, "cp_file", dying)
    with pytest.raises(Killed):
        lake.quarantine("s", KEY, "abc", folder, REPORT)
    assert lake.quarantined("s") == {}
    where = lake.quarantine("s", KEY, "abc", folder, REPORT)
    assert read(lake, f"{where}/rows") == "bad"
    assert lake.quarantined("s")[KEY]["path"] == where


def test_a_block_whose_files_are_not_as_published_is_not_whole(url):
    lake = Lake(url)
    folder = publish(lake, "text")
    lake._files.write(f"{lake._files.strip(folder)}/_SUCCESS", b"")
    assert lake.published("s", "landed", KEY).whole, "marks are no data"
    lake._files.write(f"{lake._files.strip(folder)}/part-1.txt", b"longer than it was")
    assert not lake.published("s", "landed", KEY).whole
    lake._files.remove(f"{lake._files.strip(folder)}/part-1.txt")
    assert not lake.published("s", "landed", KEY).whole


@pytest.mark.parametrize("accepted", [True, False])
def test_rows_of_an_earlier_release_are_read_where_they_are_until_replaced(url, accepted):
    lake = Lake(url)
    place = lake._block("s", "landed", KEY)
    write(lake, place, "old")
    lake._files.write_json(f"{place}/_manifest.json", {"text": "old"})
    assert there(lake) == "old"
    publish(lake, "new")
    assert there(lake) == "new"
    settle(lake, accepted)
    assert there(lake) == ("new" if accepted else "old")
    left = lake._files.sizes(place)
    assert left == ({} if accepted else {"part-0.txt": 3, "part-1.txt": 3})
    assert len(folders(lake)) == int(accepted)
    settle(lake, False)
    assert there(lake) is None
    assert folders(lake) == []
    assert lake._files.sizes(place) == {}


@pytest.mark.parametrize("accepted", [True, False])
def test_what_was_set_aside_is_forgotten_or_comes_back(url, accepted):
    lake = Lake(url)
    for text in ("first", "second", "third"):
        publish(lake, text)
    for _ in range(2):
        settle(lake, accepted)
        if not accepted and there(lake) is None:
            break  # nothing was aside the second time: the refused rows go
        assert there(lake) == ("third" if accepted else "first")
    assert len(folders(lake)) == int(accepted)


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
