"""Soft refinement: expectation maximisation with Gaussians, or points, as weighted data.

A part p with mean m and covariance S enters the E-step by its expected log-density under component
j, log N(m; j) - tr(S_j^-1 S) / 2, and the M-step with its own covariance. What never falls is the sum
over parts of weight * log sum_j w_j exp(expected log-density): the log-likelihood of points, and
where parts have width a lower bound of their expected log-likelihood (Vasconcelos and Lippman 1998;
Jensen's inequality).
"""

from __future__ import annotations

from dataclasses import dataclass

from gmm_core.errors import InvalidInput
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import shared

__all__ = ["Softened", "soften"]

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
    sums, likelihood = shared(parts, model)
    trace.append(likelihood)
    for _ in range(steps):
        if not sums[:, 0].min() > _EMPTY:
            break
        try:
            moved = parts.merged(sums)
            sums, likelihood = shared(parts, moved)
        except InvalidInput:
            break
        if not likelihood >= trace[-1]:  # rounding, at the end
            break
        model = moved
        trace.append(likelihood)
        if likelihood - trace[-2] < tol:
            break
    return Softened(model, tuple(trace))
