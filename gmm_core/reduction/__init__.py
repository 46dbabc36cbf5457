"""Reduction: many components to k, by merging. Every merge keeps weight, mean and covariance.

A *criterion* (`criteria`) says what a merge of two components costs; a *search* (`searches`)
decides which to merge. Both are open tables of functions. A search ends in groups of components,
and each group becomes one component with the group's exact moments (`pool.Pool.grouped`).

Reduction is not associative: pool stored block mixtures and reduce once, never reduce a reduced
one. Source: Patist, Kowalczyk, Marchiori 2006, section 2.
"""

from gmm_core.reduction.criteria import (
    CRITERIA,
    Criterion,
    bures_wasserstein,
    hotelling,
    integrated_squared_error,
    jeffreys,
    runnalls,
)
from gmm_core.reduction.pool import Pool, merge_pair
from gmm_core.reduction.searches import SEARCHES, Search, reduce

__all__ = [
    "CRITERIA",
    "SEARCHES",
    "Criterion",
    "Pool",
    "Search",
    "bures_wasserstein",
    "hotelling",
    "integrated_squared_error",
    "jeffreys",
    "merge_pair",
    "reduce",
    "runnalls",
]
