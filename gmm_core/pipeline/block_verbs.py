"""The verbs of one block: land, fit, transform."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gmm_core.errors import (
    BlockQuarantined,
    ComputationFailed,
    FitFailed,
    InvalidInput,
    NotFound,
    OutputRefused,
)
from gmm_core.pipeline.lineage import fit_facts
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Check, GateReport, ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.window_verbs import CHAMPION
from gmm_core.summary import BlockSummary

__all__ = ["fit", "land", "transform"]


def land(stream: Stream, key: str, at: Services) -> Outcome:
    """Bring the block's rows from the source into the lake, through the rows gate.

    Raises `BlockQuarantined` when the gate refuses the rows; a block that landed before then
    stays as it was. Rows that replace others are kept beside them until `fit` has accepted the new.
    """
    _check_key(stream, key)
    staged = at.store.stage(stream.name, "landed", key)
    try:
        landing = at.engine.land(stream, key, staged)
        facts = {"rows": landing.rows, "left_out": landing.left_out, "digest": landing.digest}
        present = at.store.manifest(stream.name, "landed", key)
        manifest = {**facts, "rules": stream.rows_fingerprint}
        if present is not None and _same(present, manifest, "digest", "rules"):
            # The source delivers what is here: whatever else it delivered since is repaired.
            fitted = at.store.summary(stream.name, key)
            gates = (
                ("rows", "fit") if fitted and fitted.input_digest == landing.digest else ("rows",)
            )
            at.store.repaired(stream.name, key, gates)
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
            keep=True,
        )
        at.store.repaired(stream.name, key, ("rows",))
        return Outcome("land", stream.name, key, True, facts, {"data_docs": report.page})
    finally:
        at.store.discard(staged)


def fit(stream: Stream, key: str, at: Services) -> Outcome:
    """Fit the block mixture to the landed rows, through the fit gate, and keep the block summary.

    Raises `NotFound` when the block has not landed and `BlockQuarantined` when the fit failed or
    the gate refused it; then the rows that landed before these, if any, are the landed ones again.
    """
    _check_key(stream, key)
    landed = _landed(stream, key, at)
    if landed["rules"] != stream.rows_fingerprint:
        raise InvalidInput(
            f"block {key} of {stream.name} landed under other features or gates than it has now",
            remedy=f"run: blockmix land {stream.name} {key}",
        )
    present = at.store.summary(stream.name, key)
    passed = at.store.manifest(stream.name, "summaries", key) or {}
    known = {"rules": stream.rows_fingerprint}
    if (
        present is not None
        and present.input_digest == landed["digest"]
        and present.fit_fingerprint == stream.fit_fingerprint
        and _same(passed, known, "rules")
    ):
        facts = {**fit_facts(present), "gate": passed["gate"]}
        return Outcome("fit", stream.name, key, False, facts, passed["pages"])
    summary, report = _fitted(stream, key, landed["digest"], at)
    pages = {"data_docs": report.page}
    if summary is not None:
        pages["mlflow"] = at.registry.log_fit(stream, summary, report)
    if summary is None or not report.passed:
        rows = at.store.path(stream.name, "landed", key)
        refused = _quarantine(stream, key, landed["digest"], rows, report, at, pages)
        at.store.settle(stream.name, "landed", key, accepted=False)
        raise refused
    at.store.repaired(stream.name, key, ("rows", "fit"))
    at.store.save_summary(summary, {"gate": report.score, "pages": pages, **known})
    at.store.settle(stream.name, "landed", key, accepted=True)
    facts = {**fit_facts(summary), "gate": report.score}
    return Outcome("fit", stream.name, key, True, facts, pages)


def _fitted(
    stream: Stream, key: str, digest: str, at: Services
) -> tuple[BlockSummary | None, GateReport]:
    """The block's summary, if its rows can be fitted at all, and what the gate says of it."""
    try:
        summary = at.engine.fit(stream, key, at.store.path(stream.name, "landed", key), digest)
    except NotFound:
        raise
    except (FitFailed, InvalidInput) as error:
        return None, GateReport("fit", (Check("fit", False, str(error), "a usable mixture"),))
    return summary, at.gate.check_summary(stream, summary)


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
        if scored.rows != landed["rows"]:
            raise ComputationFailed(
                f"not every row of {stream.name} {key} was transformed",
                got=scored.rows,
                bound=f"{landed['rows']}, the rows that landed",
                remedy="run this again",
            )
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
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)  # today is not whole yet
    newest = min(stream.end or yesterday, yesterday)
    if not stream.start <= parse_key(key) <= newest:
        raise InvalidInput(
            f"stream {stream.name} has no such block",
            got=key,
            bound=f"{stream.start} to {newest}",
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
