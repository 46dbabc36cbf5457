"""The lake: a `BlockStore` over any fsspec URL.

`memory://name` gives the in-memory twin, from the same code. Layout:

    <lake>/<stream>/{landed,transformed}/block=<key>/*.parquet, _manifest.json
    <lake>/<stream>/summaries/block=<key>/summary.json, _manifest.json
    <lake>/<stream>/components/block=<key>/components.parquet, _manifest.json
    <lake>/<stream>/parameters/block=<key>/parameters.parquet, _manifest.json
    <lake>/<stream>/metrics/block=<key>/<verb>[-v<version>].parquet
    <lake>/<stream>/{drift,scores,triggers}/block=<key>/_manifest.json
    <lake>/<stream>/quarantine/block=<key>/<digest>/{rows/, report.json}
    <lake>/<stream>/superseded/block=<key>/  landed rows of before, until the new ones are fitted
    <lake>/<stream>/_staging/...             folders being written, unseen by readers

A folder is written aside and renamed into place; one that was there is renamed away before. A writer
that dies in between leaves the block absent, and its next run puts it there. Single files are
replaced in one step.
"""

from __future__ import annotations

import datetime as dt
import glob
import io
import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from gmm_core import codec
from gmm_core.errors import ComputationFailed, InvalidInput
from gmm_core.health.catalogue import Finding
from gmm_core.model import DensityModel
from gmm_core.parameters import parameter_table
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import parse_key
from gmm_core.summary import BlockSummary

__all__ = ["Lake"]

MANIFEST = "_manifest.json"
METRICS = pa.schema(
    [
        ("stream", pa.string()), ("block_key", pa.string()), ("stage", pa.string()),
        ("model_version", pa.int32()), ("metric", pa.string()), ("value", pa.float64()),
        ("unit", pa.string()), ("at_least", pa.float64()), ("at_most", pa.float64()),
        ("ok", pa.bool_()),
    ]
)  # fmt: skip


class Lake:
    """A `BlockStore` (see ports.py) under one fsspec URL.

    Writers of different blocks do not meet. Of two writers of one block, the later to finish
    fails with `ComputationFailed` when they meet, and may try again.
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
        self,
        stream: str,
        section: str,
        key: str,
        staged: str,
        manifest: dict[str, Any],
        *,
        keep: bool = False,
    ) -> str:
        source, target = self._strip(staged), self._block(stream, section, key)
        self._write_json(f"{source}/{MANIFEST}", manifest)
        kept = self._block(stream, "superseded", key)
        if keep and self._fs.exists(target) and not self._fs.exists(kept):
            self._rename(target, kept)
        self._swap(source, target)
        return self._url(target)

    def settle(self, stream: str, section: str, key: str, *, accepted: bool) -> None:
        target, kept = self._block(stream, section, key), self._block(stream, "superseded", key)
        if accepted:
            self.discard(kept)
        elif self._fs.exists(kept):
            self._swap(kept, target)
        else:
            self.discard(target)

    def discard(self, staged: str) -> None:
        if self._fs.exists(self._strip(staged)):
            self._fs.rm(self._strip(staged), recursive=True)

    def path(self, stream: str, section: str, key: str) -> str:
        return self._url(self._block(stream, section, key))

    def manifest(self, stream: str, section: str, key: str) -> dict[str, Any] | None:
        return self._read_json(f"{self._block(stream, section, key)}/{MANIFEST}")

    # block summaries

    def save_summary(self, summary: BlockSummary, manifest: dict[str, Any]) -> None:
        # File by file, not by swapping the folder: a merge must never find the block absent.
        folder = self._block(summary.stream, "summaries", summary.key)
        self._write_json(f"{folder}/{MANIFEST}", manifest)
        self._write_json(f"{folder}/summary.json", codec.to_dict(summary))

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
        self,
        stream: str,
        key: str,
        digest: str,
        folder: str,
        report: GateReport,
        facts: dict[str, Any] | None = None,
    ) -> str:
        target = f"{self._block(stream, 'quarantine', key)}/{digest}"
        entry = {
            "stream": stream,
            "key": key,
            "digest": digest,
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"),
            "reason": report.reason,
            "repaired": None,
            "path": self._url(target),
            "facts": facts or {},
            **asdict(report),
        }
        staged = self._strip(self.stage(stream, "quarantine", key))
        self._copy(self._strip(folder), f"{staged}/rows")
        self._write_json(f"{staged}/report.json", entry)
        self._swap(staged, target)
        return self._url(target)

    def quarantined(self, stream: str) -> dict[str, dict[str, Any]]:
        entries = (self._read_json(path) for path in self._reports(stream, "*"))
        still_open = [e for e in entries if e is not None and e["repaired"] is None]
        return {e["key"]: e for e in sorted(still_open, key=lambda e: (e["key"], e["at"]))}

    def repaired(
        self, stream: str, key: str, gates: tuple[str, ...], note: dict[str, Any] | None = None
    ) -> None:
        for path in self._reports(stream, key):
            entry = self._read_json(path)
            if entry is not None and entry["repaired"] is None and entry["gate"] in gates:
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                self._write_json(path, {**entry, "repaired": now, **(note or {})})

    def copy_rows(self, folder: str, staged: str) -> None:
        source, target = self._strip(folder), self._strip(staged)
        self._copy(source, target)
        if self._fs.exists(f"{target}/{MANIFEST}"):
            self._fs.rm(f"{target}/{MANIFEST}")

    # measures and records

    def save_metrics(
        self, stream: str, key: str, stage: str, version: int | None, found: tuple[Finding, ...]
    ) -> None:
        named = {"stream": stream, "block_key": key, "stage": stage, "model_version": version}
        rows = [{**named, **asdict(one), "ok": one.ok} for one in found]
        name = stage if version is None else f"{stage}-v{version}"
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, METRICS), buffer)
        folder = self._block(stream, "metrics", key)
        self._write(f"{folder}/{name}.parquet", buffer.getvalue())

    def save_record(self, stream: str, section: str, key: str, record: dict[str, Any]) -> None:
        self._write_json(f"{self._block(stream, section, key)}/{MANIFEST}", record)

    def record_keys(self, stream: str, section: str) -> list[str]:
        return self._keys(f"{glob.escape(self._root)}/{stream}/{section}/block=*/{MANIFEST}", -2)

    # component tables

    def save_components(self, stream: str, key: str, version: int, model: DensityModel) -> None:
        named = {"stream": stream, "block_key": key, "model_version": version}
        tables = {"components": model.component_table(), "parameters": parameter_table(model)}
        for section, rows in tables.items():
            table = pa.Table.from_pylist([{**named, **row} for row in rows])
            staged = self.stage(stream, section, key)
            self._fs.makedirs(self._strip(staged), exist_ok=True)
            with self._fs.open(f"{self._strip(staged)}/{section}.parquet", "wb") as out:
                pq.write_table(table, out)
            self.publish(stream, section, key, staged, {"version": version})

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
        if self._fs.exists(target):
            self._rename(target, aside)
        self._rename(source, target)
        self.discard(aside)

    def _copy(self, source: str, target: str) -> None:
        for path in self._fs.find(
            source
        ):  # fsspec's recursive copy takes [ in a path for a pattern
            to = f"{target}{path.removeprefix(source)}"
            self._fs.makedirs(to.rsplit("/", 1)[0], exist_ok=True)
            self._fs.cp_file(path, to)

    def _rename(self, source: str, target: str) -> None:
        self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        try:
            if self._local:
                Path(source).rename(target)  # fsspec would move into a folder that is there already
            else:
                self._fs.mv(source, target, recursive=True)
        except OSError as error:
            raise ComputationFailed(
                f"{target} was written by somebody else at the same time ({error})",
                remedy="run this again",
            ) from None

    def _keys(self, pattern: str, part: int) -> list[str]:
        return sorted(p.split("/")[part].removeprefix("block=") for p in self._fs.glob(pattern))

    def _reports(self, stream: str, key: str) -> list[str]:
        root = glob.escape(self._root)
        return list(self._fs.glob(f"{root}/{stream}/quarantine/block={key}/*/report.json"))

    def _write_json(self, path: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
        self._write(path, text.encode())

    def _write(self, path: str, content: bytes) -> None:
        """Write the file in one step: an object store does so by itself, a disk by a rename."""
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        first = f"{path}.{uuid.uuid4().hex[:12]}" if self._local else path
        with self._fs.open(first, "wb") as out:
            out.write(content)
        if first != path:
            Path(first).replace(path)

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            with self._fs.open(path, "r", encoding="utf-8") as file:
                value: dict[str, Any] = json.load(file)
                return value
        except FileNotFoundError:
            return None
