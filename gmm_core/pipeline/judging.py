"""Judging: whether a challenger may become champion, must be held, or a person is to be asked.

Challenger and champion are compared on the newest block. The champion did not see it; the challenger did.
So the challenger's *way* is compared: the mixture that its settings give without that block. Neither saw
the rows, both score the same ones, and nothing is kept out of any fit for it (docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gmm_core.drift.comparison import Difference, difference
from gmm_core.errors import NotFound
from gmm_core.model import DensityModel
from gmm_core.pipeline.aliases import CHAMPION, TRIGGER, Hold, hold_of
from gmm_core.pipeline.lineage import identity_of, version_facts, version_pages
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.windows import window_blocks
from gmm_core.pooling import faded
from gmm_core.summary import BlockSummary
from gmm_core.window import block_set_hash, select_blocks, window_mixture

__all__ = ["Answer", "Decision", "Judgement", "candidate_of", "judge", "judgement_of"]

Answer = Literal["promote", "hold"]
Decision = Literal["promote", "hold", "ask", "none"]


@dataclass(frozen=True)
class Judgement:
    """What should become of a challenger, why, and the comparison if one was made.

    `final` is so whatever a person answers; `worse` says that the rows speak against the challenger.
    """

    decision: Decision
    why: str
    gain: Difference | None = None
    final: bool = False
    default: Answer = "promote"
    worse: bool = False


def judge(stream: Stream, key: str, at: Services, version: int | None = None) -> Outcome:
    """What `promote` would do with a version; `decision` is promote, hold, ask or none."""
    candidate = candidate_of(stream, key, at, version)
    champion = at.registry.alias(stream.name, CHAMPION)
    found = judgement_of(stream, candidate, champion, hold_of(stream.name, at), at)
    facts = {
        **version_facts(candidate),
        "champion": champion.version if champion else None,
        "serving": version_facts(champion) if champion else {},
        "decision": found.decision,
        "why": found.why,
        "default": found.default,
    }
    return Outcome("judge", stream.name, key, False, facts, version_pages(candidate))


def candidate_of(stream: Stream, key: str, at: Services, version: int | None) -> ModelVersion:
    """The version that is named, else that of the window as of a key; raises `NotFound`."""
    parse_key(key)
    if version is not None:
        return at.registry.version(stream.name, version)
    found = _current(stream, key, at)
    if found is None:
        raise NotFound(
            f"no version of {stream.name} for the window as of {key}",
            remedy=f"run: blockmix merge {stream.name} {key}",
        )
    return found


def judgement_of(
    stream: Stream,
    candidate: ModelVersion,
    champion: ModelVersion | None,
    hold: Hold | None,
    at: Services,
) -> Judgement:
    """What should become of a candidate beside a champion, and under a hold, if there are any."""
    if champion is None:
        return Judgement("promote", "the first", final=True)
    if champion.version == candidate.version:
        return Judgement("none", "is champion", final=True)
    if why := _held(stream, candidate, champion, at):
        return Judgement("hold", why, final=True)
    if hold is not None:
        return Judgement("hold", f"{hold}; end it with --resume", final=True)
    settings = stream.promotion
    gain, why = _compared(stream, candidate, champion, at) if settings.compare else (None, "")
    verdict = gain.verdict(settings.margin, settings.confidence) if gain else "not worse"
    if gain is not None:
        why = f"{verdict}: {gain.mean:+.4f} ± {gain.error:.4f} nats per row on {gain.rows} unseen rows"
    worse = verdict == "worse"
    default: Answer = "hold" if worse else settings.answer
    asked = settings.approval == "always" or (
        settings.approval == "unclear" and verdict in ("unclear", "worse")
    )
    if asked:
        why = why or "as it says in the stream file"
        return Judgement("ask", why, gain, default=default, worse=worse)
    if verdict == "unclear":
        return Judgement(settings.unclear, why, gain)
    return Judgement("hold" if worse else "promote", why, gain, worse=worse)


def _compared(
    stream: Stream, candidate: ModelVersion, champion: ModelVersion, at: Services
) -> tuple[Difference | None, str]:
    """The gain of the candidate's way over the champion; or none, and why it was not asked."""
    key = candidate.last_block
    if champion.last_block >= key:
        return None, "the champion saw the same days"
    same = champion.tags.get("settings") == candidate.tags.get("settings")
    knows, more = int(champion.tags["blocks"]), int(candidate.tags["blocks"])
    # Of other settings, fewer days may be what they are about: a shorter window is to be judged by rows.
    if knows < stream.window.minimum_blocks or (same and knows < more):
        return None, "the champion knows fewer days"
    twin = _blocks_without(stream, candidate, at)
    if not twin:
        return None, "the window is one block"
    if same and champion.tags.get("block_set_hash") == block_set_hash(twin):
        return None, "the champion's way, a day on"
    model, other = (
        at.registry.load(stream.name, candidate.version),
        at.registry.load(stream.name, champion.version),
    )
    if other.features != stream.feature_list or model.features != stream.feature_list:
        return None, "the champion knows other features"
    if at.store.manifest(stream.name, "landed", key) is None:
        return None, "the rows of the newest block are not there"
    rows = at.store.path(stream.name, "landed", key)
    scores = at.engine.score(stream, key, rows, [_without(stream, model, twin), other])
    if not scores.log_prob.weight:
        return None, "no row of the newest block has a finite score"
    return difference(scores.log_prob), ""


def _blocks_without(stream: Stream, candidate: ModelVersion, at: Services) -> list[BlockSummary]:
    """The window one block back, of as many blocks as the candidate's."""
    present = [key for key in at.store.summary_keys(stream.name) if key < candidate.last_block]
    if not present:
        return []
    keys = select_blocks(present, present[-1], int(candidate.tags["blocks"]))
    found = (at.store.summary(stream.name, one) for one in keys)
    blocks = [one for one in found if one is not None]
    return blocks if all(one.features == stream.feature_list for one in blocks) else []


def _without(stream: Stream, model: DensityModel, blocks: list[BlockSummary]) -> DensityModel:
    """What the candidate's settings make of these blocks; scored by its log-density alone."""
    mixture = window_mixture(
        faded(blocks, blocks[-1].key, stream.window.half_life),
        model.mixture.n_components,
        stream.window.strategy,
        model.mixture.covariance_type,
    )
    return DensityModel(model.stream, model.features, mixture, model.tail, model.anomaly_above)


def _held(stream: Stream, candidate: ModelVersion, champion: ModelVersion, at: Services) -> str:
    """Why a version must not follow the champion; empty when it may."""
    if candidate.last_block < champion.last_block:
        return f"champion {champion.version} knows blocks up to {champion.last_block}"
    if candidate.last_block == champion.last_block and candidate.version < champion.version:
        if action := champion.tags.get(TRIGGER):
            return f"champion {champion.version} was made for the drift in this block ({action})"
        current = _current(stream, candidate.last_block, at)
        if current is None or current.version != candidate.version:
            return f"champion {champion.version} is a newer mixture of the same window"
    return ""


def _current(stream: Stream, key: str, at: Services) -> ModelVersion | None:
    """The version of the window as of a key, from its blocks as they are now."""
    return at.registry.find(stream.name, identity_of(stream, window_blocks(stream, key, at)))
