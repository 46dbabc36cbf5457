"""How the inner loops are compiled."""

from __future__ import annotations

from numba import njit

__all__ = ["compiled", "entry"]

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
compiled = njit(**_OPTIONS)
"""For functions that only compiled code calls."""
entry = njit(cache=True, **_OPTIONS)
"""For functions that Python calls: their machine code, and all it calls, is kept on disk."""
