"""The verb that makes block summaries: fit, of one block or of many in one job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gmm_core.errors import BlockmixError, BlockQuarantined, FitFailed, InvalidInput, NotFound
from gmm_core.pipeline.blocks import all_there, check_key, fitted, landed_block, quarantined
from gmm_core.pipeline.lineage import fit_facts
from gmm_core.pipeline.measuring import measure_block
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import Check, GateReport, Published, Services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.windows import reference_blocks
from gmm_core.summary import BlockSummary

__all__ = ["fit", "fit_many"]

Answer = BlockSummary | BlockmixError


def fit(stream: Stream, key: str, at: Services) -> Outcome:
    """Fit the block mixture to the landed rows, through the fit gate, and keep the block summary.

    Raises `NotFound` when the block has not landed and `BlockQuarantined` when the fit failed or
    the gate refused it; then the rows that landed before these, if any, are the landed ones again.
    """
    landed = _fittable(stream, key, at)
    if known := _known(stream, key, landed, at):
        return known
    answer: Answer
    try:
        answer = at.engine.fit(stream, key, landed.path, landed.manifest["digest"])
    except (FitFailed, InvalidInput) as error:
        answer = error
    return _settled(stream, key, landed, answer, at)


def fit_many(
    stream: Stream, keys: Iterable[str], at: Services
) -> Iterator[Outcome | BlockQuarantined]:
    """`fit` of several landed blocks, oldest first, in one job of the engine where they are small.

    In place of a refused one comes its refusal: the others go on. Each is held against the blocks
    before it, those of the same call included. Raises as `fit` before anything is fitted.
    """
    landed = {key: _fittable(stream, key, at) for key in sorted(set(keys))}
    known = {key: _known(stream, key, rows, at) for key, rows in landed.items()}
    due = {
        key: (rows.path, rows.manifest["digest"])
        for key, rows in landed.items()
        if known[key] is None
    }
    answers = at.engine.fit_many(stream, due) if due else {}
    for key, outcome in known.items():
        try:
            yield outcome or _settled(stream, key, landed[key], answers[key], at)
        except BlockQuarantined as refusal:
            yield refusal


def _fittable(stream: Stream, key: str, at: Services) -> Published:
    """The landed rows, if they landed under the rules of today."""
    check_key(stream, key)
    landed = landed_block(stream, key, at)
    if landed.manifest["rules"] != stream.rows_fingerprint:
        raise InvalidInput(
            f"block {key} of {stream.name} landed under other features or gates than it has now",
            remedy=f"run: blockmix land {stream.name} {key}",
        )
    return landed


def _known(stream: Stream, key: str, landed: Published, at: Services) -> Outcome | None:
    """The outcome of a fit of the same rows with the same settings, if there was one."""
    if not fitted(stream, key, landed.manifest["digest"], at):
        return None
    present = at.store.summary(stream.name, key)
    passed = at.store.manifest(stream.name, "summaries", key)
    if present is None or passed is None or present.fit_fingerprint != stream.fit_fingerprint:
        return None
    facts = {**fit_facts(present), "gate": passed["gate"]}
    return Outcome("fit", stream.name, key, False, facts, passed["pages"])


def _settled(stream: Stream, key: str, landed: Published, answer: Answer, at: Services) -> Outcome:
    """The engine's answer through the gate: kept, or refused."""
    summary, report = _judged(stream, key, landed, answer, at)
    pages = {"data_docs": report.page}
    if summary is not None:
        pages["mlflow"] = at.registry.log_fit(stream, summary, report)
    released = landed.manifest.get("released", {})
    digest = landed.manifest["digest"]
    if summary is None or not (report.passed or "fit" in released.get("gates", ())):
        refused = quarantined(stream, key, digest, landed.path, report, at, pages, landed.manifest)
        # Rows that a fit was accepted of stay: it is the rules that changed since.
        known = at.store.summary(stream.name, key)
        stay = known is not None and known.input_digest == digest
        at.store.settle(stream.name, "landed", key, landed.path, accepted=stay)
        raise refused
    at.store.repaired(stream.name, key, ("rows", "fit"))
    measure_block(stream, summary, at)
    at.store.save_summary(
        summary, {"gate": report.score, "pages": pages, "rules": stream.gate_fingerprint}
    )
    at.store.settle(stream.name, "landed", key, landed.path, accepted=True)
    facts = {**fit_facts(summary), "gate": report.score}
    return Outcome("fit", stream.name, key, True, facts, pages)


def _judged(
    stream: Stream, key: str, landed: Published, answer: Answer, at: Services
) -> tuple[BlockSummary | None, GateReport]:
    """The block's summary, if its rows can be fitted at all, and what the gate says of it."""
    if isinstance(answer, BlockSummary):
        all_there(stream, key, landed, answer.rows, "fitted")
        report = at.gate.check_summary(stream, answer, reference_blocks(stream, key, at))
        return answer, report
    if isinstance(answer, NotFound) or not isinstance(answer, (FitFailed, InvalidInput)):
        raise answer
    return None, GateReport("fit", (Check("fit", False, str(answer), "a usable mixture"),))
