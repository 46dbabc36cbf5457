"""Exact expectation maximisation over a frame: an E-step is one Spark job over all rows.

The workers run the compiled E-step on standardised rows and send back sufficient statistics alone,
(weight, mean, scatter) for each component and the log-likelihood; the driver combines them pairwise
and makes the M-step. The loop is that of every other fit (`gmm_core.fitting.loop`): only its kernel
is another one. So the log-likelihood never falls, and where a step gains less than the tolerance
no more are made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Row

from gmm_core.arrays import Array
from gmm_core.em import FitResult, result_of
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.fitting.estep import Joint, Kernel, Statistics
from gmm_core.fitting.loop import Task, run
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import warm_start
from gmm_core.gaussian import CovarianceKind, kind_of
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.spark.carrying import unpack
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.landed import LandedRows
from gmm_core.spark.workers import STATISTICS, expectation
from gmm_core.summary import BlockSummary

__all__ = ["exact_passes", "refined"]


def exact_passes(
    frame: DataFrame | LandedRows,
    features: Sequence[Feature],
    start: Mixture,
    moments: Moments,
    *,
    passes: int,
    regularisation: Array | float = 0.0,
    tolerance: float = 1e-5,
) -> FitResult:
    """EM from `start` over all rows: at most `passes` M-steps, in `passes` + 1 Spark jobs.

    Parameters
    ----------
    frame : the features' columns, in source units; of a data frame, or landed.
    moments : of its rows in feature space: what they are standardised with.
    passes : M-steps, 1 or more; the E-step after the last says what the outcome's log-likelihood is.
    regularisation : (d,) variance added by every M-step, in feature space.
    tolerance : gain in nats per row below which no further step is made; 0 makes all of them.

    Raises
    ------
    InvalidInput : `start` has other features, or a row has a bad value.
    ServiceUnavailable : Spark failed.
    """
    if passes < 1:
        raise InvalidInput("passes", got=passes, bound="1 or more")
    kind, k = kind_of(start.covariance_type), start.n_components
    scale = np.sqrt(np.diagonal(moments.covariance))
    # The start's means stand in for the rows where the loop asks for some.
    rows = Rows(start.means, None, moments.mean, np.where(scale > 0, scale, 1.0))
    if kind.isotropic:
        rows = rows.standardised(rows.shift, rows.scale, isotropic=True)
    added = np.broadcast_to(np.asarray(regularisation, dtype=np.float64), scale.shape)
    added = added / np.square(rows.scale)
    task = Task(rows, k, kind, added, tolerance, passes, _kernel(frame, features))
    began = time.perf_counter()
    found = result_of(task, run(task, warm_start(rows, k, kind, start)), restarts=1)
    return replace(found, seconds=time.perf_counter() - began)


def refined(
    frame: DataFrame | LandedRows, joined: BlockSummary, passes: int, share: float, tolerance: float
) -> BlockSummary:
    """A summary joined from shards after that many exact passes at most over the rows of all.

    `share` of a feature's variance is added to it by every step, as `fit_block` adds it. The report
    then has the exact log-likelihood. Raises as `exact_passes`.
    """
    added = share * np.diagonal(joined.moments.covariance)
    start = joined.mixture
    if not isinstance(start, Mixture):
        raise InvalidInput("exact passes", got=type(start).__name__, bound="numeric features alone")
    found = exact_passes(
        frame, joined.features, start, joined.moments,
        passes=passes, regularisation=added, tolerance=tolerance,
    )  # fmt: skip
    report = replace(
        joined.fit,
        status=f"{joined.fit.status}; {found.iterations} exact passes over all rows",
        log_likelihood=found.log_likelihood,
        iterations=joined.fit.iterations + found.iterations,
        reseeded=joined.fit.reseeded + found.reseeded,
        seconds=joined.fit.seconds + found.seconds,
    )
    return replace(joined, mixture=found.mixture, regularisation=added, fit=report)


def _kernel(frame: DataFrame | LandedRows, features: Sequence[Feature]) -> Kernel:
    """E-steps over the frame's rows, whatever rows the loop has."""

    def statistics(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
        task = _task(features, rows, joint, kind)
        with spark_errors("an exact pass failed", remedy="check the rows"):
            answers = frame.mapInArrow(expectation(task), STATISTICS).collect()
        return reduce(Statistics.__add__, (_statistics(answer, joint, kind) for answer in answers))

    return statistics


def _task(
    features: Sequence[Feature], rows: Rows, joint: Joint, kind: CovarianceKind
) -> dict[str, Any]:
    """What a worker needs besides rows, as plain values."""
    arrays = {"offsets": joint.offsets, "means": joint.means, "whiteners": joint.whiteners}
    scaling = {"shift": rows.shift, "scale": rows.scale}
    return {
        "features": [feature.to_dict() for feature in features],
        "covariance_type": kind.name,
        **{name: array.tolist() for name, array in (arrays | scaling).items()},
    }


def _statistics(answer: Row, joint: Joint, kind: CovarianceKind) -> Statistics:
    if answer["problem"] is not None:
        raise unpack(answer["problem"])
    shape = joint.means.shape
    return Statistics(
        answer["log_likelihood"],
        np.array(answer["weight"]),
        np.array(answer["mean"]).reshape(shape),
        np.array(answer["scatter"]).reshape(kind.scatter_shape(*shape)),
    )
