"""ModeSpecificNormalizer: mode-specific normalisation behind scikit-learn's interface."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.normalising.hashing import hash_columns, salt_of
from gmm_core.normalising.modes import MISSING, Modes
from gmm_core.variational.modes import fit_modes

__all__ = ["ModeSpecificNormalizer"]

_CHOICES = {"output": ("index", "one_hot"), "choice": ("likeliest", "sampled")}


class ModeSpecificNormalizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each column as a mode of its own mixture and the distance from that mode's mean.

    Xu et al. 2019, "Modeling Tabular Data using Conditional GAN", section 4.2: a column becomes
    `<name>_normalised`, (x - mean) / (4 standard deviations), and `<name>_mode`. Nothing is clipped:
    `inverse_transform` brings back every value, however far out, but for rounding.

    Parameters
    ----------
    max_modes : of a column, at most; a variational mixture is fitted with so many.
    least_weight : below 1 / max_modes; modes that have less are left out.
    output : "index", the mode's number; or "one_hot", a column `<name>_mode_<j>` for each mode.
    choice : "likeliest", the most responsible mode; or "sampled", drawn by responsibility.
    random_state : a whole number, 0 or more: of fits and draws.

    A missing value (NaN) has the normalised value 0 and mode -1, or no mode that is 1. An infinite
    value stays infinite; `fit` refuses it. Modes are drawn by a hash of the row's key and the seed:
    `gmm_core.spark.modes.normalise_columns` draws the same ones in Spark.

    Attributes
    ----------
    modes_ : a `Modes` for each column.
    n_features_in_, feature_names_in_ : d, and the columns' names where rows came as a table.

    >>> rows = np.append(np.linspace(0, 1, 100), np.linspace(50, 52, 100))[:, None]
    >>> model = ModeSpecificNormalizer(2).fit(rows)
    >>> model.get_feature_names_out().tolist(), model.transform([[0.5], [51.0]])[:, 1].tolist()
    (['x0_normalised', 'x0_mode'], [0.0, 1.0])
    >>> model.inverse_transform(model.transform([[1e9]])).round(3).tolist()
    [[1000000000.0]]
    """

    def __init__(
        self,
        max_modes: int = 10,
        *,
        least_weight: float = 0.005,
        output: Literal["index", "one_hot"] = "index",
        choice: Literal["likeliest", "sampled"] = "likeliest",
        random_state: int = 0,
    ) -> None:
        self.max_modes = max_modes
        self.least_weight = least_weight
        self.output = output
        self.choice = choice
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the modes of each column of rows X (n, d), with weights (n,).

        Raises a `ValueError` (mostly `InvalidInput`) for wrong settings, infinite values, and a column
        without any value.
        """
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, got=getattr(self, name), bound=", ".join(allowed))
        rows = self._rows(X, reset=True)
        self.modes_ = [
            fit_modes(
                column,
                self.max_modes,
                least_weight=self.least_weight,
                sample_weight=sample_weight,
                seed=self.random_state or 0,
            )
            for column in rows.T
        ]
        return self

    def transform(self, X: ArrayLike, keys: list[ArrayLike] | None = None) -> Array:
        """Rows X (n, d) as the columns that `get_feature_names_out` names, float64.

        `keys` are columns (n,) that tell rows apart, for sampled modes; by default those of X, so that
        equal rows get equal modes.
        """
        check_is_fitted(self)
        rows = self._rows(X, reset=False)
        bits: NDArray[np.uint64] | None = None
        parts: list[Array] = []
        for name, column, modes in zip(self._names(), rows.T, self.modes_, strict=True):
            if self.choice == "sampled":
                bits = hash_columns(list(rows.T) if keys is None else keys, self._salt(name))
            values, mode = modes.normalise(column, bits)
            parts.append(np.where(mode == MISSING, 0.0, values)[:, None])
            if self.output == "index":
                parts.append(mode[:, None].astype(np.float64))
            else:
                parts.append((mode[:, None] == np.arange(modes.n_modes)).astype(np.float64))
        return np.hstack(parts)

    def inverse_transform(self, X: ArrayLike) -> Array:
        """Rows (n, d) of what `transform` gave, or a generator made in its image.

        Of one-hot columns the largest counts; where none is above 0, the value is missing: NaN.
        """
        check_is_fitted(self)
        given = np.asarray(X, dtype=np.float64)
        widths = [1 + self._columns_of(modes) for modes in self.modes_]
        if given.ndim != 2 or given.shape[1] != sum(widths):
            raise InvalidInput("columns", got=given.shape, bound=f"shape (rows, {sum(widths)})")
        restored, first = [], 0
        for modes, width in zip(self.modes_, widths, strict=True):
            part = given[:, first : first + width]
            mode = part[:, 1]
            if self.output == "one_hot":
                hot = part[:, 1:]
                mode = np.where((hot > 0).any(axis=1), hot.argmax(axis=1), MISSING)
            restored.append(modes.denormalise(part[:, 0], mode))
            first += width
        return np.column_stack(restored)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns that `transform` gives, (columns,) objects."""
        check_is_fitted(self)
        names = self._names() if input_features is None else [str(n) for n in input_features]  # type: ignore[union-attr]
        if len(names) != len(self.modes_) or (
            input_features is not None
            and hasattr(self, "feature_names_in_")
            and names != self._names()
        ):
            raise ValueError(f"input_features: got {names}, expected {self._names()}")
        made: list[str] = []
        for name, modes in zip(names, self.modes_, strict=True):
            made.append(f"{name}_normalised")
            if self.output == "index":
                made.append(f"{name}_mode")
            else:
                made += [f"{name}_mode_{j}" for j in range(modes.n_modes)]
        return np.array(made, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _columns_of(self, modes: Modes) -> int:
        return 1 if self.output == "index" else modes.n_modes

    def _names(self) -> list[str]:
        default = [f"x{index}" for index in range(self.n_features_in_)]
        return [str(name) for name in getattr(self, "feature_names_in_", default)]

    def _salt(self, name: str) -> int:
        return salt_of(self.random_state or 0, name)

    def _rows(self, X: ArrayLike, *, reset: bool) -> Array:
        rows: Array = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        return rows
