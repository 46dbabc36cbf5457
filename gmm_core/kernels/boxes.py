"""Boxes around tiles: what merging with any component of a tile costs at least, for compiled code.

With a weight a, delta the difference of two means and p = |delta|^2, and a *width* w that no
eigenvalue of the covariance S is above:

    Hotelling  (a_i delta' S_i^-1 delta + a_j delta' S_j^-1 delta) / 2 >= (a_i / w_i + a_j / w_j) p / 2
    Runnalls   (a log |S_ij| - a_i log |S_i| - a_j log |S_j|) / 2
               >= a log(1 + p / (a (w_i / a_j + w_j / a_i))) / 2, where a = a_i + a_j

The latter because S_ij = M + (a_i a_j / a^2) delta delta' with M the weighted mean of S_i and S_j:
a log |M| >= a_i log |S_i| + a_j log |S_j|, the logarithm being concave, and |M + u u'| = |M| (1 + u'
M^-1 u), where no eigenvalue of M is above (a_i w_i + a_j w_j) / a. Costs of one feature alone, its own
variance for w, are bounds as well: no further feature lowers a cost (`merging`). They see features that
are narrow while others are wide. All rise with p and a_j and fall with w_j. So the shortest way from a mean
to the box that holds all means of a tile, the tile's least weight, its largest width and its largest
variance of each feature make bounds for the whole tile; the highest of them counts, of eight tiles at once.

Eight boxes are a group: for each feature a row with their low ends, one with their high ends and one
with the largest variances, then one with the least weights and one with the largest widths.
"""

from __future__ import annotations

import math

import numpy as np

from gmm_core.kernels.eights import LANES, load8, minimum8, splat8, spread8, store8
from gmm_core.kernels.elementary import exponent, mantissa
from gmm_core.kernels.options import compiled, inlined
from gmm_core.kernels.vectors import add, div, fma, maximum, mul, sub

__all__ = ["GONE", "bounds", "box_rows", "draw", "width_of"]

GONE = np.iinfo(np.int64).max  # the birth of what has been merged away, or never was
_OUTSIDE = 1e140  # where the box of nothing is: too far from all
_EXPONENT_OF_TWO = 2.0**52 + 1024  # as `elementary.exponent` has it
_HIGHEST = 1e300  # bound: infinity says that a tile was visited
# Rounding must not bring a bound above a cost: a little less than half, and this share of the weight less.
_HALF = 0.5 * (1 - 1e-6)
_SLACK = 1e-9


@inlined
def box_rows(d):
    """Rows of a group of boxes."""
    return 3 * d + 2


@compiled
def width_of(full, d, covariance):
    """Frobenius' norm of S^2, its fourth root in numbers of S: or the largest of variances.

    covariance (d d,), of which the lower triangle is read, or variances (d,).
    """
    total = 0.0
    for r in range(d):
        if not full:
            total = max(total, covariance[r])
            continue
        for q in range(r + 1):
            x = 0.0
            for s in range(d):
                x += covariance[max(r, s) * d + min(r, s)] * covariance[max(q, s) * d + min(q, s)]
            total += x * x if q == r else 2 * x * x
    return math.sqrt(math.sqrt(total)) if full else total


@compiled
def draw(full, d, b, components, born, boxes):
    """Draw the box of tile b around those of its components that are not gone."""
    weights, means, covariances, widths = components
    size, stride = (d * d, d + 1) if full else (d, 1)
    start, stop = b * LANES, min(len(weights), (b + 1) * LANES)
    at = b // LANES * LANES * box_rows(d) + b % LANES
    for r in range(d):
        low, high, most = np.inf, -np.inf, 0.0
        for i in range(start, stop):
            if born[i] < GONE:
                low, high = min(low, means[i * d + r]), max(high, means[i * d + r])
                most = max(most, covariances[i * size + r * stride])
        boxes[at] = low if low <= high else _OUTSIDE
        boxes[at + LANES] = high if low <= high else _OUTSIDE
        boxes[at + 2 * LANES] = most if low <= high else 1.0
        at += 3 * LANES
    lightest, widest = np.inf, 0.0
    for i in range(start, stop):
        if born[i] < GONE:
            lightest, widest = min(lightest, weights[i]), max(widest, widths[i])
    boxes[at] = lightest if widest > 0 else 1.0
    boxes[at + LANES] = widest if widest > 0 else 1.0


@compiled
def bounds(runnalls, full, d, weight, mean, covariance, width, boxes, out):
    """At most what it costs to merge a component with any of a tile's, to `out`: a number a tile.

    mean (d,), covariance (d d,) or (d,), and width of the component.
    """
    one, nothing = splat8(1.0), splat8(0.0)
    mine, own, inverse = splat8(weight), splat8(width), splat8(1 / weight)
    shift, slack = splat8(_EXPONENT_OF_TWO), splat8(_SLACK)
    half = splat8(_HALF * math.log(2) if runnalls else _HALF)
    at, stride = 0, d + 1 if full else 1
    for first in range(0, len(out), LANES):
        last = at + 3 * d * LANES
        theirs, widths = load8(boxes, last), load8(boxes, last + LANES)
        other = div(one, theirs)
        p, most = nothing, nothing
        for r in range(d):
            m, v = spread8(mean, r), spread8(covariance, r * stride)
            below, above = sub(load8(boxes, at), m), sub(m, load8(boxes, at + LANES))
            away = maximum(maximum(below, above), nothing)
            square, variances = mul(away, away), load8(boxes, at + 2 * LANES)
            p = add(square, p)
            if runnalls:
                most = maximum(div(square, fma(v, other, mul(variances, inverse))), most)
            else:
                most = maximum(mul(square, add(div(mine, v), div(theirs, variances))), most)
            at += 3 * LANES
        at += 2 * LANES
        weights = add(mine, theirs)
        if runnalls:
            most = maximum(div(p, fma(own, other, mul(widths, inverse))), most)
            x = add(one, div(most, weights))
            # log2 x >= exponent + mantissa - 1
            least = mul(weights, add(sub(exponent(x), shift), mantissa(x)))
        else:
            least = maximum(mul(p, add(div(mine, own), div(theirs, widths))), most)
        bound = maximum(sub(mul(half, least), mul(slack, weights)), nothing)
        store8(out, first, minimum8(bound, splat8(_HIGHEST)))
