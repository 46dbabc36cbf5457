"""Block summary: all that the window needs of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gmm_core.arrays import Array, content_hash, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments

__all__ = ["BlockSummary", "FitReport"]


@dataclass(frozen=True)
class FitReport:
    """How a fit went.

    Parameters
    ----------
    status : a sentence for people.
    converged : whether the gain fell below the tolerance.
    iterations : of the start that won.
    log_likelihood : mean nats per row.
    restarts : starts that were tried.
    reseeded : empty components that were placed anew in the start that won.
    seconds : wall time of all starts.
    """

    status: str
    converged: bool
    iterations: int
    log_likelihood: float
    restarts: int
    reseeded: int
    seconds: float


@dataclass(frozen=True, eq=False)
class BlockSummary:
    """Block mixture, exact moments, range, fit report and digests of one block. Equal by content.

    Parameters
    ----------
    stream, key : name of the stream, block key.
    features : the d features, in the order of every array.
    mixture : the block mixture, in feature space.
    moments : of the block's rows, in feature space.
    minimum, maximum : (d,) in feature space.
    regularisation : (d,) variance that the fit added: the mixture's covariance less this on its
        diagonal is the block's own.
    fit : how the fit went.
    input_digest, fit_fingerprint : what was fitted, and with which settings.
    """

    stream: str
    key: str
    features: tuple[Feature, ...]
    mixture: Mixture
    moments: Moments
    minimum: Array
    maximum: Array
    regularisation: Array
    fit: FitReport
    input_digest: str
    fit_fingerprint: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        d = len(self.features)
        if not self.mixture.n_features == self.moments.n_features == d:
            raise InvalidInput(
                "features, mixture and moments of a block summary disagree",
                got=(d, self.mixture.n_features, self.moments.n_features),
                bound="the same number of features",
            )
        for name in ("minimum", "maximum", "regularisation"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (d,)))
        if (self.regularisation < 0).any():
            raise InvalidInput(
                "regularisation", got=self.regularisation.tolist(), bound="0 or more"
            )
        if self.moments.weight <= 0:
            raise InvalidInput(
                "a block summary needs rows", got=self.moments.weight, bound="above 0"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockSummary):
            return NotImplemented
        return self.digest == other.digest and self.fit == other.fit

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def rows(self) -> int:
        """Rows the block mixture was fitted to."""
        return round(self.moments.weight)

    @cached_property
    def digest(self) -> str:
        """64 hex digits that identify the content; how many seconds the fit took does not count."""
        fit = self.fit
        return content_hash(
            "block summary", self.stream, self.key, tuple((f.name, f.transform) for f in self.features),
            self.mixture.content_hash(), self.moments.weight, self.moments.mean,
            self.moments.scatter, self.minimum, self.maximum, self.regularisation,
            fit.status, fit.converged, fit.iterations, float(fit.log_likelihood), fit.restarts,
            fit.reseeded, self.input_digest, self.fit_fingerprint,
        )  # fmt: skip


def common_features(summaries: Sequence[BlockSummary]) -> tuple[Feature, ...]:
    """The features of all summaries; raises `InvalidInput` when they differ, or for none."""
    if not summaries:
        raise InvalidInput("no block summaries given", got=0, bound="at least 1")
    first = summaries[0]
    for other in summaries[1:]:
        for name, a, b in (
            ("stream", first.stream, other.stream),
            ("features", first.features, other.features),
        ):
            if a != b:
                raise InvalidInput(
                    f"block summaries {first.key!r} and {other.key!r} differ in {name}",
                    got=b,
                    bound=str(a),
                    remedy="fit the blocks again with one stream file",
                )
    return first.features


def rows_share(summaries: Sequence[BlockSummary]) -> Array:
    """(b,) share of each block in the rows of all."""
    weights = np.array([summary.moments.weight for summary in summaries])
    share: Array = weights / weights.sum()
    return share
