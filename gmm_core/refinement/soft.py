"""Soft refinement: expectation maximisation with Gaussians, or points, as weighted data.

A part p with mean m and covariance S enters the E-step by its expected log-density under component
j, log N(m; j) - tr(S_j^-1 S) / 2, and the M-step with its own covariance. What never falls is the sum
over parts of weight * log sum_j w_j exp(expected log-density): the log-likelihood of points, and
where parts have width a lower bound of their expected log-likelihood (Vasconcelos and Lippman 1998;
Jensen's inequality).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.refinement.parts import Model, Parts

__all__ = ["Softened", "expected_log_likelihood", "soften"]

_EMPTY = 1e-9  # of all weight: a component that holds less stands for nothing


@dataclass(frozen=True)
class Softened:
    """Where soft refinement ended, and the expected log-likelihood before and after each step."""

    model: Model
    trace: tuple[float, ...]


def soften(parts: Parts, start: Model, *, steps: int, tol: float) -> Softened:
    """At most `steps` steps of EM from a start; ends when one gains less than `tol` nats.

    A step that leaves a component nothing, or no width, is not taken: the model before it stays.
    """
    model, trace = start, []
    shares, likelihood = _shares(parts, model)
    trace.append(likelihood)
    for _ in range(steps):
        if not shares.sum(axis=1).min() > _EMPTY:
            break
        try:
            moved = parts.grouped(shares)
            shares, likelihood = _shares(parts, moved)
        except InvalidInput:
            break
        if not likelihood >= trace[-1]:  # rounding, at the end
            break
        model = moved
        trace.append(likelihood)
        if likelihood - trace[-2] < tol:
            break
    return Softened(model, tuple(trace))


def expected_log_likelihood(parts: Parts, model: Model) -> float:
    """What soft refinement raises, in nats: of points their mean log-likelihood."""
    return _shares(parts, model)[1]


def _shares(parts: Parts, model: Model) -> tuple[Array, float]:
    """(k, n) weights of the parts, shared out by responsibility; and the expected log-likelihood."""
    joint = parts.expected_log_density(model)
    joint += np.log(model.weights)[:, None]
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint *= parts.weights / total
    return joint, float(parts.weights @ (top + np.log(total)))
