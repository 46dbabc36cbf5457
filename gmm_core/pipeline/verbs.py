"""The five verbs: land, fit, merge, promote, transform.

Plain functions over the ports; the command line, the DAGs and the tests call these and nothing
else. Each is idempotent by (stream, block key, content): called again with the same content it
changes nothing, with other content it replaces. Work is written aside and put in place in one
step, so a reader never sees half a result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from gmm_core.errors import (
    BlockQuarantined,
    FitFailed,
    InvalidInput,
    ModelRefused,
    NotFound,
    OutputRefused,
)
from gmm_core.model import DensityModel
from gmm_core.pipeline.lineage import (
    fit_facts,
    identity_of,
    lineage_of,
    version_facts,
    version_pages,
    window_blocks,
)
from gmm_core.pipeline.ports import Check, GateReport, ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.window import window_mixture

__all__ = ["Outcome", "fit", "land", "merge", "promote", "transform"]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


@dataclass(frozen=True)
class Outcome:
    """What a verb did: `changed` is false when everything was there already."""

    verb: str
    stream: str
    key: str
    changed: bool
    facts: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def land(stream: Stream, key: str, at: Services) -> Outcome:
    """Bring the block's rows from the source into the lake, through the rows gate.

    Raises `BlockQuarantined` when the gate refuses the rows; a block that landed before then
    stays as it was.
    """
    _check_key(stream, key)
    staged = at.store.stage(stream.name, "landed", key)
    try:
        landing = at.engine.land(stream, key, staged)
        facts = {"rows": landing.rows, "left_out": landing.left_out, "digest": landing.digest}
        present = at.store.manifest(stream.name, "landed", key)
        manifest = {**facts, "rules": stream.rows_fingerprint}
        if present is not None and _same(present, manifest, "digest", "rules"):
            return Outcome(
                "land",
                stream.name,
                key,
                False,
                {**facts, "gate": present["gate"]},
                {"data_docs": present.get("page", "")},
            )
        report = at.gate.check_rows(stream, key, at.engine.read(staged))
        facts["gate"] = report.score
        if not report.passed:
            raise _quarantine(stream, key, landing.digest, staged, report, at)
        at.store.publish(
            stream.name,
            "landed",
            key,
            staged,
            {**manifest, "gate": report.score, "page": report.page},
        )
        return Outcome("land", stream.name, key, True, facts, {"data_docs": report.page})
    finally:
        at.store.discard(staged)


def fit(stream: Stream, key: str, at: Services) -> Outcome:
    """Fit the block mixture to the landed rows, through the fit gate, and keep the block summary.

    Raises `NotFound` when the block has not landed and `BlockQuarantined` when the fit failed or
    the gate refused it.
    """
    _check_key(stream, key)
    landed = _landed(stream, key, at)
    rows = at.store.path(stream.name, "landed", key)
    present = at.store.summary(stream.name, key)
    if present is not None and (present.input_digest, present.fit_fingerprint) == (
        landed["digest"],
        stream.fit_fingerprint,
    ):
        at.store.repaired(stream.name, key, ("rows", "fit"))
        passed = at.store.manifest(stream.name, "summaries", key) or {}
        return Outcome(
            "fit",
            stream.name,
            key,
            False,
            {**fit_facts(present), "gate": passed.get("gate", "")},
            passed.get("pages", {}),
        )
    try:
        summary = at.engine.fit(stream, key, rows, landed["digest"])
    except FitFailed as error:
        report = GateReport("fit", (Check("fit", False, str(error), "a usable mixture"),))
        raise _quarantine(stream, key, landed["digest"], rows, report, at) from None
    report = at.gate.check_summary(stream, summary)
    pages = {"mlflow": at.registry.log_fit(stream, summary, report), "data_docs": report.page}
    if not report.passed:
        raise _quarantine(stream, key, landed["digest"], rows, report, at, pages)
    at.store.save_summary(summary, {"gate": report.score, "pages": pages})
    at.store.repaired(stream.name, key, ("rows", "fit"))
    return Outcome(
        "fit", stream.name, key, True, {**fit_facts(summary), "gate": report.score}, pages
    )


def merge(stream: Stream, key: str, at: Services) -> Outcome:
    """Pool the window's block mixtures, reduce them to k, and register the result as challenger.

    The window is the b newest present blocks up to `key`. Raises `ModelRefused` when too few
    blocks are there or the model gate refuses the window mixture.
    """
    parse_key(key)
    blocks = window_blocks(stream, key, at)
    identity = identity_of(stream, blocks)
    present = at.registry.find(stream.name, identity)
    if present is not None:
        return Outcome(
            "merge", stream.name, key, False, version_facts(present), version_pages(present)
        )
    mixture = window_mixture(
        blocks, stream.mixture.k, stream.window.criterion, stream.mixture.covariance_type
    )
    model = DensityModel.build(
        stream.name,
        stream.feature_list,
        mixture,
        stream.scoring.anomaly_above,
        seed=stream.mixture.seed,
    )
    report = at.gate.check_window(stream, key, model, blocks)
    if not report.passed:
        raise ModelRefused(
            f"the model gate refused the window of {stream.name} as of {key} ({report.reason})",
            remedy="read the report; the champion stays as it is",
            pages={"data_docs": report.page},
        )
    tags = {**identity, **lineage_of(blocks), "gate": report.score, "report": report.page}
    version = at.registry.register(stream, model, tags, report)
    at.store.save_components(stream.name, key, version.version, model)
    at.registry.point(stream.name, CHALLENGER, version.version)
    return Outcome("merge", stream.name, key, True, version_facts(version), version_pages(version))


def promote(stream: Stream, key: str, at: Services, version: int | None = None) -> Outcome:
    """Make a window mixture the champion; the champion of before becomes `previous`.

    `version` names it; without it, the version of the window as of `key`. A version whose newest
    block is older than the champion's is held back: filling in the past never moves consumers
    back in time.
    """
    parse_key(key)
    if version is None:
        found = at.registry.find(stream.name, identity_of(stream, window_blocks(stream, key, at)))
        if found is None:
            raise NotFound(
                f"no version of {stream.name} for the window as of {key}",
                remedy=f"run: blockmix merge {stream.name} {key}",
            )
        candidate = found
    else:
        candidate = at.registry.version(stream.name, version)
    champion = at.registry.alias(stream.name, CHAMPION)
    facts = {**version_facts(candidate), "champion": candidate.version}
    pages = version_pages(candidate)
    if champion is not None and champion.version == candidate.version:
        return Outcome(
            "promote", stream.name, key, False, {**facts, "decision": "is champion"}, pages
        )
    if champion is not None and candidate.last_block < champion.last_block:
        facts["champion"] = champion.version
        decision = f"held: champion {champion.version} knows blocks up to {champion.last_block}"
        return Outcome("promote", stream.name, key, False, {**facts, "decision": decision}, pages)
    if champion is not None:
        at.registry.point(stream.name, PREVIOUS, champion.version)
    at.registry.point(stream.name, CHAMPION, candidate.version)
    return Outcome("promote", stream.name, key, True, {**facts, "decision": "promoted"}, pages)


def transform(stream: Stream, key: str, at: Services, version: int | None = None) -> Outcome:
    """Normalise and score the landed rows with one pinned version, through the output gate.

    Without `version` the champion is resolved once. Raises `NotFound` when the block has not
    landed or no champion is there, `OutputRefused` when the gate refuses the rows.
    """
    _check_key(stream, key)
    landed = _landed(stream, key, at)
    pinned = version if version is not None else _champion(stream, at).version
    wanted = {"digest": landed["digest"], "version": pinned}
    present = at.store.manifest(stream.name, "transformed", key)
    if present is not None and _same(present, wanted, "digest", "version"):
        return Outcome(
            "transform",
            stream.name,
            key,
            False,
            present["facts"],
            {"data_docs": present.get("page", "")},
        )
    model = at.registry.load(stream.name, pinned)
    staged = at.store.stage(stream.name, "transformed", key)
    try:
        rows = at.store.path(stream.name, "landed", key)
        scored = at.engine.transform(stream, key, rows, model, pinned, staged)
        report = at.gate.check_transformed(stream, key, at.engine.read(staged), model)
        facts = {
            "version": pinned,
            "rows": scored.rows,
            "anomalies": scored.anomalies,
            "mean_log_prob": scored.mean_log_prob,
            "gate": report.score,
        }
        if not report.passed:
            where = at.store.quarantine(
                stream.name, key, f"{landed['digest']}-v{pinned}", staged, report
            )
            raise OutputRefused(
                f"the output gate refused the rows of {stream.name} {key} ({report.reason})",
                remedy=f"read the report; the rows are in {where}",
                pages={"data_docs": report.page},
            )
        at.store.publish(
            stream.name, "transformed", key, staged, {**wanted, "facts": facts, "page": report.page}
        )
    finally:
        at.store.discard(staged)
    at.store.repaired(stream.name, key, ("transformed",))
    return Outcome("transform", stream.name, key, True, facts, {"data_docs": report.page})


def _check_key(stream: Stream, key: str) -> None:
    day = parse_key(key)
    if day < stream.start or (stream.end is not None and day > stream.end):
        raise InvalidInput(
            f"stream {stream.name} has no such block",
            got=key,
            bound=f"{stream.start} to {stream.end or 'today'}",
        )


def _landed(stream: Stream, key: str, at: Services) -> dict[str, Any]:
    landed = at.store.manifest(stream.name, "landed", key)
    if landed is None:
        raise NotFound(
            f"block {key} of {stream.name} has not landed",
            remedy=f"run: blockmix land {stream.name} {key}",
        )
    return landed


def _champion(stream: Stream, at: Services) -> ModelVersion:
    champion = at.registry.alias(stream.name, CHAMPION)
    if champion is None:
        raise NotFound(
            f"stream {stream.name} has no champion yet",
            remedy=f"run: blockmix merge {stream.name} KEY, then promote",
        )
    return champion


def _quarantine(
    stream: Stream,
    key: str,
    digest: str,
    folder: str,
    report: GateReport,
    at: Services,
    pages: dict[str, str] | None = None,
) -> BlockQuarantined:
    where = at.store.quarantine(stream.name, key, digest, folder, report)
    return BlockQuarantined(
        f"the {report.gate} gate refused block {key} of {stream.name} ({report.reason})",
        remedy=f"the rows and the report are in {where}; repair the source and run the block again",
        pages=pages or {"data_docs": report.page},
    )


def _same(present: dict[str, Any], wanted: dict[str, Any], *names: str) -> bool:
    return all(present.get(name) == wanted[name] for name in names)
