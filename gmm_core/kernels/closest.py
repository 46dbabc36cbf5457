"""The closest-pair search over packed components: what Python calls.

The search of `gmm_core.reduction.greedy` (Müllner 2011, section 3.1, "generic"), exact, with memory for
a few numbers a component. It differs in who remembers a pair. Components are born one after the
other, the heaviest first, unions as they are made, and *the younger of a pair remembers it*. So a
component chooses among what there was at its birth: that only ever goes away, nothing is added, and

- a union looks for its own nearest, and no other component has to look at it;
- the four nearest that a component had when it looked stay the nearest until they are gone, and what
  it remembers is never above what it would find: it looks again when all four are gone and what it
  remembers is the least of all;
- light components, that are near to many and merge first, are remembered by nobody but themselves.

A look passes over the tiles whose bound (`boxes`) is above the fourth least cost so far.

All arrays are flat, float64 unless said, of K components in d features.

runnalls, full : which criterion, which covariances.
components : weights K, means K d, covariances K d d or K d, and widths K (`boxes.width_of`).
packed : tiles (`merging`) and their boxes, in whole groups of eight tiles.
born : int64, when, a number for each place in the tiles; `GONE` where there is nothing.
found : costs and places (int64), four a component, the least cost first; how many of them are known to
    be gone (int64, at most three); and the cost of the next, that counts. A component's own place
    stands for none.
"""

from __future__ import annotations

import numpy as np

from gmm_core.kernels.boxes import GONE, bounds, box_rows, draw, width_of
from gmm_core.kernels.eights import ALL, LANES, kept8, load8, minimum8, splat8, store8
from gmm_core.kernels.merging import cost_of_tile, pack, put, scratch_size, take, tile_rows
from gmm_core.kernels.options import compiled, entry, inlined, making
from gmm_core.kernels.vectors import lanes_above

__all__ = ["FILL", "GONE", "LOOK", "MERGE", "REMEMBERED", "work"]

FILL, LOOK, MERGE = 0, 1, 2
REMEMBERED = 4
_FIRST = 8  # tiles whose least bounds are looked for; the others come as they are numbered


@entry
def work(job, runnalls, full, d, components, packed, born, found, first, step, pairs):
    """Do one of three jobs: one entry, so that what they share is compiled once.

    FILL : pack all components, and note their widths.
    LOOK : look around from every `step`th component, from the `first` on.
    MERGE : merge the closest pair len(pairs) times; (m, 2) int64 `pairs` says which: the first is gone.
        `first` is when the first union is born.
    """
    if job == FILL:
        _fill(runnalls, full, d, components, packed, born)
    elif job == LOOK:
        for i in range(first, len(components[0]), step):
            _look(runnalls, full, d, i, components, packed, born, found)
    else:
        _merge(runnalls, full, d, components, packed, born, found, first, pairs)


@inlined
def _fill(runnalls, full, d, components, packed, born):
    weights, means, covariances, widths = components
    tiles, boxes = packed
    one, size = np.empty(tile_rows(d, full)), d * d if full else d
    for i in range(len(weights)):
        covariance = covariances[i * size : (i + 1) * size]
        pack(runnalls, full, d, weights[i], means[i * d : (i + 1) * d], covariance, one)
        put(one, tiles, i)
        widths[i] = width_of(full, d, covariance)
    for b in range(len(boxes) // box_rows(d)):
        draw(full, d, b, components, born, boxes)


@inlined
def _merge(runnalls, full, d, components, packed, born, found, birth, pairs):
    weights, means, covariances, widths = components
    tiles, boxes = packed
    costs, places, gone, closest = found
    one, size = np.empty(tile_rows(d, full)), d * d if full else d
    eight = np.empty(LANES)
    for turn in range(len(pairs)):
        i = _least(closest, eight)
        while born[places[i * REMEMBERED + gone[i]]] >= born[i]:
            if gone[i] < REMEMBERED - 1:
                gone[i] += 1
                closest[i] = costs[i * REMEMBERED + gone[i]]
            else:
                _look(runnalls, full, d, i, components, packed, born, found)
            i = _least(closest, eight)
        j = places[i * REMEMBERED + gone[i]]
        i, j = min(i, j), max(i, j)
        pairs[turn, 0], pairs[turn, 1] = i, j
        _unite(full, d, weights, means, covariances, i, j)
        covariance = covariances[j * size : (j + 1) * size]
        pack(runnalls, full, d, weights[j], means[j * d : (j + 1) * d], covariance, one)
        put(one, tiles, j)
        widths[j] = width_of(full, d, covariance)
        closest[i], born[i], born[j] = np.inf, GONE, birth + turn
        draw(full, d, i // LANES, components, born, boxes)
        draw(full, d, j // LANES, components, born, boxes)
        _look(runnalls, full, d, j, components, packed, born, found)


@making
def _look(runnalls, full, d, i, components, packed, born, found):
    """The nearest of what was born before i, to `found`."""
    weights, means, covariances, widths = components
    tiles, boxes = packed
    costs, places, gone, closest = found
    start, last = i * REMEMBERED, i * REMEMBERED + REMEMBERED - 1
    for n in range(start, last + 1):
        costs[n], places[n] = np.inf, i
    one, least = np.empty(tile_rows(d, full)), np.empty(len(born) // LANES)
    scratch, limit, out = np.empty(scratch_size(d)), np.empty(LANES), np.empty(LANES)
    take(tiles, i, one)
    size = d * d if full else d
    covariance = covariances[i * size : (i + 1) * size]
    mean = means[i * d : (i + 1) * d]
    bounds(runnalls, full, d, weights[i], mean, covariance, widths[i], boxes, least)
    for turn in range(_FIRST + 1):
        # The tiles of least bounds first: what is found there rules most others out.
        b, stop = 0, len(least)
        if turn < _FIRST:
            b = _least(least, out)
            stop = b + 1
        while b < stop:
            if least[b] <= costs[last] and least[b] < np.inf:
                least[b] = np.inf  # never again
                _visit(
                    runnalls, full, d, i, b, one, tiles, born, limit, scratch, out, costs, places
                )
            b += 1
    gone[i], closest[i] = 0, costs[start]


@compiled
def _visit(runnalls, full, d, i, b, one, tiles, born, limit, scratch, out, costs, places):
    """Remember what is near enough in tile b."""
    start, last = i * REMEMBERED, i * REMEMBERED + REMEMBERED - 1
    # In one piece: which of eight are older is chance, and a branch for each costs more than all costs.
    limits = kept8(born, b * LANES, born[i], splat8(costs[last]))
    if not lanes_above(limits, splat8(-np.inf)):
        return
    store8(limit, 0, limits)
    base = b * LANES * len(one)
    if cost_of_tile(runnalls, full, d, one, tiles, base, limit, scratch, out):
        beyond = lanes_above(load8(out, 0), limits)
        for lane in range(LANES if beyond != ALL else 0):
            if not beyond >> lane & 1:
                _remember(out[lane], b * LANES + lane, start, last, costs, places)


@compiled
def _remember(cost, m, start, last, costs, places):
    """Put component m in its place, if it has one; of equal costs the first component is nearer."""
    n = last + 1
    while n > start and (cost < costs[n - 1] or (cost == costs[n - 1] and m < places[n - 1])):
        n -= 1
        if n < last:
            costs[n + 1], places[n + 1] = costs[n], places[n]
    if n <= last:
        costs[n], places[n] = cost, m


@compiled
def _least(values, scratch):
    """Where the least of whole eights of values stands, the first of equals."""
    lowest = load8(values, 0)
    for at in range(LANES, len(values), LANES):
        lowest = minimum8(lowest, load8(values, at))
    store8(scratch, 0, lowest)
    best = scratch[0]
    for lane in range(1, LANES):
        best = min(best, scratch[lane])
    at, limit = 0, splat8(best)
    while lanes_above(load8(values, at), limit) == ALL:
        at += LANES
    while values[at] > best:
        at += 1
    return at


@inlined
def _unite(full, d, weights, means, covariances, i, j):
    """Component j becomes the union of both, as `moments.combine` says it."""
    weight = weights[i] + weights[j]
    share = weights[i] / weight
    rest, size = 1 - share, d * d if full else d
    for r in range(d):
        delta = means[i * d + r] - means[j * d + r]
        for q in range(r + 1 if full else 1):
            other = means[i * d + q] - means[j * d + q] if full else delta
            at = r * d + q if full else r
            own, theirs = covariances[j * size + at], covariances[i * size + at]
            covariances[j * size + at] = rest * own + share * theirs + rest * share * delta * other
    for r in range(d):
        means[j * d + r] += share * (means[i * d + r] - means[j * d + r])
    weights[j] = weight
    weights[i] = 0.0
