"""What of the processor the vectors' length depends on."""

from __future__ import annotations

from numba.core.registry import cpu_target

__all__ = ["length_with", "vector_bytes"]

_WIDE = frozenset({"+avx512f", "+avx512dq", "+avx512vl"})


def vector_bytes() -> int:
    """Bytes of a vector on the processor that numba compiles for.

    By these very features numba tells apart what it keeps on disk.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return length_with(features)


def length_with(features: str) -> int:
    """Bytes of a vector register that has all operations: 64 with AVX-512, else 32.

    `features` as LLVM writes them: "+avx2,-avx512f". For loops that it vectorises by itself LLVM prefers 32
    on some processors that have 64; told the vectors' length it uses 64 on all of them.
    """
    return 64 if set(features.split(",")) >= _WIDE else 32
