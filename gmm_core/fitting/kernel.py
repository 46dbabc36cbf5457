"""Which kernel computes the E-steps of a fit."""

from __future__ import annotations

from typing import Literal

from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import Kernel, numpy_kernel
from gmm_core.fitting.rows import Rows

__all__ = ["KernelName", "kernel_of"]

KernelName = Literal["auto", "compiled", "numpy"]

# Numbers times components times steps: below, loading compiled code takes longer than it saves.
_MUCH = 10_000_000
_STEPS = 100  # that a start takes, more or less, where it may take more


def kernel_of(name: KernelName, rows: Rows, k: int, starts: int, max_iter: int) -> Kernel:
    """The kernel of that name; "auto" is the compiled one where there is much to compute."""
    if name == "auto":
        work = rows.values.size * k * starts * min(max_iter, _STEPS)
        return compiled_kernel if work >= _MUCH else numpy_kernel
    return compiled_kernel if name == "compiled" else numpy_kernel
