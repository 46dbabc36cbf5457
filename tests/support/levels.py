"""Random but reproducible mixtures and rows with categorical features."""

from __future__ import annotations

import numpy as np
from mixtures import random_mixture

from gmm_core.block import fit_block
from gmm_core.features import Feature
from gmm_core.gaussian import CovarianceType
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.summary import BlockSummary


def features_of(d: int, sizes: tuple[int, ...]) -> list[Feature]:
    """`d` numeric features, then categorical ones of so many levels, the last of each undeclared."""
    numeric = [Feature(f"x{index}") for index in range(d)]
    return numeric + [
        Feature(f"c{index}", levels=tuple(f"l{level}" for level in range(size - 1)))
        for index, size in enumerate(sizes)
    ]


def random_mixed(
    seed: int,
    k: int,
    d: int,
    sizes: tuple[int, ...],
    kind: CovarianceType = "full",
    spread: float = 4.0,
) -> MixedMixture:
    """Components that differ in numbers and in levels."""
    rng = np.random.default_rng(seed)
    tables = []
    for size in sizes:
        table = rng.dirichlet(np.ones(size), k) + 0.01
        tables.append(table / table.sum(axis=1, keepdims=True))
    return MixedMixture(random_mixture(seed, k, d, kind, spread), tuple(tables))


def mixed_block(seed: int, key: str, n: int, sizes: tuple[int, ...], k: int = 2) -> BlockSummary:
    """The summary of rows of a random mixture in two numeric features."""
    rows = random_mixed(seed, 3, 2, sizes).sample(n, seed)
    return fit_block("s", key, features_of(2, sizes), rows, k=k, restarts=1, seed=seed)
