"""A block of one feature from its cells: the summary that `fit_block` gives for the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gmm_core.block import check_varies, report_of
from gmm_core.em import FitResult
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.gaussian import CovarianceType
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.fits import cell_log_likelihood, fit_cells
from gmm_core.summary import BlockSummary, FitReport

__all__ = ["fit_block_cells"]


def fit_block_cells(
    stream: str,
    key: str,
    feature: Feature,
    cells: Cells,
    *,
    k: int,
    covariance_type: CovarianceType = "full",
    regularisation: float = 1e-3,
    restarts: int = 3,
    max_iterations: int = 200,
    tolerance: float = 1e-5,
    seed: int = 0,
    input_digest: str = "",
    fit_fingerprint: str = "",
) -> BlockSummary:
    """Fit a block mixture to the cells of one feature, in feature space; settings as `fit_block`'s.

    Moments and range are those of the rows. The report's log-likelihood is the cells' lower bound
    and what the rows lie above it, to second order.

    Raises
    ------
    InvalidInput : no rows, or some of them have no number in feature space.
    FitFailed : the feature is constant, or no start gave a usable mixture.
    """
    low, high = _checked_range(key, feature, cells)
    moments = cells.moments
    added = regularisation * np.diagonal(moments.covariance)
    found = fit_cells(
        cells, k, covariance_type=covariance_type, reg_covar=added, tol=tolerance, seed=seed,
        max_iter=max_iterations, n_init=restarts,
    )  # fmt: skip
    return BlockSummary(
        stream=stream,
        key=key,
        features=(feature,),
        mixture=found.mixture,
        moments=moments,
        minimum=np.array([low]),
        maximum=np.array([high]),
        regularisation=added,
        fit=_report(found, cells),
        input_digest=input_digest,
        fit_fingerprint=fit_fingerprint,
    )


def _checked_range(key: str, feature: Feature, cells: Cells) -> tuple[float, float]:
    """Least and largest value; raises where rows are bad, or none, or all the same."""
    bad = cells.apart.total
    if bad:
        raise InvalidInput(
            f"feature {feature.name!r} ({feature.transform}) has {bad:.0f} bad values",
            got=cells.apart,
            bound="numbers in the transform's domain",
            remedy="drop or repair these rows, or change the feature's transform",
        )
    if not len(cells):
        raise InvalidInput(f"block {key} has no rows", got=0, bound="at least 1")
    low, high = float(cells.minimum.min()), float(cells.maximum.max())
    check_varies(key, feature, low, high)
    return low, high


def _report(found: FitResult, cells: Cells) -> FitReport:
    return replace(
        report_of(found),
        status=f"{found.status.value}; on {len(cells)} cells",
        log_likelihood=sum(cell_log_likelihood(cells, found.mixture)),
    )
