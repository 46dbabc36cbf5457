"""Hard refinement: composite transportation divergence with the Kullback-Leibler cost.

Every pooled component goes wholly to the reduced one that is nearest by KL(pooled || reduced), and
each group becomes its exact merge, in turn: neither step raises the sum of weight * KL (Zhang, Zhang
and Chen 2024), so it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import nearest

__all__ = ["Hardened", "harden"]


@dataclass(frozen=True)
class Hardened:
    """Where hard refinement ended, and the cost after each assignment.

    The cost is that of transport less the parts' own entropy, which no refinement changes: minus the
    weighted mean of the log-density of each part under its component, in nats.
    """

    model: Model
    trace: tuple[float, ...]


def harden(parts: Parts, start: Model, *, steps: int) -> Hardened:
    """Assign and merge until nothing moves, at most `steps` times; all k components are kept.

    A component that nothing is nearest to takes the part that costs most where it is, as its own.
    """
    model, trace = start, []
    groups: NDArray[np.intp] | None = None
    for step in range(steps + 1):
        places, expected = nearest(parts, model)
        _fill(places, -expected * parts.weights, len(model.weights))
        trace.append(-float(parts.weights @ expected))
        if step == steps or (groups is not None and np.array_equal(places, groups)):
            break
        groups = places
        shares = np.zeros((len(model.weights), len(parts)))
        shares[groups, np.arange(len(parts))] = parts.weights
        try:
            merged = parts.grouped(shares)
            _ = merged.natural
        except InvalidInput:  # a group of points without width
            break
        model = merged
    return Hardened(model, tuple(trace))


def _fill(groups: NDArray[np.intp], cost: Array, k: int) -> None:
    """Give every empty group a part of one that has others left, the dearest first; in place."""
    count = np.bincount(groups, minlength=k)
    if count.all():
        return
    order = iter(np.argsort(-cost, kind="stable"))
    for group in np.flatnonzero(count == 0):
        part = next(one for one in order if count[groups[one]] > 1)
        count[groups[part]] -= 1
        groups[part], count[group] = group, 1
