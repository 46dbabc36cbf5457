"""Choice of the number of components: information criteria, and likelihood of rows held out.

Each candidate is fitted alike, and the smallest value of a criterion wins (`gmm_core.criteria`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, Missing, as_rows, as_weights, whole_numbers
from gmm_core.criteria import CRITERIA, Criterion, Data, Fitter
from gmm_core.em import FitResult, FitStatus, fit
from gmm_core.errors import BlockmixError, InvalidInput
from gmm_core.fitting.background import start_share
from gmm_core.settings import check_settings

__all__ = ["Candidate", "Selection", "choose", "select"]

_MOST = 1_000  # candidates: more are a mistake


@dataclass(frozen=True)
class Candidate:
    """One number of components, and how it did.

    Parameters
    ----------
    n_components : k.
    log_likelihood : mean nats per row (weighted) of the fit to all rows; NaN when it failed.
    value : of the criterion, the smaller the better; infinite when it failed.
    status : how the fit ended, or `None` when it failed.
    problem : why it failed, or "".
    """

    n_components: int
    log_likelihood: float
    value: float
    status: FitStatus | None
    problem: str = ""


@dataclass(frozen=True, repr=False)
class Selection:
    """The fit that won, and all candidates, k ascending."""

    best: FitResult
    criterion: Criterion
    table: tuple[Candidate, ...]

    @property
    def n_components(self) -> int:
        """k of the fit that won."""
        return self.best.mixture.n_components

    def __repr__(self) -> str:
        lines = [f"Selection by {self.criterion}: {self.n_components} components"]
        for candidate in self.table:
            mark = "*" if candidate.n_components == self.n_components else " "
            told = candidate.problem or (
                f"{self.criterion} {candidate.value:.6g}, {candidate.log_likelihood:.6g} nats per row"
            )
            lines.append(f"{mark} {candidate.n_components:>3}  {told}")
        return "\n".join(lines)


def select(
    X: ArrayLike,
    n_components: Iterable[int] = range(1, 9),
    *,
    criterion: Criterion = "bic",
    folds: int = 5,
    sample_weight: ArrayLike | None = None,
    missing: Missing = "error",
    **settings: Any,
) -> Selection:
    """Fit each number of components and keep the best by a criterion; of equal ones, the smallest.

    Parameters
    ----------
    X : (n, d) rows, as for `fit`.
    n_components : the numbers to try.
    criterion : "bic", "aic", "icl" or "heldout" (`gmm_core.criteria`).
    folds : parts of the rows, drawn by `seed`, each held out once; for "heldout" alone.
    sample_weight : (n,) 0 or more. The criteria take their sum as the number of rows.
    missing : "marginalise" takes NaN as a missing value; rows without any value do not count.
    settings : of `fit`, the same for every candidate. With a `background`, its share is one more
        free parameter, and "icl" and "heldout" are refused: they are about the mixture alone.

    Raises
    ------
    InvalidInput : the arguments are wrong, or none of the candidates is possible with these rows.
    FitFailed : none of the candidates could be fitted. A few that fail are told in the table.

    >>> from gmm_core.mixture import Mixture
    >>> pair = Mixture([0.5, 0.5], [[-5.0], [5.0]], [[[1.0]], [[1.0]]])
    >>> selection = select(pair.sample(300, seed=1), range(1, 4))
    >>> selection.n_components, [candidate.n_components for candidate in selection.table]
    (2, [1, 2, 3])
    """

    def fitter(k: int, rows: NDArray[Any], weight: Array | None) -> FitResult:
        return fit(rows, k, sample_weight=weight, missing=missing, **settings)

    return choose(
        fitter,
        X,
        n_components,
        criterion=criterion,
        folds=folds,
        seed=settings.get("seed", 0),
        sample_weight=sample_weight,
        missing=missing,
        background=start_share(settings.get("background", False)) > 0,
    )


def choose(
    fitter: Fitter,
    X: ArrayLike,
    n_components: Iterable[int],
    *,
    criterion: Criterion,
    folds: int = 5,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    missing: Missing = "error",
    background: bool = False,
) -> Selection:
    """As `select`, with a fit of the caller's; `missing` and `background` say what that allows."""
    tried = _numbers(n_components)
    check_settings({"criterion": criterion, "folds": folds, "seed": seed})
    if background and criterion in ("icl", "heldout"):
        raise InvalidInput(
            "criterion does not go with a background", got=criterion, bound="bic, aic"
        )
    rows, weight, weighted = _rows_that_count(X, sample_weight, missing)
    fold = _folds(len(rows), folds, seed) if criterion == "heldout" else np.zeros(0, np.int64)
    data = Data(rows, weight, weighted, fitter, missing, background, fold)
    table: list[Candidate] = []
    failures: list[BlockmixError] = []
    best: tuple[float, FitResult] | None = None
    for k in tried:
        try:
            result = data.fit(k)
            value = CRITERIA[criterion](result, data)
        except BlockmixError as error:
            failures.append(error)
            table.append(Candidate(k, float("nan"), float("inf"), None, error.problem))
            continue
        table.append(Candidate(k, result.log_likelihood, value, result.status))
        if best is None or value < best[0]:
            best = value, result
    if best is None:
        raise failures[0]
    return Selection(best[1], criterion, tuple(table))


def _numbers(n_components: Iterable[int]) -> list[int]:
    try:
        tried = sorted(set(whole_numbers(islice(n_components, _MOST + 1))))
    except TypeError:
        tried = []
    if not tried or tried[0] < 1 or len(tried) > _MOST:
        raise InvalidInput(
            "n_components to choose from",
            got=n_components,
            bound=f"whole numbers, 1 or more, from one to {_MOST:,} of them",
            remedy="give a range or a list",
        )
    return tried


def _rows_that_count(
    X: ArrayLike, sample_weight: ArrayLike | None, missing: Missing
) -> tuple[NDArray[Any], Array, bool]:
    """Checked rows and weights, without those of weight 0 or without any value; if weights count."""
    rows = as_rows(X, missing=missing)
    given = as_weights(sample_weight, len(rows))
    weight = np.ones(len(rows)) if given is None else given
    counts = (weight > 0) & ~(np.isnan(rows).all(axis=1) & (rows.shape[1] > 0))
    if not counts.all():
        rows, weight = rows[counts], weight[counts]
    return rows, weight, given is not None


def _folds(n: int, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) the part that holds each row out."""
    if n < folds:
        raise InvalidInput(
            f'fewer rows than the {folds} folds that "heldout" holds out one by one',
            got=n,
            bound=f"at least {folds} rows",
            remedy='give more rows, take fewer folds (of select), or another criterion, as "bic"',
        )
    return np.random.default_rng(seed).permutation(np.arange(n) % folds)
