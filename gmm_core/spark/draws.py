"""Draws as columns: uniform and normal numbers that a row's key and a seed decide.

The hash is that of every random choice of this package (`gmm_core.normalising.hashing`), so a draw is
the same on any engine and any partition.
"""

from __future__ import annotations

import math

from pyspark.sql import Column
from pyspark.sql import functions as sf

from gmm_core.normalising.hashing import salt_of
from gmm_core.sql.drawn import hash_bits

__all__ = ["normals", "uniform"]


def uniform(seed: int, name: str, key: str) -> Column:
    """Above 0 and below 1, 52 bits, for an integer column; `name` is of what the draw decides."""
    bits = sf.expr(hash_bits(salt_of(seed, name), [key]))
    return (sf.shiftrightunsigned(bits, 12) + 0.5) * 2.0**-52


def normals(count: int, seed: int, key: str) -> dict[str, Column]:
    """Standard normal columns z0, z1, ..., two from each pair of uniforms (Box and Muller 1958)."""
    made = {}
    for index in range(count):
        radius = sf.sqrt(sf.log(uniform(seed, f"radius {index // 2}", key)) * -2.0)
        angle = uniform(seed, f"angle {index // 2}", key) * (2 * math.pi)
        made[f"z{index}"] = radius * (sf.sin(angle) if index % 2 else sf.cos(angle))
    return made
