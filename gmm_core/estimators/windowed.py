"""WindowedGaussianMixture: the mixture of the newest blocks of a stream, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from gmm_core.arrays import as_weights
from gmm_core.coreset import check_size
from gmm_core.covariances.kind import CovarianceType
from gmm_core.errors import InvalidInput
from gmm_core.estimators.base import MixtureEstimator
from gmm_core.estimators.blocks import Key, block_summary, checked_key, checked_y
from gmm_core.estimators.choice import readable_again
from gmm_core.labels import Labels, first_labels, relabel
from gmm_core.mixed.mixture import numeric_part
from gmm_core.mixture import Mixture
from gmm_core.reduction.choice import ChoiceCriterion, check_choice, numbers_of
from gmm_core.settings import check_settings
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

__all__ = ["WindowedGaussianMixture"]

_Blocks = dict[Any, BlockSummary]  # keys of one type, so that they sort


class WindowedGaussianMixture(MixtureEstimator):
    """A Gaussian mixture of the rows of the newest blocks, at the cost of fitting one block each time.

    Each block is fitted by itself, once; the blocks' mixtures are pooled and reduced (Patist et al.
    2006). So a block can come late, come again with other rows, or be taken out, and the outcome is
    that of the blocks that are there, whatever the order in which they came. Rows are not kept, but for
    those that `coreset` asks for.

    Parameters
    ----------
    n_components : k, 1 or more, of the window's mixture; or several numbers, as range(2, 9), of which
        each call takes the best by `criterion` for the blocks that are there
        (`gmm_core.reduction.choice`). What k was before does not count: the outcome would depend on
        the order of calls. `window_mixture(..., previous_k=)` is for a k that stays.
    window : blocks that count, the newest by key.
    block_components : components of a block's mixture, the largest k or more. `None` is twice that, or
        that itself where a block's rows do not justify more: what a block blurs together no merge can
        tell apart again.
    covariance_type : "full", "tied", "diag" or "spherical".
    regularisation : variance added to each feature of a block's components, as a share of the
        feature's own variance in the block: the fit does not depend on units.
    tol : nats per row; a block's EM ends when an iteration changes the mean log-likelihood by less.
    max_iter, n_init : M-steps at most, per start, and starts, of a block's fit.
    random_state : int, `RandomState` or None; one seed, drawn before the first block, is that of all.
    criterion : "bic" or "icl", for several `n_components`.
    coreset : rows of each block to keep, at most, a uniform sample; 0 keeps none. Where all blocks of a
        window have some, the mixture is polished on them (`gmm_core.refinement.kept`). Not with
        `sample_weight`.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : of the window's mixture, float64;
        (k,), (k, d), and for the last three (k, d, d) for "full", (d, d) for "tied", (k, d) for "diag",
        (k,) for "spherical".
    mixture_ : the same as a `Mixture`.
    n_components_ : its k.
    keys_ : keys of the blocks in the window, oldest first.
    summaries_ : their `BlockSummary` values.
    component_ids_ : (k,) id of each component; it keeps the id from one call to the next while it stays
        where it was (`gmm_core.labels`). So ids, unlike the mixture, tell of the order of calls.
    born_, died_ : ids that came and went with the last call.
    n_features_in_, feature_names_in_ : d, and the columns' names where rows came as a table.

    >>> model = WindowedGaussianMixture(2, window=2, random_state=0)
    >>> day = np.concatenate([np.linspace(-1, 1, 50), np.linspace(8, 10, 50)])[:, None]
    >>> for key in ("2024-05-03", "2024-05-01", "2024-05-02"):
    ...     model = model.partial_fit(day + int(key[-1]), key=key)
    >>> model.keys_, sorted(model.means_.ravel().round(1).tolist())
    (['2024-05-02', '2024-05-03'], [2.5, 11.5])
    """

    def __init__(
        self,
        n_components: int | Iterable[int] = 1,
        window: int = 30,
        *,
        block_components: int | None = None,
        covariance_type: CovarianceType = "full",
        regularisation: float = 1e-3,
        tol: float = 1e-4,
        max_iter: int = 200,
        n_init: int = 1,
        random_state: int | np.random.RandomState | None = None,
        criterion: ChoiceCriterion = "bic",
        coreset: int = 0,
    ) -> None:
        self.n_components = n_components
        self.window = window
        self.block_components = block_components
        self.covariance_type = covariance_type
        self.regularisation = regularisation
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.criterion = criterion
        self.coreset = coreset

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Forget all blocks and start with rows X (n, d) as the only one; raises as `partial_fit`.

        >>> model = WindowedGaussianMixture().fit([[1.0], [2.0], [6.0]])
        >>> model.keys_, model.means_.round(12).tolist()
        ([0], [[3.0]])
        """
        self._empty()
        return self.partial_fit(X, y, sample_weight=sample_weight)

    def partial_fit(
        self,
        X: ArrayLike,
        y: object = None,
        key: Key | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Take in a block of rows X (n, d), each counting `sample_weight` (n,) times; `y` is not used.

        Parameters
        ----------
        key : where the block belongs: whole numbers, texts, dates or times (of pandas and numpy, too),
            all of one kind, which sort as time does. Texts sort as text: write dates as ISO 8601 does,
            "2024-05-03". The key of a block that is there replaces it; a key older than a full window
            changes nothing. `None` is the next whole number.

        Raises
        ------
        InvalidInput : a `ValueError`: a parameter, the rows, the weights or the key are wrong.
        FitFailed : a `ValueError`: the block cannot be fitted; the window stays as it was.

        >>> model = WindowedGaussianMixture(window=2)
        >>> model.partial_fit([[0.0], [2.0]]).partial_fit([[10.0], [12.0]]).means_.tolist()
        [[6.0]]
        >>> model.partial_fit([[20.0], [22.0]], key=0).means_.tolist()
        [[16.0]]
        """
        checked_y(y)
        self._check_settings()
        blocks = dict(self._known())
        key = self._next_key() if key is None else checked_key(key, blocks)
        rows = self._rows(X, reset=not blocks, least=2)
        weight = as_weights(sample_weight, len(rows))
        if len(blocks) < self.window or key >= min(blocks):
            seed = self._block_seed()
            blocks[key] = block_summary(rows, weight, str(key), self._settings(*rows.shape), seed)
            for late in sorted(blocks)[: -self.window]:
                del blocks[late]
            self._become(blocks)
        if isinstance(key, int):
            self._numbered = max(key, getattr(self, "_numbered", -1))
        return self

    def forget(self, key: Key) -> Self:
        """Take a block out of the window; without any block left the estimator is not fitted.

        A block that fell out of the window before does not come back. Raises `InvalidInput` for a key
        that is not in the window.

        >>> model = WindowedGaussianMixture().partial_fit([[0.0], [2.0]]).partial_fit([[10.0], [12.0]])
        >>> model.forget(0).means_.tolist()
        [[11.0]]
        """
        blocks = dict(self._known())
        key = checked_key(key, blocks)
        if key not in blocks:
            raise InvalidInput("no such block in the window", got=key, bound=str(list(blocks)))
        del blocks[key]
        if blocks:
            self._become(blocks)
        else:
            self._empty()
        return self

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion on rows X (n, d), lower is better; as of `GaussianMixture`.

        >>> model = WindowedGaussianMixture(regularisation=0.0).fit([[1.0], [3.0]])
        >>> round(model.bic([[1.0], [3.0]]), 2)
        7.06
        """
        return self._criterion(X, sample_weight, math.log)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion on rows X (n, d), lower is better; as of `GaussianMixture`.

        >>> model = WindowedGaussianMixture(regularisation=0.0).fit([[1.0], [3.0]])
        >>> round(model.aic([[1.0], [3.0]]), 2)
        9.68
        """
        return self._criterion(X, sample_weight, lambda n: 2.0)

    def _check_settings(self) -> None:
        settings = self.get_params(deep=False)
        if self._undecided:
            del settings["n_components"]  # `_largest` checks the numbers
        check_settings(settings)
        self._rng()
        check_choice(self.criterion)
        for name, least in (("window", 1), ("block_components", self._largest), ("coreset", 0)):
            value = getattr(self, name)
            if value is None and name == "block_components":
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise InvalidInput(name, got=value, bound=f"a whole number, {least} or more")
        check_size(self.coreset)
        if not 0 <= self.regularisation < math.inf:
            raise InvalidInput("regularisation", got=self.regularisation, bound="0 or more")

    @property
    def _undecided(self) -> bool:
        return isinstance(readable_again(self.n_components), Iterable)

    @property
    def _largest(self) -> int:
        """The k that blocks must leave room for."""
        several = self.n_components
        return numbers_of(several)[-1] if isinstance(several, Iterable) else several

    def _settings(self, n: int, d: int) -> dict[str, Any]:
        """How a block of n rows is fitted."""
        most = max(self._largest, min(2 * self._largest, n // (d + 1)))
        return {
            "k": most if self.block_components is None else self.block_components,
            "fewest": self._largest if self.block_components is None else None,
            "covariance_type": self.covariance_type,
            "regularisation": self.regularisation,
            "restarts": self.n_init,
            "max_iterations": self.max_iter,
            "tolerance": self.tol,
            "coreset": self.coreset,
        }

    def _block_seed(self) -> int:
        # Drawn once: a block's fit must not depend on how many came before it.
        if not hasattr(self, "_seed"):
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return self._seed

    def _next_key(self) -> int:
        if any(not isinstance(key, int) for key in self._known()):
            raise InvalidInput(
                "key", got=None, bound="a key like those of the other blocks", remedy="pass its key"
            )
        return int(getattr(self, "_numbered", -1)) + 1

    def _known(self) -> Mapping[Any, BlockSummary]:
        return getattr(self, "_blocks", {})

    def _empty(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") or name in _LEARNT]:
            delattr(self, name)

    def _become(self, blocks: _Blocks) -> None:
        """Be the mixture of these blocks; changes nothing when there is none."""
        keys = sorted(blocks)
        summaries = tuple(blocks[key] for key in keys)
        mixture = _merged(summaries, self.n_components, self.covariance_type, self.criterion)
        known: tuple[Mixture, Labels] | None = getattr(self, "_labelled", None)
        labels = relabel(*known, mixture) if known else first_labels(mixture)
        self._blocks, self._labelled = dict(zip(keys, summaries, strict=True)), (mixture, labels)
        self.keys_, self.summaries_ = keys, summaries
        self.component_ids_: NDArray[np.int64] = np.array(labels.ids, dtype=np.int64)
        self.born_, self.died_ = labels.born, labels.died
        self.n_components_ = mixture.n_components
        self._set_mixture(mixture)


_LEARNT = ("_blocks", "_labelled", "_mixture", "_numbered", "_seed")


def _merged(
    summaries: tuple[BlockSummary, ...],
    k: int | Iterable[int],
    covariance_type: CovarianceType,
    criterion: ChoiceCriterion,
) -> Mixture:
    """The one place that says how a window is merged."""
    merged = window_mixture(summaries, k, covariance_type=covariance_type, k_criterion=criterion)
    return numeric_part(merged)
