"""Columns: variational Bayes of weighted cells of one feature, all iterations in one call.

A column has few cells: what Python does between two iterations would take several times as long as the
iterations themselves. The E-step is `spans.diag_span`; what follows it are the equations of
`gmm_core.variational.normal_wishart` and `weight_priors` for one feature and a Dirichlet process.
"""

from __future__ import annotations

import math

import numpy as np

from gmm_core.kernels.options import compiled, entry, making
from gmm_core.kernels.spans import diag_span, in_given_order

__all__ = ["CONVERGED", "FURTHER", "LEFT", "ascend"]

FURTHER, CONVERGED, LEFT = 0, 1, 2  # how a call ended: at the last iteration, by the gain, in doubt

_BIT = math.log(2)
_NOTHING = -1e300  # log-density of no background
_LIMIT = 1e-13  # shares below it change no digit
_FLOOR = -1e30  # log weight that stands for all below it
_TRACE = 10 * float(np.finfo(np.float64).eps)
_CENTRAL, _FURTHEST, _IDLE = 1e4, 1e6, 1e-9  # as gmm_core.fitting.compiled has them
_LONGEST = 1e10


@compiled
def digamma(x):
    """Derivative of the logarithm of the gamma function, for x above 0."""
    below = 0.0
    while x < 10.0:
        below += 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = 1 / 12 - y * (
        1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))
    )
    return math.log(x) - 0.5 / x - y * series - below


@compiled
def expected_logs(concentration, logs):
    """Expected log weights (k,) of a Dirichlet process, from the parameters (2, k) of its Betas."""
    before = 0.0
    for j in range(len(logs)):
        both = digamma(concentration[0, j] + concentration[1, j])
        logs[j] = max(digamma(concentration[0, j]) - both + before, _FLOOR)
        before += digamma(concentration[1, j]) - both


@compiled
def log_norm(state):
    """Log of what the density of the posterior is divided by."""
    concentration, precision, _, freedom, variance = state
    total = 0.0
    for j in range(len(freedom)):
        a, b = concentration[0, j], concentration[1, j]
        total += math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        half = -0.5 * (math.log(variance[j]) + math.log(freedom[j]))
        total += freedom[j] * (half + 0.5 * _BIT) + math.lgamma(0.5 * freedom[j])
        total -= 0.5 * math.log(precision[j])
    return total


@making
def expectation(cells, state, offsets, sums, ends):
    """One E-step: `sums` (k, 3) weight, mean and scatter, and in `ends` the log-likelihood, nats.

    Returns whether they are as precise as they have to be.
    """
    values, weights, scaling, spare = cells
    concentration, precision, means, freedom, variance = state
    k, width = len(means), len(scaling[0])
    whiteners, bias, bits, origins, moments = spare
    expected_logs(concentration, offsets)
    common = True
    for j in range(k):
        white = 1.0 / math.sqrt(variance[j])
        spread = digamma(0.5 * freedom[j]) - 1.0 / precision[j] - math.log(math.pi)
        offsets[j] += math.log(white) - 0.5 * math.log(freedom[j]) + 0.5 * spread
        whiteners[2 * j], whiteners[2 * j + 1] = white, white
        bias[2 * j], bias[2 * j + 1], bits[j] = -white * means[j], 0.0, offsets[j] / _BIT
        common = common and bias[2 * j] * bias[2 * j] <= _CENTRAL
        if not (abs(bias[2 * j]) <= _LONGEST and white <= _LONGEST * _LONGEST):
            return False
    for j in range(k):
        origins[j * width] = 0.0 if common else means[j]
    moments[:], ends[:] = 0.0, 0.0
    model = (whiteners, bias, bits, origins, _NOTHING)
    order = in_given_order(_LIMIT)
    diag_span(values, 2, weights, order, scaling, model, _LIMIT, common, moments, ends)
    ends[0] *= _BIT
    good = ends[0] > _NOTHING * 1e-10
    for j in range(k):
        weight, first, second = moments[5 * j], moments[5 * j + 1], moments[5 * j + 2]
        moved = first / max(weight, 1e-300)
        scatter = second - weight * moved * moved
        least = max(scatter, weight * variance[j])
        good = good and (weight <= _IDLE or weight * moved * moved <= _FURTHEST * least)
        sums[j, 0], sums[j, 1] = weight, origins[j * width] + moved
        sums[j, 2] = scatter + moments[5 * j + 4]
    return good


@compiled
def entropy(sums, ends, state, offsets):
    """Entropy of the responsibilities that `sums` were made with, nats."""
    _, _, means, _, variance = state
    total = ends[0]
    for j in range(len(means)):
        away = sums[j, 1] - means[j]
        squared = (sums[j, 2] + sums[j, 0] * away * away) / variance[j]
        total -= sums[j, 0] * offsets[j] - 0.5 * squared
    return total


@compiled
def maximisation(sums, prior, state):
    """The posterior, into `state`."""
    value, precision_, mean_, freedom_, variance_, added = prior
    concentration, precision, means, freedom, variance = state
    behind = 0.0
    for j in range(len(means) - 1, -1, -1):
        rows = sums[j, 0] + _TRACE
        concentration[0, j], concentration[1, j] = 1.0 + rows, value + behind
        behind += rows
        precision[j] = precision_ + rows
        away = sums[j, 1] - mean_
        scatter = sums[j, 2] + variance_ + rows * added
        scatter += rows * precision_ / precision[j] * away * away
        means[j] = mean_ + rows / precision[j] * away
        freedom[j] = freedom_ + rows
        variance[j] = scatter / freedom[j]


@entry
def ascend(values, weights, scaling, prior, unit, volume, state, bound, tol, trace):
    """Iterations until one gains less than `tol` nats, at most as many as `trace` has places.

    Parameters
    ----------
    values : 2 m, of each cell its mean and the deviation within it.
    weights : (m,), or none for ones.
    scaling : as `diag_span` has it.
    prior : of the weights, its concentration; of mean and variance as in `Prior`; what blurs a cell.
    unit : the caller's weight of a cell of weight 1.
    volume : log of the standardised unit's size.
    state : concentration (2, k), mean precision, means, degrees of freedom and variances (k,), which
        are written over.
    bound : the lower bound before.
    trace : takes the lower bound after each iteration.

    Returns the number of iterations and how it ended. `LEFT`: the last E-step was not precise enough
    to go on, and has left the state as it was.
    """
    k = len(state[2])
    width = len(scaling[0])
    spare = (np.empty(2 * k), np.empty(2 * k), np.empty(k), np.zeros(k * width), np.empty(5 * k))
    cells = (values, weights, scaling, spare)
    offsets, sums, ends = np.empty(k), np.empty((k, 3)), np.empty(2)
    for step in range(len(trace)):
        if not expectation(cells, state, offsets, sums, ends):
            return step, LEFT
        ends[0] *= unit
        for j in range(k):
            sums[j, 0] *= unit
            sums[j, 2] *= unit
        found = entropy(sums, ends, state, offsets)
        maximisation(sums, prior, state)
        found += log_norm(state) - volume * state[3].sum()
        trace[step] = found
        if abs(found - bound) < tol:
            return step + 1, CONVERGED
        bound = found
    return len(trace), FURTHER
