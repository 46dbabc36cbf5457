"""Blockmix: a Gaussian mixture of the last b days of a stream, at the cost of fitting one day.

    from gmm_core import Feature, fit_block, window_mixture

The names below are the public ones. Each is loaded when it is first used: importing this package
costs next to nothing, and no part of it needs Airflow, Spark or MLflow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmm_core.answering.scoring import TailCurve
    from gmm_core.block import fit_block, join_shards
    from gmm_core.codec import from_dict, to_dict
    from gmm_core.em import FitResult, FitStatus, fit
    from gmm_core.errors import BlockmixError, FitFailed, InvalidInput, MissingExtra
    from gmm_core.estimators.bayesian_mixture import BayesianGaussianMixture
    from gmm_core.estimators.gaussian_mixture import GaussianMixture
    from gmm_core.estimators.mode_normalizer import ModeSpecificNormalizer
    from gmm_core.estimators.windowed import WindowedGaussianMixture
    from gmm_core.features import Feature, to_matrix
    from gmm_core.invariants import block_laws, violations, window_laws
    from gmm_core.memory import memory_model
    from gmm_core.mixed.em import fit_mixed
    from gmm_core.mixed.mixture import MixedMixture
    from gmm_core.mixture import Mixture
    from gmm_core.model import DensityModel
    from gmm_core.moments import Moments
    from gmm_core.summary import BlockSummary, FitReport
    from gmm_core.window import select_blocks, window_mixture

__version__ = "0.1.0"

__all__ = [
    "BayesianGaussianMixture",
    "BlockSummary",
    "BlockmixError",
    "DensityModel",
    "Feature",
    "FitFailed",
    "FitReport",
    "FitResult",
    "FitStatus",
    "GaussianMixture",
    "InvalidInput",
    "MissingExtra",
    "MixedMixture",
    "Mixture",
    "ModeSpecificNormalizer",
    "Moments",
    "TailCurve",
    "WindowedGaussianMixture",
    "block_laws",
    "fit",
    "fit_block",
    "fit_mixed",
    "from_dict",
    "join_shards",
    "memory_model",
    "select_blocks",
    "to_dict",
    "to_matrix",
    "violations",
    "window_laws",
    "window_mixture",
]

_HOME = {
    "estimators.bayesian_mixture": ("BayesianGaussianMixture",),
    "block": ("fit_block", "join_shards"),
    "codec": ("from_dict", "to_dict"),
    "em": ("FitResult", "FitStatus", "fit"),
    "errors": ("BlockmixError", "FitFailed", "InvalidInput", "MissingExtra"),
    "estimators.gaussian_mixture": ("GaussianMixture",),
    "estimators.mode_normalizer": ("ModeSpecificNormalizer",),
    "estimators.windowed": ("WindowedGaussianMixture",),
    "features": ("Feature", "to_matrix"),
    "invariants": ("block_laws", "violations", "window_laws"),
    "mixed.mixture": ("MixedMixture",),
    "mixed.em": ("fit_mixed",),
    "mixture": ("Mixture",),
    "model": ("DensityModel",),
    "moments": ("Moments",),
    "answering.scoring": ("TailCurve",),
    "summary": ("BlockSummary", "FitReport"),
    "memory": ("memory_model",),
    "window": ("select_blocks", "window_mixture"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
