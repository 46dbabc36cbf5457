"""The ports: what the verbs need of the world, as four small protocols and the records they pass.

Adapters implement a port each and never import one another:
`BlockEngine` (spark/, and `LocalEngine` in memory.py), `BlockStore` (lake.py over any fsspec URL,
`memory://` included), `ModelRegistry` (registry/, and `MemoryRegistry`), `Gate` (expectations/, and
`LawGate` in memory.py, which needs no Great Expectations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from gmm_core.errors import BlockmixError
from gmm_core.health.findings import Finding
from gmm_core.health.scores import Scores
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary

__all__ = [
    "BlockEngine",
    "BlockStore",
    "Check",
    "Gate",
    "GateReport",
    "Landing",
    "ModelRegistry",
    "ModelVersion",
    "Published",
    "Scored",
    "Services",
]


@dataclass(frozen=True)
class Landing:
    """What an engine wrote for one block: rows kept, rows that `having` left out, content digest.

    `source_version` is that of the table which was read, where a source has versions.
    """

    rows: int
    left_out: int
    digest: str
    source_version: int | None = None

    def facts(self) -> dict[str, Any]:
        """What is recorded with the block, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Published:
    """A block's folder as one look at the store found it.

    Parameters
    ----------
    manifest : what it was published with.
    path : where its rows are; they stay as they are until others have been published, and settled.
    whole : whether all files of it are there, as they were published.
    """

    manifest: dict[str, Any]
    path: str
    whole: bool


@dataclass(frozen=True)
class Scored:
    """What an engine wrote when it transformed one block."""

    rows: int
    anomalies: int
    mean_log_prob: float
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """One expectation of a gate: what was looked at, what came out, what was allowed."""

    name: str
    passed: bool
    got: str = ""
    bound: str = ""


@dataclass(frozen=True)
class GateReport:
    """The answer of a gate, with the page a person reads (empty when there is none)."""

    gate: str
    checks: tuple[Check, ...]
    page: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    @property
    def reason(self) -> str:
        """One line: which checks failed, with value and bound."""
        return "; ".join(
            f"{c.name}: got {c.got or 'none'}, allowed {c.bound}" for c in self.failures
        )

    @property
    def score(self) -> str:
        return f"{len(self.checks) - len(self.failures)}/{len(self.checks)}"


@dataclass(frozen=True)
class ModelVersion:
    """A registered window mixture: its number, its lineage tags, the page a person reads."""

    stream: str
    version: int
    tags: dict[str, str] = field(default_factory=dict)
    page: str = ""

    @property
    def last_block(self) -> str:
        return self.tags["last_block"]


class BlockEngine(Protocol):
    """Does the work on rows. Paths are fsspec URLs of folders of Parquet files."""

    def land(self, stream: Stream, key: str, target: str) -> Landing:
        """Write the rows in source units to `target`: group_by columns, `event_time`, columns."""

    def fit(self, stream: Stream, key: str, rows: str, digest: str) -> BlockSummary:
        """Fit the block mixture; raises `FitFailed` or `InvalidInput`."""

    def fit_many(
        self, stream: Stream, blocks: Mapping[str, tuple[str, str]]
    ) -> dict[str, BlockSummary | BlockmixError]:
        """Fit several, given rows and digest by key; by key the summary, or what `fit` would raise."""

    def transform(
        self, stream: Stream, key: str, rows: str, model: DensityModel, version: int, target: str
    ) -> Scored:
        """Write the rows of `rows` with their normalised values, scores and the pinned version."""

    def score(self, stream: Stream, key: str, rows: str, models: Sequence[DensityModel]) -> Scores:
        """Score the landed rows at `rows` by several models of the same features, in one job.

        The column `stream.health.label` says which rows are anomalies, where the stream names one
        and the rows have it.
        """

    def read(self, path: str) -> Any:
        """The rows at `path` as a frame of the engine (pandas or Spark), for a gate to look at."""


class BlockStore(Protocol):
    """The lake. Sections of rows: landed, transformed, quarantine; of tables: summaries, components,
    metrics; of records, a manifest alone: drift, scores, triggers."""

    def stage(self, stream: str, section: str, key: str) -> str:
        """Where to write the block's next folder: unseen by readers until it is published."""

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
        """Make a staged folder the block's, with its manifest, in one step; returns its path.

        With `keep` the folder that was there is set aside until `settle`; one that is aside stays.
        Raises `ComputationFailed` when somebody else published since the folder was staged.
        """

    def settle(self, stream: str, section: str, key: str, rows: str, *, accepted: bool) -> None:
        """Forget the folder set aside; or, when the one at `rows` is not accepted, put it back.

        Nothing where others than `rows` have been published since.
        """

    def discard(self, staged: str) -> None:
        """Forget a staged folder; one that was published stays."""

    def path(self, stream: str, section: str, key: str) -> str:
        """Where the rows are that are published now, or the block's place."""

    def manifest(self, stream: str, section: str, key: str) -> dict[str, Any] | None:
        """What `publish` was given, or `None` when the block is not there."""

    def published(self, stream: str, section: str, key: str) -> Published | None:
        """Manifest and rows of one look, and whether they are whole; `None` when not there."""

    def save_summary(self, summary: BlockSummary, manifest: dict[str, Any]) -> None:
        """Replace the block's summary, with its manifest, in one step."""

    def summary(self, stream: str, key: str) -> BlockSummary | None:
        """The block's summary, or `None`."""

    def summary_keys(self, stream: str) -> list[str]:
        """Keys of all blocks with a summary, oldest first."""

    def quarantine(
        self,
        stream: str,
        key: str,
        digest: str,
        folder: str,
        report: GateReport,
        facts: dict[str, Any] | None = None,
    ) -> str:
        """Copy a folder to quarantine with its report, in one step; returns where the copy is.

        `facts` are what a release needs to know of the rows.
        """

    def quarantined(self, stream: str) -> dict[str, dict[str, Any]]:
        """Open quarantine entries by block key: reason, digest, checks, page, path, facts."""

    def repaired(
        self, stream: str, key: str, gates: tuple[str, ...], note: dict[str, Any] | None = None
    ) -> None:
        """Close the block's quarantine entries of these gates: they stay, marked, with a note."""

    def copy_rows(self, folder: str, staged: str) -> None:
        """Copy the data files of a folder into a staged one."""

    def save_metrics(
        self, stream: str, key: str, stage: str, version: int | None, found: tuple[Finding, ...]
    ) -> None:
        """Write what one verb measured of a block, or of a version as of it, for SQL readers."""

    def save_record(self, stream: str, section: str, key: str, record: dict[str, Any]) -> None:
        """Replace the block's manifest in a section that holds nothing else, in one step."""

    def record_keys(self, stream: str, section: str) -> list[str]:
        """Keys of all blocks with such a record, oldest first."""

    def save_components(self, stream: str, key: str, version: int, model: DensityModel) -> None:
        """Write the tables of a version, as of its window's key, for SQL readers: its components (a row per
        component and feature) and its parameters. Those of other versions stay."""

    def described(self, stream: str, key: str, version: int) -> bool:
        """Whether the tables of a version are there."""


class ModelRegistry(Protocol):
    """Versions and aliases of a stream's window mixtures."""

    def log_fit(self, stream: Stream, summary: BlockSummary, report: GateReport) -> str:
        """Record a block fit, once per content; returns the page of the run (may be empty)."""

    def register(
        self, stream: Stream, model: DensityModel, tags: dict[str, str], report: GateReport
    ) -> ModelVersion:
        """Add a version."""

    def find(self, stream: str, tags: dict[str, str]) -> ModelVersion | None:
        """The newest version that carries all these tags."""

    def versions(self, stream: str) -> list[ModelVersion]:
        """All versions, newest first; none when the stream is not known."""

    def version(self, stream: str, version: int) -> ModelVersion:
        """One version; raises `NotFound`."""

    def load(self, stream: str, version: int) -> DensityModel:
        """The model of a version; raises `NotFound`."""

    def alias(self, stream: str, alias: str) -> ModelVersion | None:
        """The version an alias points to now."""

    def point(self, stream: str, alias: str, version: int) -> None:
        """Move an alias; see aliases.py for who may, and how a lost race is noticed."""

    def measure(self, stream: str, version: int, values: Mapping[str, float], step: int) -> None:
        """Add metrics to a version; `step` orders values of the same name."""

    def annotate(self, stream: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""

    def notes(self, stream: str) -> dict[str, str]:
        """What is noted of the stream's registered model; nothing when there is none."""

    def note(self, stream: str, name: str, text: str | None) -> None:
        """Note something of the registered model, or with `None` strike it; raises `NotFound`."""


class Gate(Protocol):
    """Decides what may pass. Never raises for bad data: the report says what failed."""

    def check_rows(self, stream: Stream, key: str, rows: Any) -> GateReport:
        """Rows of a block: schema, completeness, ranges, inside the block's day, enough of them."""

    def check_summary(
        self, stream: Stream, summary: BlockSummary, reference: Sequence[BlockSummary] = ()
    ) -> GateReport:
        """A fit: the laws of `gmm_core.invariants.block_laws`, and with a reference those of
        `gmm_core.drift.precedent`."""

    def check_window(
        self, stream: Stream, key: str, model: DensityModel, blocks: list[BlockSummary]
    ) -> GateReport:
        """A window mixture: the laws of `gmm_core.invariants.window_laws`."""

    def check_transformed(
        self, stream: Stream, key: str, rows: Any, model: DensityModel
    ) -> GateReport:
        """Transformed rows: bounds, moments, round trip."""


class Services(Protocol):
    """The four ports, plugged."""

    @property
    def engine(self) -> BlockEngine: ...

    @property
    def store(self) -> BlockStore: ...

    @property
    def registry(self) -> ModelRegistry: ...

    @property
    def gate(self) -> Gate: ...
