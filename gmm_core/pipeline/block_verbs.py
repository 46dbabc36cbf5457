"""The verbs of a block's rows: land, transform."""

from __future__ import annotations

import hashlib

from gmm_core.errors import InvalidSource, OutputRefused
from gmm_core.pipeline.aliases import served
from gmm_core.pipeline.blocks import (
    all_there,
    check_key,
    fitted,
    landed_block,
    quarantined,
    same,
)
from gmm_core.pipeline.describing import describe
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
        facts = landing.facts()
        present = at.store.published(stream.name, "landed", key)
        manifest = {**facts, "rules": stream.rows_fingerprint}
        if present and present.whole and same(present.manifest, manifest, "digest", "rules"):
            # The source delivers what is here: whatever else it delivered since is repaired.
            gates = ("rows", "fit") if fitted(stream, key, landing.digest, at) else ("rows",)
            at.store.repaired(stream.name, key, gates)
            return Outcome(
                "land",
                stream.name,
                key,
                False,
                {**facts, "gate": present.manifest["gate"]},
                {"data_docs": present.manifest.get("page", "")},
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
    also = list(stream.scoring.also) or None  # None: as manifests said before there was a choice
    digest = landed.manifest["digest"]
    wanted = {"digest": digest, "version": pinned, "also": also}
    present = at.store.published(stream.name, "transformed", key)
    if present and present.whole and same(present.manifest, wanted, *wanted):
        changed = measure_rows(stream, key, digest, pinned, at)
        return Outcome(
            "transform",
            stream.name,
            key,
            changed,
            present.manifest["facts"],
            {"data_docs": present.manifest.get("page", "")},
        )
    model = at.registry.load(stream.name, pinned)
    staged = at.store.stage(stream.name, "transformed", key)
    try:
        scored = at.engine.transform(stream, key, landed.path, model, pinned, staged)
        all_there(stream, key, landed, scored.rows, "transformed")
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
                stream.name, key, f"{digest}-v{pinned}", staged, report,
                {**wanted, "facts": facts, "rules": landed.manifest["rules"]},
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
    used = at.registry.version(stream.name, pinned)
    # A trial, or of an earlier release.
    if not at.store.described(stream.name, used.last_block, pinned):
        describe(used, at, model)
    measure_rows(stream, key, digest, pinned, at)
    return Outcome("transform", stream.name, key, True, facts, {"data_docs": report.page})
