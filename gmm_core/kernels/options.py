"""How the inner loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from gmm_core.kernels.emit import VECTOR_BYTES

__all__ = ["compiled", "entry", "inlined", "making"]

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
# What Python would call them by takes as long to compile as many of them do.
_INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "no_rewrites": True}
making = njit(**_INNER)
"""For functions that only compiled code calls and that make arrays, or give them back."""
compiled = njit(_nrt=False, **_INNER)
"""For functions that only compiled code calls: the arrays they are given are their callers', and not
counted, which takes a quarter of the time to compile. They must neither make an array nor give one back."""
inlined = njit(inline="always", **_OPTIONS)
"""For parts of one compiled function that have a name of their own: compiled with it, once."""

# numba finds machine code on disk by the processor, a function's name and the age of its file alone, but
# most of what an entry is made of stands in other files.
_SOURCES = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
_VERSION = hashlib.sha256(_SOURCES + bytes([VECTOR_BYTES])).hexdigest()[:8]


def entry(function: Callable[..., Any]) -> Any:
    """For functions that Python calls: their machine code, and all it calls, is kept on disk."""
    function.__qualname__ += f"_{_VERSION}"
    return njit(cache=True, **_OPTIONS)(function)
