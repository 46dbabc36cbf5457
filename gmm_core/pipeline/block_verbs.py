"""The verbs of a block's rows: land, transform."""

from __future__ import annotations

import hashlib

from gmm_core.errors import ComputationFailed, InvalidSource, OutputRefused
from gmm_core.pipeline.aliases import served
from gmm_core.pipeline.blocks import check_key, landed_block, quarantined, same
from gmm_core.pipeline.measuring import measure_rows
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Check, GateReport, Landing, Services
from gmm_core.pipeline.streams import Stream

__all__ = ["land", "transform"]


def land(stream: Stream, key: str, at: Services) -> Outcome:
    """Bring the block's rows from the source into the lake, through the rows gate.

    Raises `BlockQuarantined` when the gate refuses the rows, or they are not readable as the stream
    declares them; a block that landed before then stays as it was. Rows that replace others are kept
    beside them until `fit` has accepted the new.
    """
    check_key(stream, key)
    staged = at.store.stage(stream.name, "landed", key)
    try:
        landing = _delivered(stream, key, staged, at)
        facts = {"rows": landing.rows, "left_out": landing.left_out, "digest": landing.digest}
        present = at.store.manifest(stream.name, "landed", key)
        manifest = {**facts, "rules": stream.rows_fingerprint}
        if present is not None and same(present, manifest, "digest", "rules"):
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
            raise quarantined(stream, key, landing.digest, staged, report, at, facts=manifest)
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


def _delivered(stream: Stream, key: str, staged: str, at: Services) -> Landing:
    """What the source delivers for the block, staged; one whose rows cannot be had is quarantined."""
    try:
        return at.engine.land(stream, key, staged)
    except InvalidSource as error:
        fault = str(error)
        check = Check("source", False, fault, "rows that can be read as the stream declares them")
        at.store.discard(staged)  # what was written before the fault is not the block
        digest = hashlib.sha256(fault.encode()).hexdigest()[:32]
        raise quarantined(stream, key, digest, staged, GateReport("rows", (check,)), at) from None


def transform(stream: Stream, key: str, at: Services, version: int | None = None) -> Outcome:
    """Normalise and score the landed rows with one pinned version, through the output gate.

    Without `version` the champion, or the canary's challenger, is resolved once. Raises `NotFound`
    when the block has not landed or no champion is there, `OutputRefused` when the gate refuses the rows.
    """
    check_key(stream, key)
    landed = landed_block(stream, key, at)
    pinned = version if version is not None else served(stream, key, at).version
    wanted = {"digest": landed["digest"], "version": pinned}
    present = at.store.manifest(stream.name, "transformed", key)
    if present is not None and same(present, wanted, "digest", "version"):
        changed = measure_rows(stream, key, landed["digest"], pinned, at)
        return Outcome(
            "transform",
            stream.name,
            key,
            changed,
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
                stream.name, key, f"{landed['digest']}-v{pinned}", staged, report,
                {**wanted, "facts": facts, "rules": landed["rules"]},
            )  # fmt: skip
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
    measure_rows(stream, key, landed["digest"], pinned, at)
    return Outcome("transform", stream.name, key, True, facts, {"data_docs": report.page})
