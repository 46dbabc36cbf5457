"""The lake: a `BlockStore` over any fsspec URL.

`memory://name` gives the in-memory twin, from the same code. Layout:

    <lake>/<stream>/{landed,transformed}/block=<key>/*.parquet, _manifest.json
    <lake>/<stream>/summaries/block=<key>/summary.json, _manifest.json
    <lake>/<stream>/components/block=<key>/components.parquet
    <lake>/<stream>/quarantine/block=<key>/<digest>/{rows/, report.json}
    <lake>/<stream>/_staging/...            folders being written, unseen by readers
"""

from __future__ import annotations

import datetime as dt
import glob
import json
import uuid
from dataclasses import asdict
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import parse_key
from gmm_core.summary import BlockSummary

__all__ = ["Lake"]

MANIFEST = "_manifest.json"


class Lake:
    """A `BlockStore` (see ports.py) under one fsspec URL.

    Writers of one block must not run at the same time; writers of different blocks may.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in self._fs.protocol

    # folders of rows

    def stage(self, stream: str, section: str, key: str) -> str:
        folder = f"{self._root}/{stream}/_staging/{section}-{key}-{uuid.uuid4().hex[:12]}"
        self._fs.makedirs(f"{self._root}/{stream}/_staging", exist_ok=True)
        return self._url(folder)

    def publish(
        self, stream: str, section: str, key: str, staged: str, manifest: dict[str, Any]
    ) -> str:
        source, target = self._strip(staged), self._block(stream, section, key)
        self._write_json(f"{source}/{MANIFEST}", manifest)
        self._swap(source, target)
        return self._url(target)

    def discard(self, staged: str) -> None:
        if self._fs.exists(self._strip(staged)):
            self._fs.rm(self._strip(staged), recursive=True)

    def path(self, stream: str, section: str, key: str) -> str:
        return self._url(self._block(stream, section, key))

    def manifest(self, stream: str, section: str, key: str) -> dict[str, Any] | None:
        return self._read_json(f"{self._block(stream, section, key)}/{MANIFEST}")

    # block summaries

    def save_summary(self, summary: BlockSummary, manifest: dict[str, Any]) -> None:
        staged = self.stage(summary.stream, "summaries", summary.key)
        self._write_json(f"{self._strip(staged)}/summary.json", codec.to_dict(summary))
        self.publish(summary.stream, "summaries", summary.key, staged, manifest)

    def summary(self, stream: str, key: str) -> BlockSummary | None:
        data = self._read_json(f"{self._block(stream, 'summaries', key)}/summary.json")
        if data is None:
            return None
        summary = codec.from_dict(data)
        if not isinstance(summary, BlockSummary):
            raise InvalidInput(
                f"the summary of block {key} of {stream} holds something else",
                got=type(summary).__name__,
                bound="BlockSummary",
                remedy=f"run: blockmix fit {stream} {key}",
            )
        return summary

    def summary_keys(self, stream: str) -> list[str]:
        return self._keys(f"{glob.escape(self._root)}/{stream}/summaries/block=*/summary.json", -2)

    # quarantine

    def quarantine(
        self, stream: str, key: str, digest: str, folder: str, report: GateReport
    ) -> str:
        target = f"{self._block(stream, 'quarantine', key)}/{digest}"
        entry = {
            "stream": stream,
            "key": key,
            "digest": digest,
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "reason": report.reason,
            "repaired": None,
            **asdict(report),
        }
        self._swap(self._strip(folder), f"{target}/rows")
        self._write_json(f"{target}/report.json", entry)
        return self._url(target)

    def quarantined(self, stream: str) -> dict[str, dict[str, Any]]:
        entries = (self._read_json(path) for path in self._reports(stream, "*"))
        still_open = [e for e in entries if e is not None and e["repaired"] is None]
        return {e["key"]: e for e in sorted(still_open, key=lambda e: (e["key"], e["at"]))}

    def repaired(self, stream: str, key: str, gates: tuple[str, ...]) -> None:
        for path in self._reports(stream, key):
            entry = self._read_json(path)
            if entry is not None and entry["repaired"] is None and entry["gate"] in gates:
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                self._write_json(path, {**entry, "repaired": now})

    # component tables

    def save_components(self, stream: str, key: str, version: int, model: DensityModel) -> None:
        named = {"stream": stream, "block_key": key, "model_version": version}
        table = pa.Table.from_pylist([{**named, **row} for row in model.component_table()])
        staged = self._strip(self.stage(stream, "components", key))
        self._fs.makedirs(staged, exist_ok=True)
        with self._fs.open(f"{staged}/components.parquet", "wb") as out:
            pq.write_table(table, out)
        self._swap(staged, self._block(stream, "components", key))

    # inner

    def _block(self, stream: str, section: str, key: str) -> str:
        parse_key(key)  # a key is part of a path: nothing but a day may get in
        return f"{self._root}/{stream}/{section}/block={key}"

    def _url(self, path: str) -> str:
        return path if self._local else str(self._fs.unstrip_protocol(path))

    def _strip(self, url: str) -> str:
        return str(fsspec.core.url_to_fs(url)[1])

    def _swap(self, source: str, target: str) -> None:
        """Put `source` in the place of `target`: two renames, then the old folder goes."""
        aside = f"{source}-old"
        self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if self._fs.exists(target):
            self._fs.mv(target, aside, recursive=True)
        self._fs.mv(source, target, recursive=True)
        if self._fs.exists(aside):
            self._fs.rm(aside, recursive=True)

    def _keys(self, pattern: str, part: int) -> list[str]:
        return sorted(p.split("/")[part].removeprefix("block=") for p in self._fs.glob(pattern))

    def _reports(self, stream: str, key: str) -> list[str]:
        root = glob.escape(self._root)
        return list(self._fs.glob(f"{root}/{stream}/quarantine/block={key}/*/report.json"))

    def _write_json(self, path: str, value: dict[str, Any]) -> None:
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        with self._fs.open(path, "w", encoding="utf-8") as out:
            json.dump(value, out, indent=1, sort_keys=True, allow_nan=False)

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            with self._fs.open(path, "r", encoding="utf-8") as file:
                value: dict[str, Any] = json.load(file)
                return value
        except FileNotFoundError:
            return None
