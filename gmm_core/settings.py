"""What the settings of a fit may be, one line each: for `fit` and for the scikit-learn faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np

from gmm_core.covariances.kind import CovarianceType
from gmm_core.errors import InvalidInput

__all__ = ["INIT_PARAMS", "check_settings"]

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check parameters by name; those without a rule here are checked where they are used.

    Raises `InvalidInput` with the value got and what is allowed.

    >>> check_settings({"n_components": 3, "tol": 1e-3})
    """
    for name, value in settings.items():
        if name in _RULES:
            accepts, bound = _RULES[name]
            if not accepts(value):
                raise InvalidInput(name, got=value, bound=bound)


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    def accepts(value: Any) -> bool:
        return isinstance(value, Integral) and not _switch(value) and int(value) >= least

    return accepts, f"a whole number, {least} or more"


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, ", ".join(names)


def _not_negative(value: Any) -> bool:
    return isinstance(value, Real) and float(value) >= 0


def _variance(value: Any) -> bool:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return array.ndim <= 1 and bool((np.isfinite(array) & (array >= 0)).all())


def _switch(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _verbosity(value: Any) -> bool:
    return _switch(value) or (isinstance(value, Integral) and int(value) >= 0)


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n_components": _whole(1),
    "covariance_type": _one_of(*get_args(CovarianceType)),
    "tol": (_not_negative, "0 or more, in nats per row"),
    "reg_covar": (_variance, "a variance, 0 or more, or one per feature"),
    "max_iter": _whole(0),
    "seed": _whole(0),
    "criterion": _one_of("bic", "aic", "icl", "heldout"),
    "n_init": _whole(1),
    "init_params": _one_of(*INIT_PARAMS),
    "warm_start": (_switch, "True or False"),
    "verbose": (_verbosity, "True, False, or a whole number, 0 or more"),
    "verbose_interval": _whole(1),
}
