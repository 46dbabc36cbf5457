"""Powers and logarithms of 2, of vectors, for compiled code: accurate to a few units in the last place.

Shares are computed in bits, not nats: 2**x is cheaper than e**x, for the whole part of x is the
exponent and what is left needs no rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from gmm_core.kernels.emit import fused, integers, larger

__all__ = ["exp2", "exponent", "log2", "mantissa"]

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


# Coefficients of log2 m = s (c_0 + c_1 s^2 + c_2 s^4 + ...), s = (m - 1) / (m + 1): twice artanh s in bits.
_LOG = tuple(2 / math.log(2) / (2 * n + 1) for n in range(11))
_LOG_32 = _LOG[:5]


def exponent_of(builder: Any, x: Any) -> Any:
    """Biased exponent of positive lanes, plus 2**52 (float32: 2**23)."""
    kind, wide = integers(x.type), x.type.element == ir.DoubleType()
    shifted = builder.lshr(builder.bitcast(x, kind), _all(kind, 52 if wide else 23))
    lifted = builder.or_(shifted, _all(kind, 0x433 << 52 if wide else 0x96 << 23))
    return builder.bitcast(lifted, x.type)


def mantissa_of(builder: Any, x: Any) -> Any:
    """Lanes divided by the power of two that brings them to [1, 2)."""
    kind, wide = integers(x.type), x.type.element == ir.DoubleType()
    kept = builder.and_(builder.bitcast(x, kind), _all(kind, (1 << (52 if wide else 23)) - 1))
    return builder.bitcast(
        builder.or_(kept, _all(kind, 0x3FF << 52 if wide else 0x7F << 23)), x.type
    )


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _emitted(emit: Callable[[Any, Any], Any]) -> Any:
    def typed(typing: Any, vector: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return vector(vector), code

    return intrinsic(typed)


exponent, mantissa = _emitted(exponent_of), _emitted(mantissa_of)
"""`exponent_of` and `mantissa_of`, for compiled code."""


@intrinsic
def exp2(typing: Any, x: Any) -> Any:
    """2**x of a vector with lanes of 0 or less; never below 2**-1020 (float32: 2**-124), so never
    subnormal, which would be slow."""
    wide = x.element.bitwidth == 64

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        bounded = larger(builder, args[0], _constant(kind, -1020 if wide else -124))
        magic = _constant(kind, 1.5 * 2**52 if wide else 1.5 * 2**23)
        whole = builder.fadd(bounded, magic)
        r = builder.fsub(bounded, builder.fsub(whole, magic))
        power = _power_64(builder, r) if wide else _horner(builder, r, _EXP_32)
        power = fused(builder, power, r, _constant(kind, 1.0))
        # n stands in the lowest bits of the sum with the magic number, and is added to the exponent.
        bits, n = (builder.bitcast(one, integers(kind)) for one in (power, whole))
        moved = builder.shl(n, ir.Constant(integers(kind), [52 if wide else 23] * kind.count))
        return builder.bitcast(builder.add(bits, moved), kind)

    return x(x), code


@intrinsic
def log2(typing: Any, x: Any) -> Any:
    """Logarithm to base 2 of a vector with positive, normal lanes."""
    wide = x.element.bitwidth == 64

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        magic = 2.0**52 + 1022 if wide else 2.0**23 + 126
        m = mantissa_of(builder, args[0])
        # 1 where m is above the root of 2, else 0: then m is halved. Exactly, or the logarithm of
        # what is next to 1 had no digit right.
        beside = builder.fmul(m, _constant(kind, _HALF_ROOT))
        above = builder.fsub(exponent_of(builder, beside), _constant(kind, magic))
        n = builder.fsub(exponent_of(builder, args[0]), _constant(kind, magic + 1))
        n = builder.fadd(n, above)
        m = fused(builder, builder.fmul(m, _constant(kind, -0.5)), above, m)
        one = _constant(kind, 1.0)
        s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
        factor = _horner(builder, builder.fmul(s, s), _LOG if wide else _LOG_32)
        return fused(builder, factor, s, n)

    return x(x), code


def _power_64(builder: Any, r: Any) -> Any:
    """The even and the odd powers apart: two shorter chains of operations that wait for each other."""
    square = builder.fmul(r, r)
    even, odd = (_horner(builder, square, _EXP_64[first::2]) for first in (0, 1))
    return fused(builder, odd, r, even)


def _horner(builder: Any, x: Any, coefficients: Sequence[float]) -> Any:
    """The polynomial with these coefficients, lowest power first."""
    value = _constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = fused(builder, value, x, _constant(x.type, coefficient))
    return value


def _constant(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [float(value)] * kind.count)
