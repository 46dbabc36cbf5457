"""What the processor is that code is compiled for."""

from __future__ import annotations

from numba.core.registry import cpu_target

__all__ = ["vector_bytes"]

_WIDE = ("+avx512f", "+avx512dq", "+avx512vl")


def vector_bytes() -> int:
    """Bytes of a vector register that has all operations: 64 with AVX-512, else 32.

    Where LLVM chooses itself, it prefers 32 on some processors that have 64; told the vectors' length,
    it uses 64 there too. By these very features numba tells apart what it keeps on disk.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return 64 if set(_WIDE) <= set(features.split(",")) else 32
