"""Refinement of a window: every move that a strategy asks for, each behind the guard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture, numeric_part
from gmm_core.reduction.greedy import many
from gmm_core.refinement.exact import with_unit_moments
from gmm_core.refinement.guard import Guard
from gmm_core.refinement.hard import harden
from gmm_core.refinement.kept import kept_rows, polished
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import compiles
from gmm_core.refinement.points import crosses, drawn
from gmm_core.refinement.soft import soften
from gmm_core.refinement.units import Units
from gmm_core.strategy import Strategy
from gmm_core.summary import BlockSummary

__all__ = ["refine", "seed_of"]

M = TypeVar("M", bound=AnyMixture)


def seed_of(names: Iterable[str]) -> int:
    """A seed that stands for a set of names, whatever their order.

    >>> seed_of(["b", "a"]) == seed_of(["a", "b"])
    True
    """
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def refine(
    pooled: M,
    reduced: M,
    strategy: Strategy,
    seed: int = 0,
    blocks: Sequence[BlockSummary] = (),
) -> M:
    """A reduced mixture after the strategy's moves; mean and covariance are the pooled ones, and so
    are the shares of levels.

    Parameters
    ----------
    pooled, reduced : of the same type, "full" or "diag".
    seed : decides the points; the same seed, the same outcome.
    blocks : that were pooled. If all kept rows (`gmm_core.coreset`), polishing ends on these.

    Components so flat that rounding shows in them are left as the reduction made them.

    The outcome lists its components by their means, the first feature first.
    """
    if reduced.n_components == pooled.n_components or not strategy.moves:
        return reduced
    try:
        return _refined(pooled, reduced, strategy, np.random.default_rng(seed), blocks)
    except (InvalidInput, np.linalg.LinAlgError):  # components so flat that rounding shows
        return reduced


def _refined(
    pooled: M,
    reduced: M,
    strategy: Strategy,
    rng: np.random.Generator,
    blocks: Sequence[BlockSummary],
) -> M:
    units = Units.of(pooled)
    every, former = units.into(pooled), units.into(reduced)
    compiled = many(numeric_part(pooled)) and compiles()
    whole = replace(every.parts(), compiled=compiled)
    streams = rng.spawn(2)
    points = None
    if strategy.guard_points:
        points = replace(drawn(every, strategy.guard_points, streams[0]), compiled=compiled)
    guard = Guard(points, former, strategy.guard_errors)
    for move in _moves(whole, every, strategy, streams[1]):
        moved = _exact(move, guard.model)
        if moved is not None:
            guard.offer(moved)
    kept = guard.model
    if blocks and strategy.polish_points and (rows := kept_rows(blocks, units, whole)):
        kept = _on_rows(kept, strategy, rows)
    if kept is former:
        return reduced
    order = np.lexsort(kept.means.T[::-1])
    return cast(M, units.back(kept.picked(order)))


Move = Callable[[Model], Model]


def _moves(
    whole: Parts, every: Model, strategy: Strategy, rng: np.random.Generator
) -> Iterable[Move]:
    """The strategy's moves on the pooled components, which are given as parts and as a model."""
    steps, tol = strategy.steps, strategy.tol
    if strategy.refine == "hard":
        yield lambda start: harden(whole, start, steps=steps).model
    if strategy.refine == "soft":
        yield lambda start: soften(whole, start, steps=steps, tol=tol).model
    if strategy.polish_points:
        crossed = crosses(every, strategy.polish_points, strategy.polish_width, rng)
        parts = replace(crossed, compiled=whole.compiled)
        yield lambda start: soften(parts, start, steps=steps, tol=tol).model


def _on_rows(former: Model, strategy: Strategy, rows: Parts) -> Model:
    """The model polished on rows, if that pays on rows that it has not seen."""
    model, honest = polished(rows, former, steps=strategy.steps, tol=strategy.tol)
    moved = _exact(lambda _: model, former)
    if moved is None or (strategy.guard_points and not honest.convinces(strategy.guard_errors)):
        return former
    return moved


def _exact(move: Move, start: Model) -> Model | None:
    """The moved model with exact moments; `None` where it has lost its width."""
    try:
        moved = with_unit_moments(move(start))
        _ = moved.natural
    except (InvalidInput, np.linalg.LinAlgError):
        return None
    return moved
