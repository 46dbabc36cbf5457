"""Passes: what models make of parts, in numpy or, for `Parts.compiled`, in compiled code.

Log joints are log weight plus the mean over the part of the component's log-density, in nats.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import MissingExtra
from gmm_core.extras import optional
from gmm_core.refinement.parts import Model, Parts

__all__ = ["compiles", "log_density", "log_joint", "nearest", "shared"]

_BIT = math.log(2)  # nats
_NOTHING = np.empty(0)


def log_joint(parts: Parts, model: Model) -> Array:
    """(k, n) log joints; raises `InvalidInput` when a covariance is not positive definite."""
    joint: Array = _coefficients(model) @ parts.features
    return joint


def log_density(parts: Parts, model: Model) -> Array:
    """(n,) log of the sum over components of exp(log joint); raises as `log_joint`."""
    if parts.compiled:
        return _BIT * _compiled("DENSITY", parts, _coefficients(model), len(parts))[0]
    joint = log_joint(parts, model)
    top = joint.max(axis=0)
    density: Array = top + np.log(np.exp(joint - top).sum(axis=0))
    return density


def shared(parts: Parts, model: Model) -> tuple[Array, float]:
    """The E-step: (k, q) sums of responsibility times weight times features, for `Parts.merged`; and
    the mean of `log_density`, in nats. Raises as `log_joint`."""
    if parts.compiled:
        coefficients = _coefficients(model)
        answers = _compiled("SHARE", parts, coefficients, coefficients.size + 1)[0]
        return answers[:-1].reshape(coefficients.shape), _BIT * float(answers[-1])
    joint = log_joint(parts, model)
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint *= parts.weights / total
    return joint @ parts.features.T, float(parts.weights @ (top + np.log(total)))


def nearest(parts: Parts, model: Model) -> tuple[NDArray[np.int64], Array]:
    """(n,) the component under which a part's mean log-density, not weighted, is largest, and that.

    Raises as `log_joint`.
    """
    if parts.compiled:
        best, places = _compiled("NEAREST", parts, model.natural, len(parts))
        return places, _BIT * best
    expected = model.natural @ parts.features
    places = expected.argmax(axis=0)
    return places, expected[places, np.arange(len(parts))]


def _coefficients(model: Model) -> Array:
    """(k, q) with which features make log joints: the first feature is 1."""
    coefficients = model.natural.copy()
    coefficients[:, 0] += np.log(model.weights)
    return coefficients


def compiles() -> bool:
    """Whether compiled code is to be had here."""
    try:
        optional("gmm_core.kernels.parts", "Compiled kernels", "numba")
    except MissingExtra:
        return False
    return True


def _compiled(
    job: str, parts: Parts, coefficients: Array, size: int
) -> tuple[Array, NDArray[np.int64]]:
    kernels = optional("gmm_core.kernels.parts", "Compiled kernels", "numba")
    answers, places = np.empty(size), np.empty(len(parts) if job == "NEAREST" else 0, np.int64)
    kernels.over_parts(
        getattr(kernels, job),
        parts.full,
        parts.means.shape[1],
        parts.weights,
        parts.means.ravel(),
        *parts.widths,
        (_NOTHING if parts.levels is None else parts.levels).ravel(),
        coefficients.ravel() / _BIT,
        answers,
        places,
    )
    return answers, places
