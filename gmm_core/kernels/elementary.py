"""exp and log of vectors, for compiled code: accurate to a few units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from gmm_core.kernels.vectors import (
    add,
    div,
    exponent,
    fma,
    mantissa,
    maximum,
    mul,
    power_of_two,
    splat,
    sub,
)

__all__ = ["exp", "log"]

_HALF_ROOT = math.sqrt(0.5)
# (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2 as a polynomial through Chebyshev's nodes, lowest power first,
# from rational arithmetic: e^r then has a relative error below 2e-17, and 1e-8 for float32.
_EXP_64 = (
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
)
_EXP_32 = (
    0.5,
    0.16666576989698775,
    0.041666554617204574,
    0.008363179052722578,
    0.0013926183587713494,
)


def exp(x: Any) -> Any:
    """e**x of a vector with lanes of 0 or less; never below 1e-307 (float32: 1e-37), so never
    subnormal, which would be slow."""
    raise NotImplementedError  # compiled code only


def log(x: Any) -> Any:
    """Natural logarithm of a vector with positive, normal lanes."""
    raise NotImplementedError  # compiled code only


@overload(exp)
def _exp(x: Any) -> Callable[[Any], Any]:
    real = np.float64 if x.element.bitwidth == 64 else np.float32
    wide = real is np.float64
    least = real(-707.0 if wide else -86.0)
    turns = real(1 / math.log(2))
    magic = real(1.5 * 2**52 if wide else 1.5 * 2**23)
    # ln 2 in two parts (Cody and Waite): the first has so few digits that n times it is exact.
    long = real(0.6931471803691238 if wide else 0.693145751953125)
    short = real(math.log(2) - float(long)) if not wide else real(1.9082149292705877e-10)
    one = real(1)
    c2, c3, c4, c5, c6, *rest = (real(c) for c in (_EXP_64 if wide else _EXP_32))
    c7, c8, c9, c10, c11 = rest or [real(0)] * 5

    def reduced(x: Any) -> Any:
        x = maximum(x, splat(least))
        whole = fma(x, splat(turns), splat(magic))
        n = sub(whole, splat(magic))
        return whole, fma(n, splat(-short), fma(n, splat(-long), x))

    reduced = njit(reduced)

    def exp_64(x: Any) -> Any:
        whole, r = reduced(x)
        r2 = mul(r, r)
        r4 = mul(r2, r2)
        a, b = fma(splat(c3), r, splat(c2)), fma(splat(c5), r, splat(c4))
        c, d = fma(splat(c7), r, splat(c6)), fma(splat(c9), r, splat(c8))
        e = fma(splat(c11), r, splat(c10))
        p = fma(fma(e, r4, fma(d, r2, c)), r4, fma(b, r2, a))
        return mul(add(fma(p, r2, r), splat(one)), power_of_two(whole))

    def exp_32(x: Any) -> Any:
        whole, r = reduced(x)
        r2 = mul(r, r)
        a, b = fma(splat(c3), r, splat(c2)), fma(splat(c5), r, splat(c4))
        p = fma(fma(splat(c6), r2, b), r2, a)
        return mul(add(fma(p, r2, r), splat(one)), power_of_two(whole))

    return exp_64 if wide else exp_32


@overload(log)
def _log(x: Any) -> Callable[[Any], Any]:
    real = np.float64 if x.element.bitwidth == 64 else np.float32
    wide = real is np.float64
    magic = real(2.0**52 + 1022 if wide else 2.0**23 + 126)
    half_root, ln2, half, one = real(_HALF_ROOT), real(math.log(2)), real(0.5), real(1)
    # log m = 2 artanh s = 2 s (1 + s^2 / 3 + s^4 / 5 + ...) with s = (m - 1) / (m + 1).
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 = (real(2 / (2 * n + 1)) for n in range(11))

    def split(x: Any) -> Any:
        m = mantissa(x)
        # 1 where m is above the root of 2, else 0: then m is halved. Exactly, or the logarithm of
        # what is next to 1 had no digit right.
        above = sub(exponent(mul(m, splat(half_root))), splat(magic))
        n = add(sub(exponent(x), splat(magic + one)), above)
        m = fma(mul(m, splat(-half)), above, m)
        return n, div(sub(m, splat(one)), add(m, splat(one)))

    split = njit(split)

    def log_64(x: Any) -> Any:
        n, s = split(x)
        z = mul(s, s)
        p = fma(fma(splat(c10), z, splat(c9)), z, splat(c8))
        p = fma(fma(fma(p, z, splat(c7)), z, splat(c6)), z, splat(c5))
        p = fma(fma(fma(p, z, splat(c4)), z, splat(c3)), z, splat(c2))
        p = fma(fma(p, z, splat(c1)), z, splat(c0))
        return fma(n, splat(ln2), mul(p, s))

    def log_32(x: Any) -> Any:
        n, s = split(x)
        z = mul(s, s)
        p = fma(fma(splat(c4), z, splat(c3)), z, splat(c2))
        p = fma(fma(p, z, splat(c1)), z, splat(c0))
        return fma(n, splat(ln2), mul(p, s))

    return log_64 if wide else log_32
