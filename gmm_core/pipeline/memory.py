"""In-memory twins of the ports: the whole flow in one process, without a service.

For tests, notebooks and streams that fit in memory. `memory_services(blocks)` plugs them; the
store is the real `Lake` on fsspec's `memory://`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import fsspec
import numpy as np
import pandas as pd

from gmm_core import codec
from gmm_core.block import fit_block
from gmm_core.drift.precedent import precedent_laws
from gmm_core.errors import BlockmixError, FitFailed, InvalidInput, NotFound
from gmm_core.features import Feature, to_matrix
from gmm_core.health.scores import Scores
from gmm_core.invariants import Law, block_laws, window_laws
from gmm_core.model import DensityModel
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.output import output_laws
from gmm_core.pipeline.ports import Check, GateReport, Landing, ModelVersion, Scored
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.tally import judged_columns, numbers_of, tally_of
from gmm_core.summary import BlockSummary

__all__ = ["LawGate", "LocalEngine", "MemoryRegistry", "MemoryServices", "memory_services"]


class LocalEngine:
    """A `BlockEngine` on pandas. `blocks` maps a block key to its rows, columns as they land."""

    def __init__(self, blocks: Mapping[str, pd.DataFrame]) -> None:
        self.blocks = dict(blocks)

    def land(self, stream: Stream, key: str, target: str) -> Landing:
        rows = self.blocks.get(key)
        if rows is None:
            raise NotFound(
                f"no rows for block {key} of {stream.name}", bound=", ".join(sorted(self.blocks))
            )
        wanted = ["event_time", *stream.source.columns]
        missing = [name for name in wanted if name not in rows.columns]
        if missing:
            raise InvalidInput(f"columns {missing} are not in block {key}", bound=str(wanted))
        self._write(rows, target)
        hashes = np.sort(pd.util.hash_pandas_object(rows, index=False).to_numpy())
        return Landing(len(rows), 0, hashlib.sha256(hashes.tobytes()).hexdigest()[:16])

    def fit(self, stream: Stream, key: str, rows: str, digest: str) -> BlockSummary:
        frame = self.read(rows)
        return fit_block(
            stream.name,
            key,
            stream.feature_list,
            to_matrix(
                stream.feature_list, {name: frame[name].to_numpy() for name in stream.features}
            ),
            **stream.of_a_block,
            input_digest=digest,
            fit_fingerprint=stream.fit_fingerprint,
        )

    def fit_many(
        self, stream: Stream, blocks: Mapping[str, tuple[str, str]]
    ) -> dict[str, BlockSummary | BlockmixError]:
        found: dict[str, BlockSummary | BlockmixError] = {}
        for key, (rows, digest) in blocks.items():
            try:
                found[key] = self.fit(stream, key, rows, digest)
            except (FitFailed, InvalidInput) as error:
                found[key] = error
        return found

    def transform(
        self, stream: Stream, key: str, rows: str, model: DensityModel, version: int, target: str
    ) -> Scored:
        frame = self.read(rows)
        columns = {name: frame[name].to_numpy() for name in model.feature_names}
        made = model.transform(columns, stream.scoring.also)
        out = frame.assign(**made, model_version=version, stream=stream.name, block_key=key)
        self._write(out, target)
        return Scored(
            len(out), int(made["anomaly"].sum()), float(made["log_prob"].mean()), tuple(out.columns)
        )

    def score(self, stream: Stream, key: str, rows: str, models: Sequence[DensityModel]) -> Scores:
        frame, label = self.read(rows), stream.health.label
        columns = {name: frame[name].to_numpy() for name in stream.features}
        # A label that was declared after these rows had landed is not among them: then none is measured.
        labels = frame[label].to_numpy() > 0 if label in frame else None
        return Scores.of(models, columns, labels)

    def read(self, path: str) -> pd.DataFrame:
        try:
            with fsspec.open(f"{path}/part-0.parquet", "rb") as file:
                return pd.read_parquet(file)
        except FileNotFoundError:
            raise NotFound("no rows are there", got=path, remedy="land the block first") from None

    def _write(self, frame: pd.DataFrame, target: str) -> None:
        with fsspec.open(f"{target}/part-0.parquet", "wb") as file:
            frame.to_parquet(file, index=False)


class MemoryRegistry:
    """A `ModelRegistry` in dictionaries."""

    def __init__(self) -> None:
        self.fits: dict[tuple[str, str, str], GateReport] = {}
        self._versions: dict[str, list[tuple[ModelVersion, dict[str, Any]]]] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self._notes: dict[str, dict[str, str]] = {}
        self.metrics: dict[tuple[str, int], dict[str, dict[int, float]]] = {}

    def log_fit(self, stream: Stream, summary: BlockSummary, report: GateReport) -> str:
        self.fits[stream.name, summary.key, summary.digest] = report
        return ""

    def register(
        self, stream: Stream, model: DensityModel, tags: dict[str, str], report: GateReport
    ) -> ModelVersion:
        versions = self._versions.setdefault(stream.name, [])
        version = ModelVersion(stream.name, len(versions) + 1, dict(tags))
        versions.append((version, codec.to_dict(model)))
        return version

    def find(self, stream: str, tags: dict[str, str]) -> ModelVersion | None:
        carrying = (v for v in self.versions(stream) if tags.items() <= v.tags.items())
        return next(carrying, None)

    def versions(self, stream: str) -> list[ModelVersion]:
        return [version for version, _ in reversed(self._versions.get(stream, []))]

    def version(self, stream: str, version: int) -> ModelVersion:
        return self._entry(stream, version)[0]

    def load(self, stream: str, version: int) -> DensityModel:
        return cast(DensityModel, codec.from_dict(self._entry(stream, version)[1]))

    def alias(self, stream: str, alias: str) -> ModelVersion | None:
        version = self._aliases.get((stream, alias))
        return None if version is None else self.version(stream, version)

    def point(self, stream: str, alias: str, version: int) -> None:
        self._aliases[stream, alias] = self.version(stream, version).version

    def measure(self, stream: str, version: int, values: Mapping[str, float], step: int) -> None:
        self._entry(stream, version)
        known = self.metrics.setdefault((stream, version), {})
        for name, value in values.items():
            known.setdefault(name, {})[step] = value

    def annotate(self, stream: str, version: int, tags: Mapping[str, str]) -> None:
        self._entry(stream, version)[0].tags.update(tags)

    def notes(self, stream: str) -> dict[str, str]:
        return dict(self._notes.get(stream, {}))

    def note(self, stream: str, name: str, text: str | None) -> None:
        if not self._versions.get(stream):
            raise NotFound(f"no registered model {stream}")
        known = self._notes.setdefault(stream, {})
        known.pop(name, None)
        if text is not None:
            known[name] = text

    def _entry(self, stream: str, version: int) -> tuple[ModelVersion, dict[str, Any]]:
        versions = self._versions.get(stream, [])
        if not 1 <= version <= len(versions):
            raise NotFound(
                f"no such version of {stream}", got=version, bound=f"1 to {len(versions)}"
            )
        return versions[version - 1]


class LawGate:
    """A `Gate` without Great Expectations, on pandas: of fits, windows and transformed rows it checks the
    same laws, of rows as they land its own."""

    def check_rows(self, stream: Stream, key: str, rows: pd.DataFrame) -> GateReport:
        gates, day, times = stream.gates, pd.Timestamp(key), rows.get("event_time")
        inside = np.nan
        if times is not None:
            inside = float(((times >= day) & (times < day + pd.Timedelta(days=1))).mean())
        laws = [
            Law("rows", "the block has enough rows", float(len(rows)), float(gates.minimum_rows)),
            Law("inside the day", "every row lies in the block's day", inside, 1.0, 1.0),
        ]
        for name, kind in stream.categorical_features.items():
            values = rows.get(name)
            laws += [
                _present(name, values, gates.completeness),
                Law(
                    f"{name}: other levels",
                    "few values are none of the levels",
                    np.nan if values is None else _others(name, values, kind.levels),
                    upper=kind.other,
                ),
            ]
        for name, feature in stream.numeric_features.items():
            values = numbers_of(rows[name]) if name in rows else None
            ranged = np.nan
            if values is not None:
                ranged = float(values.dropna().between(feature.minimum, feature.maximum).mean())
            laws += [
                _present(name, values, gates.completeness),
                Law(f"{name}: in range", "values are sane", ranged, gates.in_range),
            ]
        return _report("rows", laws)

    def check_summary(
        self, stream: Stream, summary: BlockSummary, reference: Sequence[BlockSummary] = ()
    ) -> GateReport:
        gates = stream.gates
        laws = block_laws(
            summary,
            condition_number=gates.condition_number,
            maximum_weight=gates.maximum_weight,
        )
        if reference:
            laws += precedent_laws(summary, reference, gates.against_window.level)
        return _report("fit", laws)

    def check_window(
        self, stream: Stream, key: str, model: DensityModel, blocks: list[BlockSummary]
    ) -> GateReport:
        gates = stream.gates
        return _report(
            "window",
            window_laws(
                model.mixture,
                blocks,
                condition_number=gates.condition_number,
                maximum_weight=gates.maximum_weight,
            ),
        )

    def check_transformed(
        self, stream: Stream, key: str, rows: pd.DataFrame, model: DensityModel
    ) -> GateReport:
        columns = {
            name: numbers_of(rows[name]) if name in rows else None for name in judged_columns(model)
        }
        usable = {name: values for name, values in columns.items() if values is not None}
        unusable = {name: "no numbers" for name in columns if name not in usable}
        tally = None
        if not unusable:
            tally = tally_of(pd.DataFrame(usable), model, stream.gates.normalised_bound)
        return _report("transformed", output_laws(model, stream.gates, tally, unusable))


def _present(name: str, values: pd.Series | None, least: float) -> Law:
    share = np.nan if values is None else float(values.notna().mean())
    return Law(f"{name}: present", "values are there", share, least)


def _others(name: str, values: pd.Series, levels: tuple[str, ...]) -> float:
    codes = Feature(name, levels=levels).forward(values.dropna().to_numpy())
    return float((codes == len(levels)).mean()) if len(codes) else 0.0


def _report(gate: str, laws: list[Law] | tuple[Law, ...]) -> GateReport:
    return GateReport(
        gate,
        tuple(
            Check(law.name, law.holds, f"{law.got:.6g}", f"{law.lower} to {law.upper}")
            for law in laws
        ),
    )


@dataclass
class MemoryServices:
    """The four twins, plugged; has the shape of `Services`."""

    engine: LocalEngine
    store: Lake
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    gate: LawGate = field(default_factory=LawGate)


def memory_services(blocks: Mapping[str, pd.DataFrame]) -> MemoryServices:
    """Fresh twins over `blocks`, a lake of their own each time."""
    return MemoryServices(LocalEngine(blocks), Lake(f"memory://blockmix-{uuid.uuid4().hex}"))
