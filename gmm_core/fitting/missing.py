"""Missing values: exact EM over what rows have, and scores of rows that lack some features.

A row's likelihood is that of its observed features, the missing ones integrated out. In an M-step
each missing part enters by its conditional mean and, in the scatter, its conditional covariance,
given the observed part and the component (Little and Rubin 2002, section 8.2.1 and 11.2;
Ghahramani and Jordan 1994, equations 10 to 13). Both come from one triangular factor, as in
`gmm_core.conditioning`: of a covariance L L', the observed features first, the observed block of L
whitens, the block below it carries the regression, and the last one is the conditional deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.fitting.estep import NO_BACKGROUND, Joint, Kernel, Statistics, log_joint
from gmm_core.fitting.patterns import Pattern, patterns_of
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind, log_normalise

__all__ = ["marginalising", "observed_log_joint"]

_BLOCK = 65_536  # complete rows that a kernel gets at once
_NUMBERS = 8_192  # rows times components that are held at once
_LOG_TWO_PI = float(np.log(2 * np.pi))
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Conditional:
    """The components' joint split by a pattern: its observed features, then the others given them.

    Parameters
    ----------
    observed : offsets, means (k, p) and whiteners of the marginals.
    means : (k, q) of the missing features.
    regression : (k, q, p), what a missing feature gains per unit of an observed one; `None` for 0.
    covariance : (k, q, q) or (k, q), of the missing features given the observed.
    """

    observed: Joint
    means: Array
    regression: Array | None
    covariance: Array

    @classmethod
    def of(cls, joint: Joint, pattern: Pattern, log_widths: Array) -> Conditional:
        """`log_widths` (d,), or none, are those of the background's box."""
        full = joint.whiteners.ndim == 3
        split = _split_full if full else _split_diag
        whiteners, regression, covariance = split(joint.whiteners, pattern)
        gone = len(pattern.absent)
        offsets = joint.offsets + 0.5 * gone * _LOG_TWO_PI
        offsets = offsets + _log_det(whiteners) - _log_det(joint.whiteners)
        background = joint.background
        if background > NO_BACKGROUND:
            background += float(log_widths[pattern.absent].sum())
        seen = Joint(offsets, joint.means[:, pattern.observed], whiteners, background)
        return cls(seen, joint.means[:, pattern.absent], regression, covariance)

    def whitened(self, x: Array) -> tuple[Array, Array]:
        """(m, k) or (m, k + 1) logs of weight times density of x (m, p); x less the means (k, m, p)."""
        delta = x - self.observed.means[:, None, :]
        white = self.observed.whiteners
        z = delta * white[:, None, :] if white.ndim == 2 else delta @ white.swapaxes(1, 2)
        result = self.observed.offsets - 0.5 * np.einsum("kmp,kmp->mk", z, z)
        if self.observed.background > NO_BACKGROUND:
            result = np.column_stack([result, np.full(len(x), self.observed.background)])
        return result, delta

    def statistics(self, x: Array, weight: Array, pattern: Pattern) -> Statistics:
        """Of rows of which x (m, p) is observed, with weights (m,)."""
        joint, delta = self.whitened(x)
        density, log_shares = log_normalise(joint)
        shares = np.exp(log_shares) * weight[:, None]
        own = shares[:, : len(self.means)].T
        filled = np.empty((*own.shape, len(pattern.observed) + len(pattern.absent)))
        filled[:, :, pattern.observed] = x
        filled[:, :, pattern.absent] = self.means[:, None, :]
        if self.regression is not None:
            filled[:, :, pattern.absent] += delta @ self.regression.swapaxes(1, 2)
        mass = own.sum(axis=1)
        mean = (own[:, None, :] @ filled)[:, 0] / np.maximum(mass, _TINY)[:, None]
        filled -= mean[:, None, :]
        behind = float(shares[:, len(self.means) :].sum())
        scatter = self._scatter(filled, own, mass, pattern.absent)
        return Statistics(float(weight @ density), mass, mean, scatter, behind)

    def _scatter(self, centred: Array, own: Array, mass: Array, absent: NDArray[np.intp]) -> Array:
        """Scatter of the filled rows (k, m, d), and what the missing values vary around them."""
        if self.covariance.ndim == 2:
            scatter: Array = np.einsum("km,kmd->kd", own, np.square(centred))
            scatter[:, absent] += mass[:, None] * self.covariance
            return scatter
        centred *= np.sqrt(own)[:, :, None]
        scatter = centred.swapaxes(1, 2) @ centred
        scatter[:, absent[:, None], absent] += mass[:, None, None] * self.covariance
        return scatter


def marginalising(complete: Kernel, log_widths: Array) -> Kernel:
    """The kernel for rows that lack values; `complete` serves those that lack none.

    Holds one chunk times k, or some chunks of complete rows, at a time. An E-step factorises k
    matrices per pattern of missing features, so it is fast when the patterns are few.
    """

    def kernel(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
        k, d = joint.means.shape
        total = Statistics.nothing(k, d, kind)
        for pattern in rows.patterns:
            if not pattern.absent.size:
                for block in pattern.blocks(_BLOCK):
                    total += complete(rows.part(block), joint, kind)
                continue
            conditional = Conditional.of(joint, pattern, log_widths)
            for block in pattern.blocks(max(1, _NUMBERS // k)):
                x = rows.at(block)[:, pattern.observed]
                weight = np.ones(len(block)) if rows.weight is None else rows.weight[block]
                total += conditional.statistics(x, weight, pattern)
        return total

    return kernel


def observed_log_joint(X: Array, joint: Joint, kind: CovarianceKind) -> Array:
    """As `estep.log_joint`, of what rows X (m, d) have; NaN is missing.

    A row without any value has density 1, and the components' weights.

    >>> from gmm_core.gaussian import kind_of
    >>> offsets, means = np.log([0.5, 0.5]) - np.log(2 * np.pi), np.array([[0.0, 0.0], [4.0, 0.0]])
    >>> joint, rows = Joint(offsets, means, np.ones((2, 2))), np.array([[2.0, np.nan], [np.nan] * 2])
    >>> observed_log_joint(rows, joint, kind_of("diag")).round(2).tolist()
    [[-3.61, -3.61], [-0.69, -0.69]]
    """
    if not np.isnan(X.min(initial=0.0)):
        return log_joint(X, joint, kind)
    result = np.empty((len(X), len(joint.means)))
    for pattern in patterns_of(X):
        seen = Conditional.of(joint, pattern, np.zeros(X.shape[1])).observed
        result[pattern.index] = log_joint(X[pattern.index][:, pattern.observed], seen, kind)
    return result


def _split_full(whiteners: Array, pattern: Pattern) -> tuple[Array, Array, Array]:
    p = len(pattern.observed)
    order = np.concatenate([pattern.observed, pattern.absent])
    roots = np.linalg.inv(whiteners)[:, order]
    # S = L L' = R'R with R from L' = Q R: no product of L with itself is ever factorised.
    lower: Array = np.asarray(np.linalg.qr(roots.swapaxes(1, 2), mode="r")).swapaxes(1, 2)
    seen, across, rest = lower[:, :p, :p], lower[:, p:, :p], lower[:, p:, p:]
    inverse: Array = np.asarray(np.tril(np.linalg.inv(seen)), dtype=np.float64)
    inverse = inverse * np.sign(np.diagonal(inverse, axis1=1, axis2=2))[:, :, None]
    solved: Array = np.asarray(
        np.linalg.solve(seen.swapaxes(1, 2), across.swapaxes(1, 2)), dtype=np.float64
    ).swapaxes(1, 2)
    return inverse, solved, rest @ rest.swapaxes(1, 2)


def _split_diag(whiteners: Array, pattern: Pattern) -> tuple[Array, None, Array]:
    return whiteners[:, pattern.observed], None, 1 / np.square(whiteners[:, pattern.absent])


def _log_det(whiteners: Array) -> Array:
    diagonal = whitener_diagonal(whiteners)
    logs: Array = np.log(diagonal).sum(axis=1)
    return logs
