"""Powers and logarithms of 2, of vectors, for compiled code: accurate to a few units in the last place.

Shares are computed in bits, not nats: 2**x is cheaper than e**x, for the whole part of x is the
exponent and what is left needs no rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import overload

from gmm_core.kernels.options import compiled
from gmm_core.kernels.vectors import (
    add,
    div,
    exponent,
    fma,
    mantissa,
    maximum,
    mul,
    splat,
    sub,
    times_power_of_two,
)

__all__ = ["exp2", "log2"]

_HALF_ROOT = math.sqrt(0.5)
# (2^r - 1) / r on |r| <= 1/2 as a polynomial through Chebyshev's nodes but for 0, lowest power first, from
# rational arithmetic: 2^r then has a relative error below 4e-16, and 3e-9 for float32.
_EXP_64 = (
    0.69314718055995,
    0.24022650695910097,
    0.05550410866444772,
    0.009618129107606888,
    0.0013333558230164974,
    0.0001540353044173605,
    1.5252657260200837e-05,
    1.321544258792169e-06,
    1.0208690299958306e-07,
    7.072585949269224e-09,
)
_EXP_32 = (
    0.6931472067028326,
    0.24022650922288757,
    0.05550327226670302,
    0.009618056678524637,
    0.0013400428177615838,
    0.0001546144469856913,
)


def exp2(x: Any) -> Any:
    """2**x of a vector with lanes of 0 or less; never below 2**-1020 (float32: 2**-124), so never
    subnormal, which would be slow."""
    raise NotImplementedError  # compiled code only


def log2(x: Any) -> Any:
    """Logarithm to base 2 of a vector with positive, normal lanes."""
    raise NotImplementedError  # compiled code only


@overload(exp2)
def _exp2(x: Any) -> Callable[[Any], Any]:
    real = np.float64 if x.element.bitwidth == 64 else np.float32
    wide = real is np.float64
    least = real(-1020 if wide else -124)
    magic = real(1.5 * 2**52 if wide else 1.5 * 2**23)
    one = real(1)
    c1, c2, c3, c4, c5, c6, *rest = (real(c) for c in (_EXP_64 if wide else _EXP_32))
    c7, c8, c9, c10 = rest or [real(0)] * 4

    def reduced(x: Any) -> Any:
        x = maximum(x, splat(least))
        whole = add(x, splat(magic))
        return whole, sub(x, sub(whole, splat(magic)))

    reduced = compiled(reduced)

    def exp2_64(x: Any) -> Any:
        whole, r = reduced(x)
        r2 = mul(r, r)
        a = fma(
            fma(fma(fma(splat(c9), r2, splat(c7)), r2, splat(c5)), r2, splat(c3)), r2, splat(c1)
        )
        b = fma(
            fma(fma(fma(splat(c10), r2, splat(c8)), r2, splat(c6)), r2, splat(c4)), r2, splat(c2)
        )
        p = fma(b, r, a)
        return times_power_of_two(fma(p, r, splat(one)), whole)

    def exp2_32(x: Any) -> Any:
        whole, r = reduced(x)
        p = fma(fma(fma(splat(c6), r, splat(c5)), r, splat(c4)), r, splat(c3))
        p = fma(fma(p, r, splat(c2)), r, splat(c1))
        return times_power_of_two(fma(p, r, splat(one)), whole)

    return exp2_64 if wide else exp2_32


@overload(log2)
def _log2(x: Any) -> Callable[[Any], Any]:
    real = np.float64 if x.element.bitwidth == 64 else np.float32
    wide = real is np.float64
    magic = real(2.0**52 + 1022 if wide else 2.0**23 + 126)
    half_root, half, one = real(_HALF_ROOT), real(0.5), real(1)
    # log m = 2 artanh s = 2 s (1 + s^2 / 3 + s^4 / 5 + ...) with s = (m - 1) / (m + 1).
    bits = 1 / math.log(2)
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 = (real(2 * bits / (2 * n + 1)) for n in range(11))

    def split(x: Any) -> Any:
        m = mantissa(x)
        # 1 where m is above the root of 2, else 0: then m is halved. Exactly, or the logarithm of
        # what is next to 1 had no digit right.
        above = sub(exponent(mul(m, splat(half_root))), splat(magic))
        n = add(sub(exponent(x), splat(magic + one)), above)
        m = fma(mul(m, splat(-half)), above, m)
        return n, div(sub(m, splat(one)), add(m, splat(one)))

    split = compiled(split)

    def log2_64(x: Any) -> Any:
        n, s = split(x)
        z = mul(s, s)
        p = fma(fma(splat(c10), z, splat(c9)), z, splat(c8))
        p = fma(fma(fma(p, z, splat(c7)), z, splat(c6)), z, splat(c5))
        p = fma(fma(fma(p, z, splat(c4)), z, splat(c3)), z, splat(c2))
        p = fma(fma(p, z, splat(c1)), z, splat(c0))
        return fma(p, s, n)

    def log2_32(x: Any) -> Any:
        n, s = split(x)
        z = mul(s, s)
        p = fma(fma(splat(c4), z, splat(c3)), z, splat(c2))
        p = fma(fma(p, z, splat(c1)), z, splat(c0))
        return fma(p, s, n)

    return log2_64 if wide else log2_32
