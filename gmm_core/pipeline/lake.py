"""The lake: a `BlockStore` over any fsspec URL.

`memory://name` gives the in-memory twin, from the same code. Layout:

    <lake>/<stream>/{landed,transformed}/block=<key>/_manifest.json  names the folder of the block's rows
    <lake>/<stream>/_rows/{landed,transformed}/block=<key>/<turn>-<id>/*.parquet
    <lake>/<stream>/summaries/block=<key>/summary.json, _manifest.json
    <lake>/<stream>/{components,parameters}/block=<key>/v<version>.parquet; _manifest.json: the day's own
    <lake>/<stream>/metrics/block=<key>/<verb>[-v<version>].parquet
    <lake>/<stream>/{drift,scores,triggers}/block=<key>/_manifest.json
    <lake>/<stream>/quarantine/block=<key>/<digest>/{rows/, report.json}

Whatever changes is one file, replaced in one step; folders of rows never change (see folders.py). The
file that says that something is there is written last, so a writer that dies leaves what was there.
"""

from __future__ import annotations

import datetime as dt
import glob
import io
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.health.findings import Finding
from gmm_core.model import DensityModel
from gmm_core.parameters import parameter_table
from gmm_core.pipeline.files import Files
from gmm_core.pipeline.folders import MANIFEST, RowFolders
from gmm_core.pipeline.ports import GateReport, Published
from gmm_core.summary import BlockSummary

__all__ = ["Lake"]

METRICS = pa.schema(
    [
        ("stream", pa.string()), ("block_key", pa.string()), ("stage", pa.string()),
        ("model_version", pa.int32()), ("metric", pa.string()), ("value", pa.float64()),
        ("unit", pa.string()), ("at_least", pa.float64()), ("at_most", pa.float64()),
        ("ok", pa.bool_()), ("measured_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


class Lake:
    """A `BlockStore` (see ports.py) under one fsspec URL.

    Writers of different blocks do not meet. Of two writers of one block, the later to finish
    fails with `ComputationFailed`, and may try again; what the other wrote is whole.
    """

    def __init__(self, url: str) -> None:
        self._files = Files(url)
        self._rows = RowFolders(self._files)

    # folders of rows

    def stage(self, stream: str, section: str, key: str) -> str:
        return self._rows.stage(stream, section, key)

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
        return self._rows.publish(stream, section, key, staged, manifest, keep=keep)

    def settle(self, stream: str, section: str, key: str, rows: str, *, accepted: bool) -> None:
        self._rows.settle(stream, section, key, rows, accepted=accepted)

    def discard(self, staged: str) -> None:
        self._rows.discard(staged)

    def path(self, stream: str, section: str, key: str) -> str:
        return self._rows.path(stream, section, key)

    def manifest(self, stream: str, section: str, key: str) -> dict[str, Any] | None:
        return self._rows.manifest(stream, section, key)

    def published(self, stream: str, section: str, key: str) -> Published | None:
        return self._rows.published(stream, section, key)

    # block summaries

    def save_summary(self, summary: BlockSummary, manifest: dict[str, Any]) -> None:
        # File by file, not by swapping the folder: a merge must never find the block absent.
        folder = self._block(summary.stream, "summaries", summary.key)
        self._files.write_json(f"{folder}/{MANIFEST}", manifest)
        self._files.write_json(f"{folder}/summary.json", codec.to_dict(summary))

    def summary(self, stream: str, key: str) -> BlockSummary | None:
        data = self._files.read_json(f"{self._block(stream, 'summaries', key)}/summary.json")
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
        return self._keys(
            f"{glob.escape(self._files.root)}/{stream}/summaries/block=*/summary.json", -2
        )

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
            "path": self._files.url(target),
            "facts": facts or {},
            **asdict(report),
        }
        if not self._files.exists(f"{target}/report.json"):  # with it, the same rows are there
            self._files.remove(target)
            self._files.copy(self._files.strip(folder), f"{target}/rows")
        self._files.write_json(f"{target}/report.json", entry)
        return self._files.url(target)

    def quarantined(self, stream: str) -> dict[str, dict[str, Any]]:
        entries = (self._files.read_json(path) for path in self._reports(stream, "*"))
        still_open = [e for e in entries if e is not None and e["repaired"] is None]
        return {e["key"]: e for e in sorted(still_open, key=lambda e: (e["key"], e["at"]))}

    def repaired(
        self, stream: str, key: str, gates: tuple[str, ...], note: dict[str, Any] | None = None
    ) -> None:
        for path in self._reports(stream, key):
            entry = self._files.read_json(path)
            if entry is not None and entry["repaired"] is None and entry["gate"] in gates:
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                self._files.write_json(path, {**entry, "repaired": now, **(note or {})})

    def copy_rows(self, folder: str, staged: str) -> None:
        self._files.copy(self._files.strip(folder), self._files.strip(staged))

    # measures and records

    def save_metrics(
        self, stream: str, key: str, stage: str, version: int | None, found: tuple[Finding, ...]
    ) -> None:
        named: dict[str, Any] = {"stream": stream, "block_key": key, "stage": stage}
        named |= {"model_version": version, "measured_at": dt.datetime.now(dt.UTC)}
        rows = [{**named, **asdict(one), "ok": one.ok} for one in found]
        name = stage if version is None else f"{stage}-v{version}"
        self._write_table(stream, "metrics", key, name, pa.Table.from_pylist(rows, METRICS))

    def save_record(self, stream: str, section: str, key: str, record: dict[str, Any]) -> None:
        self._files.write_json(f"{self._block(stream, section, key)}/{MANIFEST}", record)

    def record_keys(self, stream: str, section: str) -> list[str]:
        return self._keys(
            f"{glob.escape(self._files.root)}/{stream}/{section}/block=*/{MANIFEST}", -2
        )

    # component tables

    def save_components(self, stream: str, key: str, version: int, model: DensityModel) -> None:
        now = dt.datetime.now(dt.UTC)
        named = {"stream": stream, "block_key": key, "model_version": version, "written_at": now}
        tables = {"parameters": parameter_table(model), "components": model.component_table()}
        for section, rows in tables.items():  # components last: `described` looks for them
            table = pa.Table.from_pylist([{**named, **row} for row in rows])
            self._write_table(stream, section, key, f"v{version}", table)
        self.save_record(stream, "components", key, {"version": version})

    def described(self, stream: str, key: str, version: int) -> bool:
        path = f"{self._block(stream, 'components', key)}/v{version}.parquet"
        return self._files.exists(path)

    # inner

    def _block(self, stream: str, section: str, key: str) -> str:
        return self._rows.place(stream, section, key)

    def _write_table(self, stream: str, section: str, key: str, name: str, table: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        folder = self._block(stream, section, key)
        self._files.write(f"{folder}/{name}.parquet", buffer.getvalue())

    def _keys(self, pattern: str, part: int) -> list[str]:
        found = self._files.system.glob(pattern)
        return sorted(path.split("/")[part].removeprefix("block=") for path in found)

    def _reports(self, stream: str, key: str) -> list[str]:
        root = glob.escape(self._files.root)
        return list(
            self._files.system.glob(f"{root}/{stream}/quarantine/block={key}/*/report.json")
        )
