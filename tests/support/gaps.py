"""Rows that lack values."""

from __future__ import annotations

import numpy as np

NAN = float("nan")


def with_gaps(X: np.ndarray, seed: int, share: float = 0.25) -> np.ndarray:
    """The rows with values missing completely at random, each row and feature keeping one."""
    rng = np.random.default_rng(seed)
    gone = rng.random(X.shape) < share
    gone[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    gone[0] = False
    return np.where(gone, NAN, X)
