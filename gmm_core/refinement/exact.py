"""Exact moments: a mixture mapped affinely is a mixture, so its mean and covariance can be chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gmm_core.arrays import Array
from gmm_core.refinement.parts import Model

__all__ = ["with_unit_moments"]


def with_unit_moments(model: Model) -> Model:
    """The model mapped affinely to mean 0 and covariance I, or to variances 1 when it has no more.

    The map is the one nearest to none that is triangular; for a model that nearly has these moments
    it changes next to nothing. Raises `LinAlgError` when the model's covariance is singular.
    """
    means = model.means - model.weights @ model.means
    weighted = means * model.weights[:, None]
    if not model.full:
        scale = 1 / np.sqrt(model.weights @ model.covariances + (weighted * means).sum(axis=0))
        return replace(model, means=means * scale, covariances=model.covariances * np.square(scale))
    within = np.tensordot(model.weights, model.covariances, 1)
    factor: Array = np.linalg.inv(np.linalg.cholesky(within + weighted.T @ means))
    covariances = factor @ model.covariances @ factor.T
    covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
    return replace(model, means=means @ factor.T, covariances=covariances)
