"""A block: from rows to block summary, and shards of a huge block to one summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, as_rows, content_hash
from gmm_core.coreset import check_size, coreset_of, joined_coreset
from gmm_core.em import FitResult, fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.features import Feature, categorical_of, numeric_of
from gmm_core.fitting.kernel import KernelName
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixed.em import MixedFitResult, fit_mixed
from gmm_core.mixed.levels import LevelShares, level_shares_of
from gmm_core.mixed.mixture import AnyMixture, MixedMixture
from gmm_core.moments import Moments
from gmm_core.pooling import common_type, pool_mixtures, pooled_levels
from gmm_core.reduction import reduce
from gmm_core.refinement.warm import warm_start
from gmm_core.summary import BlockSummary, FitReport, common_features, rows_share

__all__ = ["check_varies", "fit_block", "join_shards", "report_of"]


def fit_block(
    stream: str,
    key: str,
    features: Sequence[Feature],
    X: ArrayLike,
    *,
    k: int,
    fewest: int | None = None,
    covariance_type: CovarianceType = "full",
    regularisation: float = 1e-3,
    restarts: int = 3,
    max_iterations: int = 200,
    tolerance: float = 1e-5,
    seed: int = 0,
    coreset: int = 0,
    last: AnyMixture | None = None,
    kernel: KernelName = "auto",
    input_digest: str = "",
    fit_fingerprint: str = "",
    any_order: bool = True,
) -> BlockSummary:
    """Fit a block mixture and sum the block up.

    Parameters
    ----------
    X : (n, d) rows in feature space (`to_matrix`); categorical features come last, as codes.
    k, fewest : components; as few as `fewest`, where given, if the rows do not justify k (`fit`).
    regularisation : variance added to each feature, as a share of the feature's own variance in
        this block. So the fit does not depend on units.
    coreset : rows of the block to keep in the summary, at most; 0 keeps none. Not with categorical
        features.
    last : the last window mixture: the first start has its components and newborn ones
        (`gmm_core.refinement.warm`), unless a cold start does better on a sample.
    kernel : of the E-steps, as `fit` takes it.
    any_order : rows are put in one order first. False spares that where they come in one anyway.

    Raises
    ------
    InvalidInput : the rows or settings are wrong.
    FitFailed : a feature is constant, or no start gave a usable mixture.
    """
    check_size(coreset)
    rows = as_rows(X, len(features))
    _check_usable(key, rows, regularisation)
    if any_order:
        rows = _in_one_order(rows)
    numeric = numeric_of(features)
    numbers = rows[:, : len(numeric)]
    minimum, maximum = _checked_range(key, numeric, numbers)
    moments = Moments.of(numbers)
    added: Array = regularisation * np.diagonal(moments.covariance)
    sizes = [len(feature.level_names) for feature in categorical_of(features)]
    settings: dict[str, Any] = {
        "covariance_type": covariance_type, "reg_covar": added, "tol": tolerance, "seed": seed,
        "max_iter": max_iterations, "n_init": restarts, "kernel": kernel, "fewest": fewest,
        **({} if sizes else {"extrapolate": True}),
    }  # fmt: skip
    if sizes:
        _check_no_coreset(coreset)
    if last is not None:
        last = _of_features(last, features)
        settings["start"] = _warm(rows, k, covariance_type, last, moments, seed)
    result = fit_mixed(rows, sizes, k, **settings) if sizes else fit(rows, k, **settings)
    return BlockSummary(
        stream, key, tuple(features), result.mixture, moments, minimum, maximum, added,
        report_of(result), input_digest, fit_fingerprint,
        levels=_level_shares(rows[:, len(numeric) :], result),
        coreset=coreset_of(numbers, coreset, seed),
    )  # fmt: skip


def join_shards(shards: Sequence[BlockSummary], k: int) -> BlockSummary:
    """One summary of a block that was fitted in shards: pool, reduce to k, add the moments.

    The block laws hold for the outcome as they do for each shard. The fit report says that it was
    joined; its log-likelihood is that of each shard's rows under the shard's own mixture, averaged
    by rows, since the rows are not here to be asked again. Raises `InvalidInput` for shards of
    different blocks, settings or features.
    """
    common_features(shards)
    for name in ("key", "fit_fingerprint"):
        values = sorted({getattr(shard, name) for shard in shards})
        if len(values) > 1:
            raise InvalidInput(f"shards differ in {name}", got=values, bound="one value")
    if len(shards) == 1 and shards[0].mixture.n_components == k:
        return shards[0]
    # The order in which shards arrive is chance: the outcome must not depend on it.
    shards = sorted(shards, key=lambda shard: shard.digest)
    first, share = shards[0], rows_share(shards)
    regularisation: Array = share @ np.stack([shard.regularisation for shard in shards])
    digests = sorted({shard.input_digest for shard in shards})
    return BlockSummary(
        stream=first.stream,
        key=first.key,
        features=first.features,
        mixture=_reduced(pool_mixtures(shards), k).as_type(common_type(shards)),
        moments=sum((shard.moments for shard in shards), Moments.empty(len(first.minimum))),
        minimum=np.min([shard.minimum for shard in shards], axis=0),
        maximum=np.max([shard.maximum for shard in shards], axis=0),
        regularisation=regularisation,
        fit=_joined_report(shards, share),
        input_digest=digests[0] if len(digests) == 1 else content_hash("shards", *digests),
        fit_fingerprint=first.fit_fingerprint,
        levels=pooled_levels(shards),
        coreset=joined_coreset(
            [shard.coreset for shard in shards],
            [shard.moments.weight for shard in shards],
            max(len(shard.coreset) for shard in shards),
            seed=0,
        ),
    )


def _reduced(pooled: AnyMixture, k: int) -> AnyMixture:
    """By the default criterion, or by one that knows categorical features."""
    if isinstance(pooled, MixedMixture):
        return reduce(pooled, k, criterion="runnalls")
    return reduce(pooled, k)


def _level_shares(codes: Array, result: FitResult | MixedFitResult) -> tuple[LevelShares, ...]:
    if not isinstance(result, MixedFitResult):
        return ()
    return level_shares_of(codes, result.mixture.sizes, result.smoothing)


def _check_usable(key: str, rows: Array, regularisation: float) -> None:
    if not len(rows):
        raise InvalidInput(f"block {key} has no rows", got=0, bound="at least 1")
    if not 0 <= regularisation < np.inf:
        raise InvalidInput("regularisation", got=regularisation, bound="0 or more")


def _check_no_coreset(coreset: int) -> None:
    if coreset:
        raise InvalidInput(
            "coreset of a block with categorical features",
            got=coreset,
            bound="0",
            remedy="leave `coreset` out: no refinement would use it",
        )


def _of_features(last: AnyMixture, features: Sequence[Feature]) -> AnyMixture:
    """The last window mixture itself; raises `InvalidInput` when it is of other features."""
    sizes = last.sizes if isinstance(last, MixedMixture) else ()
    wanted = tuple(len(feature.level_names) for feature in categorical_of(features))
    for what, got, bound in (
        ("features of the last window mixture", last.n_features, len(features)),
        ("levels of the last window mixture", sizes, wanted),
    ):
        if got != bound:
            raise InvalidInput(what, got=got, bound=str(bound))
    return last


def _warm(
    rows: Array,
    k: int,
    covariance_type: CovarianceType,
    last: AnyMixture,
    moments: Moments,
    seed: int,
) -> AnyMixture | None:
    own = last.as_type(kind_of(covariance_type).scatter_type)
    start = warm_start(rows, k, own, moments, seed)
    return None if start is None else start.as_type(covariance_type)


def _in_one_order(rows: Array) -> Array:
    """Ascending by the first feature, then the second, and so on: a block is a set of rows, but
    seeding picks rows by their place and sums round by their order."""
    order = np.argsort(rows[:, 0], kind="stable")
    first = rows[order, 0]
    if (first[1:] == first[:-1]).any():  # else the first feature alone decides, which is quick
        order = np.lexsort(rows.T[::-1])
    return rows[order]


def _checked_range(key: str, features: Sequence[Feature], rows: Array) -> tuple[Array, Array]:
    """(d,) least and largest values; raises `FitFailed` where they are the same."""
    minimum, maximum = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
    for feature, low, high in zip(features, minimum, maximum, strict=True):
        check_varies(key, feature, low, high)
    return minimum, maximum


def check_varies(key: str, feature: Feature, low: float, high: float) -> None:
    """Raises `FitFailed` for a feature whose least and largest value are the same."""
    if low == high:
        raise FitFailed(
            f"feature {feature.name!r} is constant in block {key}",
            got=float(f"{feature.inverse(low):.12g}"),  # the way back rounds
            bound="at least two different values",
            remedy="look at the block's source, or take the feature out of the stream file",
        )


def report_of(result: FitResult | MixedFitResult) -> FitReport:
    """What a block summary says of its fit."""
    return FitReport(
        status=result.status.value,
        converged=result.converged,
        iterations=result.iterations,
        log_likelihood=result.log_likelihood,
        restarts=result.restarts,
        reseeded=result.reseeded,
        seconds=result.seconds,
    )


def _joined_report(shards: Sequence[BlockSummary], share: Array) -> FitReport:
    fits = [shard.fit for shard in shards]
    converged = sum(fit.converged for fit in fits)
    return FitReport(
        status=f"joined from {len(shards)} shards, {converged} of which converged",
        converged=converged == len(shards),
        iterations=max(fit.iterations for fit in fits),
        log_likelihood=float(share @ np.array([fit.log_likelihood for fit in fits])),
        restarts=max(fit.restarts for fit in fits),
        reseeded=sum(fit.reseeded for fit in fits),
        seconds=sum(fit.seconds for fit in fits),
    )
