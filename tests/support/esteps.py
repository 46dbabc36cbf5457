"""E-steps to compare kernels on: rows with weights, and what they are measured against."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mixtures import random_mixture

from gmm_core.fitting.estep import NO_BACKGROUND, Joint, Parameters, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceType, kind_of

WEIGHTS = ("none", "random", "with zeros", "huge spread")
# Relative to what conditioning allows; and the largest share that the moments may leave out.
ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}
LEFT_OUT = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 1e-8}


def weights_of(how: str, n: int, seed: int) -> np.ndarray | None:
    """(n,) row weights of which at least one is not 0."""
    rng = np.random.default_rng(seed)
    if how == "none":
        return None
    if how == "huge spread":
        return 10.0 ** rng.uniform(-12, 12, n)
    weight = rng.random(n) + 0.01
    if how == "with zeros":
        weight[rng.random(n) < 0.3] = 0
        weight[rng.integers(n)] = 1
    return weight


def plain_rows(X: Any, weight: np.ndarray | None = None) -> Rows:
    """Rows that are their own standardised ones."""
    values = np.asarray(X)
    return Rows(values, weight, np.zeros(values.shape[1]), np.ones(values.shape[1]))


def joint_of(weights: Any, means: Any, covariances: Any, kind: CovarianceType = "full") -> Joint:
    """The joint of a mixture in standardised space."""
    arrays = (np.asarray(part, np.float64) for part in (weights, means, covariances))
    return Parameters(*arrays).joint(kind_of(kind))


def random_estep(
    seed: int,
    kind: CovarianceType,
    *,
    n: int,
    d: int,
    k: int,
    dtype: Any = np.float64,
    weights: str = "none",
    background: bool = False,
) -> tuple[Rows, Joint]:
    """Rows of a mixture, and the joint of one a little beside it."""
    rng = np.random.default_rng(seed)
    truth, how = random_mixture(seed, k, d, kind), kind_of(kind)
    X = (truth.sample(n, seed) + 3.0).astype(dtype)
    rows, _ = Rows.of(X, weights_of(weights, n, seed), 1e-6, 1, isotropic=how.isotropic)
    means = (truth.means + 3.0 - rows.shift) / rows.scale
    covariances = how.rescaled(truth.covariances, 1 / rows.scale)
    near = means + rng.normal(0, 0.1, (k, d)) * np.sqrt(how.variances(covariances, k, d))
    joint = Parameters(truth.weights, near, how.with_added(covariances, np.full(d, 1e-6))).joint(
        how
    )
    if background:  # as dense as the components are a few deviations from their means
        joint = replace(joint, background=float(np.median(joint.offsets)) - 0.5 * d - 3)
    return rows, joint


def assert_agree(got: Statistics, want: Statistics, rows: Rows, joint: Joint) -> None:
    """Up to rounding: of sums, of rows whitened, and of moments moved to their own mean."""
    dtype = rows.values.dtype
    rounding, total = ROUNDING[dtype], want.weight.sum() + want.background
    assert abs(got.log_likelihood - want.log_likelihood) <= rounding * (
        total + abs(want.log_likelihood)
    )
    assert np.abs(got.weight - want.weight).max() <= rounding * total
    assert abs(got.background - want.background) <= rounding * total
    if joint.background == NO_BACKGROUND:
        assert got.background == 0
    assert (got.mean.shape, got.scatter.shape) == (want.mean.shape, want.scatter.shape)
    said = want.weight > 1e-3  # the others say nothing of the rows
    weight, mean, scatter = (part[said] for part in (want.weight, want.mean, want.scatter))
    if not said.any():
        return
    own = joint.whiteners[said]
    if own.ndim == 3:
        own = np.diagonal(own, axis1=1, axis2=2)
        variance = np.diagonal(scatter, axis1=1, axis2=2) / weight[:, None]
    else:
        variance = scatter / weight[:, None]
    deviation = np.sqrt(np.maximum(variance, 1 / np.square(own)))
    from_zero = 1 + ((np.abs(joint.means[said]) + np.abs(mean)) / deviation).max(axis=1)
    moved = np.square((joint.means[said] - mean) / deviation).max(axis=1)
    lost = LEFT_OUT[dtype] * total / weight
    length = np.abs(rows.at(slice(None))).max() + np.abs(joint.means).max()
    allowed = (rounding * from_zero)[:, None] * deviation + (lost * length)[:, None]
    assert (np.abs(got.mean[said] - mean) <= allowed).all()
    allowed = rounding * (from_zero + moved)
    if scatter.ndim == 3:
        unit = deviation[:, :, None] * deviation[:, None, :]
        allowed, lost, weight = (part[:, None, None] for part in (allowed, lost, weight))
    else:
        unit, allowed, lost, weight = (
            np.square(deviation),
            *(part[:, None] for part in (allowed, lost, weight)),
        )
    difference = np.abs(got.scatter[said] - scatter) / weight
    assert (difference <= allowed * unit + lost * length**2).all()


def same_bits(a: Statistics, b: Statistics) -> bool:
    """Whether two statistics are equal to the last bit."""
    return (a.log_likelihood, a.background) == (b.log_likelihood, b.background) and all(
        x.tobytes() == y.tobytes()
        for x, y in ((a.weight, b.weight), (a.mean, b.mean), (a.scatter, b.scatter))
    )


def before_a_wall(values: np.ndarray) -> np.ndarray:
    """The same rows (n, d), with memory behind them that ends the process that reads it."""
    pages = values.nbytes // mmap.PAGESIZE + 1
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = pages * mmap.PAGESIZE - values.nbytes
    copy = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
    copy[:] = values
    assert copy.flags.writeable
    wall = ctypes.c_void_p(copy.ctypes.data + copy.nbytes)
    assert ctypes.CDLL(None, use_errno=True).mprotect(wall, mmap.PAGESIZE, 0) == 0
    return copy


def said_by(program: str) -> str:
    """What a program prints in a process of its own, which may end it."""
    tests = Path(__file__).parents[1]
    folders = os.pathsep.join(str(tests / name) for name in ("support", "core"))
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return ended.stdout.strip()
