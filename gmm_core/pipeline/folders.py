"""Folders of rows that change in one step, on any file system.

    <root>/<stream>/_rows/<section>/block=<key>/<turn>-<id>/*.parquet   never changed once published
    <root>/<stream>/<section>/block=<key>/_manifest.json                which of them is the block

A folder is written where it stays. It becomes the block when the manifest, one small file, is replaced by
one that names it: before that nobody sees any of it, after that everybody sees all of it, and whoever
is killed in between has changed nothing. No file system has to rename a folder for this.

The *turn* counts how often the block was replaced. A writer takes the turn after the one it finds; one
that finds its turn gone when it has finished has lost to another. Folders that no manifest names and
whose turn has come are left-overs: the next to publish sweeps them.

Two who publish in the same moment do not see one another; then the later manifest is the block, whole.
So that neither sweeps the other's folder, one about to be named bears a mark while its manifest is
written: either the writer finds its turn gone, or the sweeper finds the mark.

Blocks of earlier releases have their rows beside the manifest. They are read there until replaced.
"""

from __future__ import annotations

import uuid
from typing import Any

from gmm_core.errors import ComputationFailed
from gmm_core.pipeline.files import Files
from gmm_core.pipeline.ports import Published
from gmm_core.pipeline.streams import parse_key

__all__ = ["MANIFEST", "RowFolders"]

MANIFEST = "_manifest.json"
_ROWS = "_rows"
_OURS = "_lake"  # of a manifest: the folder, its files, the manifest of before; all else is the caller's
_MARK = "_publishing"

Entry = dict[str, Any]


class RowFolders:
    """The sections of rows of a `BlockStore` (see ports.py): stage, publish, settle."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def stage(self, stream: str, section: str, key: str) -> str:
        home = self._home(stream, section, key)
        turn = _turn(self._entry(self.place(stream, section, key))) + 1
        self._files.system.makedirs(home, exist_ok=True)
        return self._files.url(f"{home}/{turn:06d}-{uuid.uuid4().hex[:12]}")

    def publish(
        self, stream: str, section: str, key: str, staged: str, manifest: Entry, *, keep: bool
    ) -> str:
        folder, place = self._files.strip(staged), self.place(stream, section, key)
        ours = {"folder": _name(folder), "files": self._files.sizes(folder)}
        self._files.write(f"{folder}/{_MARK}", b"")  # and only then a look at whose turn it is
        present = self._entry(place)
        if _turn(present) >= _turn_of(folder):
            self._files.remove(folder)
            raise ComputationFailed(
                f"block {key} of {stream} was written by somebody else at the same time",
                got=f"{section}, turn {_turn(present)}",
                bound=f"turn {_turn_of(folder) - 1}",
                remedy="run this again",
            )
        if keep and present is not None:
            ours["before"] = present.get(_OURS, {}).get("before", present)
        self._files.write_json(f"{place}/{MANIFEST}", {**manifest, _OURS: ours})
        self._files.remove(f"{folder}/{_MARK}")
        self._sweep(stream, section, key)
        return staged

    def settle(self, stream: str, section: str, key: str, rows: str, *, accepted: bool) -> None:
        place = self.place(stream, section, key)
        entry = self._entry(place)
        if entry is None or self._folder(stream, section, key, entry) != self._files.strip(rows):
            return  # others are there by now: they are not what was judged
        before = entry.get(_OURS, {}).pop("before", None)
        if not accepted and before is None:
            self._files.remove(f"{place}/{MANIFEST}")
        elif not accepted:
            self._files.write_json(f"{place}/{MANIFEST}", before)
        elif before is not None:
            self._files.write_json(f"{place}/{MANIFEST}", entry)
        if not accepted:
            self.discard(rows)
        self._sweep(stream, section, key)

    def discard(self, staged: str) -> None:
        folder = self._files.strip(staged)
        if f"/{_ROWS}/" not in folder:
            return  # beside the manifest, from an earlier release: `_sweep` knows
        block = _block_of(folder)
        if folder not in self._named(*block, self._entry(self.place(*block))):
            self._files.remove(folder)

    def path(self, stream: str, section: str, key: str) -> str:
        entry = self._entry(self.place(stream, section, key))
        return self._files.url(self._folder(stream, section, key, entry or {}))

    def manifest(self, stream: str, section: str, key: str) -> Entry | None:
        entry = self._entry(self.place(stream, section, key))
        return None if entry is None else _given(entry)

    def published(self, stream: str, section: str, key: str) -> Published | None:
        entry = self._entry(self.place(stream, section, key))
        if entry is None:
            return None
        folder = self._folder(stream, section, key, entry)
        files = entry.get(_OURS, {}).get("files")
        whole = files is None or files == self._files.sizes(folder)
        return Published(_given(entry), self._files.url(folder), whole)

    def place(self, stream: str, section: str, key: str) -> str:
        """The folder of the block's manifest."""
        parse_key(key)  # a key is part of a path: nothing but a day may get in
        return f"{self._files.root}/{stream}/{section}/block={key}"

    def _home(self, stream: str, section: str, key: str) -> str:
        parse_key(key)
        return f"{self._files.root}/{stream}/{_ROWS}/{section}/block={key}"

    def _entry(self, place: str) -> Entry | None:
        return self._files.read_json(f"{place}/{MANIFEST}")

    def _folder(self, stream: str, section: str, key: str, entry: Entry) -> str:
        if _OURS not in entry:
            return self.place(stream, section, key)
        return f"{self._home(stream, section, key)}/{entry[_OURS]['folder']}"

    def _named(self, stream: str, section: str, key: str, entry: Entry | None) -> set[str]:
        """The folders that a manifest of the block names: its own, and the one of before."""
        before = (entry or {}).get(_OURS, {}).get("before")
        return {self._folder(stream, section, key, one) for one in (entry, before) if one}

    def _sweep(self, stream: str, section: str, key: str) -> None:
        """Remove what the manifest does not name and nobody may be writing."""
        staged = self._files.children(self._home(stream, section, key))
        # Marks first, then the manifest: what has no mark and is not named then is nobody's.
        marked = {one: self._files.exists(f"{one}/{_MARK}") for one in staged}
        place = self.place(stream, section, key)
        entry = self._entry(place)
        turn, named = _turn(entry), self._named(stream, section, key, entry)
        for folder, about_to_be_named in marked.items():
            spared = {turn + 1, turn} if about_to_be_named else {turn + 1}
            if folder not in named and _turn_of(folder) not in spared:
                self._files.remove(folder)
        if place not in named:  # rows of an earlier release, replaced
            for name in self._files.sizes(place):
                self._files.remove(f"{place}/{name}")


def _given(entry: Entry) -> Entry:
    """What the caller put into a manifest."""
    return {name: value for name, value in entry.items() if name != _OURS}


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _turn_of(folder: str) -> int:
    return int(_name(folder).partition("-")[0])


def _turn(entry: Entry | None) -> int:
    """How often the block was replaced; 0 for none, or one of an earlier release."""
    return 0 if entry is None or _OURS not in entry else _turn_of(entry[_OURS]["folder"])


def _block_of(folder: str) -> tuple[str, str, str]:
    """Stream, section and key of a folder of rows."""
    head, _, tail = folder.rpartition(f"/{_ROWS}/")
    section, block, _ = tail.split("/")
    return _name(head), section, block.removeprefix("block=")
