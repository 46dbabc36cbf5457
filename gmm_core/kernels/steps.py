"""Between two E-steps of EM over few rows: what leads from sums to the model of the next, in one call.

On some thousand rows the arithmetic of a step takes less time than the calls around it. What a step is,
and when EM ends, `gmm_core.fitting` says. Here the ordinary step is made until one gains less than the
tolerance, which the caller must judge, and up to one that needs more than this: a component that runs
empty or has no width, or numbers for which only the plain kernel is precise.

A state is a row of float64: of parameters weights k, means k d, covariances k d d or k d; of
statistics weight, mean, scatter, in the same places. There are two of each: the last and the one before.
"""

from __future__ import annotations

import math

from gmm_core.kernels.options import compiled, entry
from gmm_core.kernels.vectors import clear

__all__ = ["between"]

_BIT = math.log(2)  # nats
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@entry
def between(
    first, full, d, limits, added, tol, scratch, white,
    model, moments, ends, parameters, statistics, trace, at,
):  # fmt: skip
    """Take the sums of an E-step, unless it is the `first` that is prepared, and prepare the next.

    Parameters
    ----------
    full : whether covariances are matrices.
    limits : numbers of `gmm_core.fitting.compiled`.
    added : d float64, what an M-step adds to the variances.
    tol : the gain, in nats per row, below which the caller judges.
    scratch, white : float64, room for d d + d numbers, and for the whiteners.
    model, moments, ends : as `spans` has them; the sums are set to 0.
    parameters, statistics : (2, state). The statistics to start from are on side 0.
    trace : float64, the log-likelihood per row to start from, then room for those of the steps.
    at : int64: steps made; the side that holds the last; whether the sums are to be about 0.

    Returns whether to make the E-step.
    """
    empty, longest, furthest, lost, distant, idle, tiny = limits
    _, _, offsets, origins, _ = model
    k = len(offsets)
    if not first:
        side = 1 - at[1]
        bounds = (lost, distant, idle, tiny)
        if not _centred(k, d, full, bounds, white, origins, moments, ends, statistics[side]):
            return False
        at[0], at[1] = at[0] + 1, side
        trace[at[0]] = _BIT * ends[0] / _total(k, statistics[side])
        if at[0] == len(trace) - 1 or not trace[at[0]] - trace[at[0] - 1] >= tol:
            return False
    state = parameters[1 - at[1]]
    if not _maximised(k, d, d + 1 if full else 1, empty, statistics[at[1]], added, state):
        return False
    if not (_whitened(k, d, state, white, scratch) if full else _narrowed(k, d, state, white)):
        return False
    at[2] = _modelled(k, d, full, longest, furthest, white, state, model)
    clear(moments, 0, len(moments))
    clear(ends, 0, 2)
    return at[2] >= 0


@compiled
def _maximised(k, d, stride, empty, found, added, state):
    """The M-step; `stride` leads from a variance to the next. False where a component runs empty."""
    first, size = k + k * d, (len(found) - k - k * d) // k
    for c in range(k):
        if not found[c] >= empty:
            return False
    total = _total(k, found)
    for c in range(k):
        state[c] = found[c] / total
        at = first + c * size
        for i in range(size):
            state[at + i] = found[at + i] / found[c]
        for i in range(d):
            state[at + i * stride] += added[i]
    for i in range(k, first):
        state[i] = found[i]
    return True


@compiled
def _total(k, found):
    total = 0.0
    for c in range(k):
        total += found[c]
    return total


@compiled
def _whitened(k, d, state, white, scratch):
    """As `inverse_cholesky`, by the correlations. False where a matrix is not positive definite."""
    for c in range(k):
        at = c * d * d
        if not _rooted(d, state, k + k * d + at, scratch):
            return False
        for j in range(d):
            deviation = scratch[d * d + j]
            for i in range(j, d):
                left = 1.0 if i == j else 0.0
                for m in range(j, i):
                    left -= scratch[i * d + m] * white[at + m * d + j] * deviation
                white[at + i * d + j] = left / scratch[i * d + i] / deviation
    return True


@compiled
def _rooted(d, state, at, scratch):
    """The Cholesky factor of the correlations, and the deviations; False where there is none."""
    for i in range(d):
        if not state[at + i * d + i] > 0:
            return False
        scratch[d * d + i] = math.sqrt(state[at + i * d + i])
        for j in range(i + 1):
            left = state[at + i * d + j] / scratch[d * d + i] / scratch[d * d + j]
            for m in range(j):
                left -= scratch[i * d + m] * scratch[j * d + m]
            if j < i:
                scratch[i * d + j] = left / scratch[j * d + j]
            elif left > 0:
                scratch[i * d + i] = math.sqrt(left)
            else:
                return False
    return True


@compiled
def _narrowed(k, d, state, white):
    """Reciprocal deviations. False where a variance is not above 0."""
    for i in range(k * d):
        variance = state[k + k * d + i]
        if not variance > 0:
            return False
        white[i] = 1 / math.sqrt(variance)
    return True


@compiled
def _modelled(k, d, full, longest, furthest, white, state, model):
    """The span kernels' model of a state. Returns 1 where moments may be summed about 0, 0 where they
    are about the means; -1 where differences of whitened rows and means would be imprecise."""
    whiteners, bias, offsets, origins, _ = model
    rows, width = len(bias) // k, len(origins) // k
    central = 1
    for c in range(k):
        logs, distance = math.log(state[c]) - d * _HALF_LOG_TWO_PI, 0.0
        for i in range(d):
            length, moved = 0.0, 0.0
            for j in range(0 if full else i, i + 1):
                w, mean = white[(c * d + i) * d + j if full else c * d + i], state[k + c * d + j]
                if not abs(w) <= longest * longest:
                    return -1
                length += abs(w) * abs(mean)
                moved += w * mean
                whiteners[(c * rows + i) * rows + j if full else c * d + i] = w
            if not length <= longest:
                return -1
            distance += moved * moved
            bias[c * rows + i] = -moved
            logs += math.log(white[(c * d + i) * d + i if full else c * d + i])
        if not distance <= furthest:
            central = 0
        offsets[c] = logs / _BIT
    for c in range(k):
        for i in range(d):
            origins[c * width + i] = 0.0 if central else state[k + c * d + i]
    return central


@compiled
def _centred(k, d, full, bounds, white, origins, moments, ends, found):
    """Statistics of the spans' sums. False where they lack precision."""
    lost, distant, idle, tiny = bounds
    if not ends[0] > lost:
        return False
    width, length = len(origins) // k, len(moments) // k
    size = d + 1 + ((d + 1) & 1)
    for c in range(k):
        a = c * length
        weight = moments[a + d * size + d] if full else moments[a]
        found[c] = weight
        by = weight if weight > tiny else tiny
        for i in range(d):
            mean = (moments[a + d * size + i] if full else moments[a + 1 + 2 * i]) / by
            own = white[(c * d + i) * d + i if full else c * d + i]
            second = moments[a + (i * size + i if full else 2 + 2 * i)]
            spread, least = second - weight * mean * mean, weight / (own * own)
            least = least if spread <= least else spread
            if weight > idle and not weight * mean * mean <= distant * least:
                return False
            found[k + c * d + i] = origins[c * width + i] + mean
            if not full:
                found[k + k * d + c * d + i] = spread
                continue
            at = k + k * d + c * d * d
            for j in range(i + 1):
                other = moments[a + d * size + j] / by
                value = moments[a + i * size + j] - weight * mean * other
                found[at + i * d + j] = value
                found[at + j * d + i] = value
    return True
