"""The closest-pair search over packed components: what Python calls.

The search of `gmm_core.reduction.greedy` (Müllner 2011, section 3.1, "generic"), exact for every
criterion, with memory for a few numbers a component. Here the second least cost is remembered too:
when the nearest is merged away that is a better lower bound, and what is found below it the nearest.

All arrays are flat, float64 unless said, of K components in d features.

runnalls, full : which criterion, which covariances.
weights, means, covariances : K, K d, and K d d or K d; changed as components are merged.
tiles : as `merging` packs them, K rounded up to whole tiles.
closest, nearest : of each component the least cost with a later one, and which that is (int64).
second : a lower bound of the costs with all later ones but the nearest.
stale : (K,) bool: the nearest is gone, and closest is a lower bound, the second of before.
"""

from __future__ import annotations

import numpy as np

from gmm_core.kernels.merging import (
    FAR,
    LANES,
    blank,
    cost_of_tile,
    pack,
    put,
    scratch_size,
    tile_rows,
)
from gmm_core.kernels.options import compiled, entry

__all__ = ["fill", "merge", "search"]

_TOGETHER = 8  # components that look at a tile while it is in the cache


@entry
def fill(runnalls, full, d, weights, means, covariances, tiles):
    """Pack all components; `tiles` has (K rounded up to whole tiles) times `tile_rows` numbers."""
    K, count, size = len(weights), tile_rows(d, full), d * d if full else d
    factor, one = np.empty(d * d), np.empty(count)
    for i in range(K):
        of_i = slice(i * size, (i + 1) * size)
        mean = means[i * d : (i + 1) * d]
        pack(runnalls, full, d, weights[i], mean, covariances[of_i], factor, one)
        put(one, tiles, i, count)
    whole = len(tiles) // count
    blank(full, d, one)
    for i in range(K, whole):
        put(one, tiles, i, count)


@entry
def search(runnalls, full, d, K, tiles, first, step, closest, second, nearest):
    """Fill `closest` and `nearest` of every `step`th group of eight, from the `first` on."""
    count = tile_rows(d, full)
    owns = np.empty((_TOGETHER, count))
    scratch, limit, out = np.empty(scratch_size(d)), np.empty(LANES), np.empty(LANES)
    tile = LANES * count
    for group in range(first, (K + LANES - 1) // LANES, step):
        start, stop = group * LANES, min(K, (group + 1) * LANES)
        for i in range(start, stop):
            _take(tiles, i, count, owns[i - start])
            closest[i], second[i], nearest[i] = np.inf, np.inf, -1
        for b in range(group, len(tiles) // tile):
            for i in range(start, stop):
                limit[:] = second[i]
                own = owns[i - start]
                if cost_of_tile(runnalls, full, d, own, tiles, b * tile, limit, scratch, out):
                    _take_least(out, b * LANES, i, closest, second, nearest)


@entry
def merge(
    runnalls, full, d, weights, means, covariances, tiles, closest, second, nearest, stale, pairs
):
    """Merge the closest pair len(pairs) times; (m, 2) int64 `pairs` says which: the first is gone."""
    count = tile_rows(d, full)
    scratch, limit, out = np.empty(scratch_size(d)), np.empty(LANES), np.empty(LANES)
    factor, one = np.empty(d * d), np.empty(count)
    for turn in range(len(pairs)):
        i = _least(closest)
        while stale[i]:
            _look_again(
                runnalls, full, d, i, tiles, closest, second, nearest, scratch, limit, out, one
            )
            stale[i] = False
            i = _least(closest)
        j = nearest[i]
        pairs[turn, 0], pairs[turn, 1] = i, j
        _unite(full, d, weights, means, covariances, i, j)
        size = d * d if full else d
        mean, covariance = means[j * d : (j + 1) * d], covariances[j * size : (j + 1) * size]
        blank(full, d, one)
        put(one, tiles, i, count)
        closest[i], second[i], nearest[i], stale[i] = np.inf, np.inf, -1, False
        pack(runnalls, full, d, weights[j], mean, covariance, factor, one)
        put(one, tiles, j, count)
        _after(
            runnalls,
            full,
            d,
            i,
            j,
            tiles,
            closest,
            second,
            nearest,
            stale,
            scratch,
            limit,
            out,
            one,
        )


@compiled
def _after(
    runnalls, full, d, i, j, tiles, closest, second, nearest, stale, scratch, limit, out, one
):
    """Costs with the union j = `one`, for the earlier ones as for itself; what was near i or j."""
    tile = LANES * tile_rows(d, full)
    K = len(closest)
    closest[j], second[j], nearest[j], stale[j] = np.inf, np.inf, -1, False
    for m in range(j):
        if nearest[m] == i or nearest[m] == j:
            nearest[m], stale[m], closest[m] = j, True, second[m]
    for b in range((K + LANES - 1) // LANES):
        for lane in range(LANES):
            m = b * LANES + lane
            # What is gone has no later component, and never counts.
            limit[lane] = second[j] if m >= j else second[m] if nearest[m] >= 0 else -np.inf
        if not cost_of_tile(runnalls, full, d, one, tiles, b * tile, limit, scratch, out):
            continue
        if b * LANES + LANES > j:
            _take_least(out, b * LANES, j, closest, second, nearest)
        for lane in range(min(LANES, max(0, j - b * LANES))):
            if nearest[b * LANES + lane] >= 0:
                _consider(out[lane], b * LANES + lane, j, closest, second, nearest, stale)


@compiled
def _consider(cost, m, j, closest, second, nearest, stale):
    """The new component j for the earlier m."""
    if cost < closest[m] or (cost == closest[m] and (stale[m] or j < nearest[m])):
        second[m], closest[m], nearest[m], stale[m] = closest[m], cost, j, False
    elif cost < second[m] and not stale[m]:
        second[m] = cost


@compiled
def _look_again(runnalls, full, d, i, tiles, closest, second, nearest, scratch, limit, out, one):
    """The nearest later component of i, anew; what was its nearest is tried first."""
    count = tile_rows(d, full)
    tile = LANES * count
    _take(tiles, i, count, one)
    hint = nearest[i] // LANES
    closest[i], second[i], nearest[i] = np.inf, np.inf, -1
    for turn in range(-1, len(tiles) // tile - i // LANES):
        b = hint if turn < 0 else i // LANES + turn
        if turn >= 0 and b == hint:
            continue
        limit[:] = second[i]
        if cost_of_tile(runnalls, full, d, one, tiles, b * tile, limit, scratch, out):
            _take_least(out, b * LANES, i, closest, second, nearest)


@compiled
def _take_least(out, first, i, closest, second, nearest):
    """What of eight costs, of the components from `first` on, is the least for i so far.

    Of equal ones the first component counts, whichever was looked at first.
    """
    for lane in range(LANES):
        m, cost = first + lane, out[lane]
        if m <= i or cost > FAR:
            continue
        if cost < closest[i] or (cost == closest[i] and m < nearest[i]):
            second[i], closest[i], nearest[i] = closest[i], cost, m
        elif cost < second[i]:
            second[i] = cost


@compiled
def _least(values):
    best, at = np.inf, 0
    for i in range(len(values)):
        if values[i] < best:
            best, at = values[i], i
    return at


@compiled
def _take(tiles, i, count, one):
    base = i // LANES * LANES * count + i % LANES
    for r in range(count):
        one[r] = tiles[base + r * LANES]


@compiled
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
