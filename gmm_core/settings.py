"""What the settings of a fit may be, one line each: for `fit` and for the scikit-learn faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np

from gmm_core.covariances.kind import CovarianceType
from gmm_core.errors import InvalidInput

__all__ = ["INIT_PARAMS", "check_settings", "fewest_of", "generator"]

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


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """The generator that a seed stands for; raises `InvalidInput` for what is no seed.

    >>> int(generator(3).integers(10))
    8
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InvalidInput(
            "seed", got=seed, bound="a whole number, 0 or more, or a numpy.random.Generator"
        ) from None


def fewest_of(fewest: Any, k: int) -> int:
    """The least number of components for a fit of k: k itself where none is given.

    Raises `InvalidInput` for what is no number from 1 to k.

    >>> fewest_of(None, 4), fewest_of(2, 4)
    (4, 2)
    """
    if fewest is None:
        return k
    if not _whole(1)[0](fewest) or fewest > k:
        raise InvalidInput(
            "fewest components", got=fewest, bound=f"None, or a whole number, 1 to {k}"
        )
    return int(fewest)


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    def accepts(value: Any) -> bool:
        return isinstance(value, Integral) and not _switch(value) and least <= int(value) < 2**63

    return accepts, f"a whole number, {least} or more, below 2**63"


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, ", ".join(names)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not _switch(value)


def _not_negative(value: Any) -> bool:
    return _number(value) and float(value) >= 0


def _positive(value: Any) -> bool:
    return value is None or (_number(value) and 0 < float(value) < np.inf)


def _callable(value: Any) -> bool:
    return value is None or callable(value)


def _switch(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _verbosity(value: Any) -> bool:
    return _switch(value) or (isinstance(value, Integral) and int(value) >= 0)


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n_components": _whole(1),
    "covariance_type": _one_of(*get_args(CovarianceType)),
    "tol": (_not_negative, "0 or more, in nats per row"),
    "max_iter": _whole(0),
    "seed": _whole(0),
    "n": _whole(0),
    "n_samples": _whole(1),
    "folds": _whole(2),
    "kernel": _one_of("auto", "compiled", "numpy"),
    "rule": (_callable, "a function, or None"),
    "watch": (_callable, "a function, or None"),
    "missing": _one_of("error", "marginalise"),
    "weight_concentration_prior_type": _one_of("dirichlet_process", "dirichlet_distribution"),
    "weight_concentration_prior": (_positive, "None, or a number, finite, above 0"),
    "mean_precision_prior": (_positive, "None, or a number, finite, above 0"),
    "degrees_of_freedom_prior": (
        _positive,
        "None, or a number, finite, above the features less one",
    ),
    "criterion": _one_of("bic", "aic", "icl", "heldout"),
    "n_init": _whole(1),
    "init_params": _one_of(*INIT_PARAMS),
    "warm_start": (_switch, "True or False"),
    "extrapolate": (_switch, "True or False"),
    "verbose": (_verbosity, "True, False, or a whole number, 0 or more"),
    "verbose_interval": _whole(1),
}
