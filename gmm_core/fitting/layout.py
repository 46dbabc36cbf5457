"""Layout: models and sums as the compiled kernel has them (`gmm_core.kernels.spans`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import lower
from gmm_core.extras import optional
from gmm_core.fitting.estep import NO_BACKGROUND, Joint
from gmm_core.fitting.rows import Rows

__all__ = [
    "BIT",
    "NOTHING",
    "diag_arguments",
    "full_arguments",
    "kernels",
    "of_diag",
    "of_full",
    "scaling_of",
    "whitened_means",
]

BIT = float(np.log(2))  # nats
# The log joint of no background.
NOTHING = {np.dtype(np.float64): -1e300, np.dtype(np.float32): -3e38}


def kernels(module: str) -> Any:
    """A module of `gmm_core.kernels`; raises `MissingExtra` without numba."""
    return optional(f"gmm_core.kernels.{module}", "Compiled kernels", "numba")


def whitened_means(joint: Joint) -> Array:
    """(k, d)"""
    if joint.whiteners.ndim == 2:
        return joint.whiteners * joint.means
    white: Array = np.matmul(joint.whiteners, joint.means[:, :, None])[:, :, 0]
    return white


def _common(rows: Rows, joint: Joint, origin: Array) -> tuple[Any, ...]:
    kind, (k, d) = rows.values.dtype, joint.means.shape
    scaling = scaling_of(rows)
    origins = np.zeros((k, len(scaling[0])), kind)
    origins[:, :d] = origin
    background = NOTHING[kind] if joint.background == NO_BACKGROUND else joint.background / BIT
    rest = ((joint.offsets / BIT).astype(kind), origins.reshape(-1), kind.type(background))
    return scaling, rest


def scaling_of(rows: Rows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """How the kernels standardise: shift, inverse, ones."""
    kind, d = rows.values.dtype, rows.n_features
    width = kernels("tiles").padded(d + 1, kind)
    shift, inverse, ones = np.zeros(width, kind), np.zeros(width, kind), np.zeros(width, kind)
    shift[:d], inverse[:d], ones[d] = rows.shift, 1 / rows.scale, 1
    return shift, inverse, ones


def full_arguments(rows: Rows, joint: Joint, origin: Array) -> tuple[Any, ...]:
    """Scaling and model of `full_span`; moments are to be summed about `origin` (k, d)."""
    kind, (k, d) = rows.values.dtype, joint.means.shape
    even = d + d % 2
    whiteners, bias = np.zeros((k, even, even), kind), np.zeros((k, even), kind)
    whiteners[:, :d, :d] = joint.whiteners
    bias[:, :d] = -whitened_means(joint)
    scaling, rest = _common(rows, joint, origin)
    return scaling, (whiteners.reshape(-1), bias.reshape(-1), *rest)


def diag_arguments(rows: Rows, joint: Joint, origin: Array) -> tuple[Any, ...]:
    """Scaling and model of `diag_span`."""
    kind, (k, d) = rows.values.dtype, joint.means.shape
    whiteners = joint.whiteners.reshape(k, d)
    bias = -whitened_means(joint).astype(kind)
    scaling, rest = _common(rows, joint, origin)
    return scaling, (whiteners.astype(kind).reshape(-1), bias.reshape(-1), *rest)


def of_full(moments: Array, k: int, d: int) -> tuple[Array, Array, Array]:
    """Weights (k,), first (k, d) and second moments (k, d, d) from the sums of `full_span`."""
    size = d + 1 + (d + 1) % 2
    sums = moments.reshape(k, size, size)
    below = sums[:, :d, :d]
    second: Array = np.where(lower(d), below, below.transpose(0, 2, 1))
    return sums[:, d, d], sums[:, d, :d], second


def of_diag(moments: Array, k: int, d: int) -> tuple[Array, Array, Array]:
    """Weights (k,), first and second moments (k, d) from the sums of `diag_span`."""
    sums = moments.reshape(k, 1 + 2 * (d + d % 2))
    return sums[:, 0], sums[:, 1 : 2 * d : 2], sums[:, 2 : 2 * d + 1 : 2]
