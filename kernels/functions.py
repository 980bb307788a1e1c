"""Elementary functions of one number, computed in the dtype of the argument (float32 or float64).

They only use +, *, / and explicit fused multiply-adds, and selections instead of branches. Therefore LLVM vectorises
loops over them, and results have the same bits for every vector length and on every machine. Mathematical libraries
guarantee neither. NaN gives NaN, infinities and signed zeros give the limits, and results overflow and underflow
gradually where the exact values do.

The polynomials are minimax approximations in the relative error, with coefficients in the dtype, from Sollya's
`fpminimax`.
`bench/exhaustive_functions.py` measures the error over all float32 numbers.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import elementary
from ._simd import fma, vector_fma

__all__ = ["exp", "expm1", "gelu_cdf", "gelu_pdf", "log", "log1p_exp", "logistic", "tanh"]

f32, f64 = np.float32, np.float64


def row(dtype: type, text: str) -> tuple[Any, ...]:
    """Return the numbers in `text`."""
    return tuple(map(dtype, text.split()))


# Constants: pairs of named tuples, for float32 and for float64


class Exp(NamedTuple):
    """e^x = 2^n e^r, where n is the integer nearest to x / ln 2 and |r| <= ln(2) / 2."""

    lowest: Any  # e^lowest rounds to 0
    highest: Any  # e^highest overflows
    saturation: Any  # e^saturation - 1 rounds to -1
    tiny: Any  # e^x - 1 rounds to x for |x| < tiny
    log2_e: Any
    ln2_high: Any  # few bits, so that n ln2_high is exact
    ln2_low: Any
    # Adding 1.5 2^digits to a number rounds it to an integer, which is stored in the last bits of the sum. These
    # constants also contain the exponent bias and a shift, so that the bits are the exponent of a power of two:
    round_lifted: Any  # 2^n lift
    round_lowered: Any  # 2^n / lift
    round_halved: Any  # 2^n / 2
    lift: Any
    lower: Any  # 1 / lift
    c: tuple[Any, ...]  # p(r) = (e^r - 1 - r) / r^2


EXP = (
    Exp(
        lowest=f32(-104),
        highest=f32(89),
        saturation=f32(-40),
        tiny=f32(2**-25),
        log2_e=f32(1.4426950408889634),
        ln2_high=f32(0.693359375),
        ln2_low=f32(-2.1219444e-4),
        round_lifted=f32(1.5 * 2**23 + 127 + 64),
        round_lowered=f32(1.5 * 2**23 + 127 - 64),
        round_halved=f32(1.5 * 2**23 + 127 - 1),
        lift=f32(2**64),
        lower=f32(2**-64),
        c=row(f32, "0.5 0.16666667 0.04166651 0.0083332 0.0013930509 0.00019951104"),
    ),
    Exp(
        lowest=f64(-746),
        highest=f64(710),
        saturation=f64(-40),
        tiny=f64(2**-54),
        log2_e=f64(1.4426950408889634),
        ln2_high=f64(0.6931471806019545),
        ln2_low=f64(-4.2009150726810846e-11),
        round_lifted=f64(1.5 * 2**52 + 1023 + 512),
        round_lowered=f64(1.5 * 2**52 + 1023 - 512),
        round_halved=f64(1.5 * 2**52 + 1023 - 1),
        lift=f64(2**512),
        lower=f64(2**-512),
        c=row(
            f64,
            """
            0.5 0.1666666666666667 0.041666666666666644 0.008333333333325893 0.001388888888890493
            0.0001984126987543173 2.4801587272412393e-05 2.7557254788205797e-06 2.7557326151591045e-07
            2.5105429152315847e-08 2.0896804625748922e-09
            """,
        ),
    ),
)


class Log(NamedTuple):
    """log x = e ln 2 + log(1 + f), with sqrt(1/2) <= 1 + f < sqrt(2)."""

    smallest: Any  # normal number
    lift: Any  # makes subnormal numbers normal
    lift_exponent: Any
    ln2_high: Any
    ln2_low: Any
    sqrt_2_minus_1: Any
    c: tuple[Any, ...]  # (2 artanh(s) / s - 2) / s^2 in s^2, where s = f / (2 + f)


LOG = (
    Log(
        smallest=f32(2**-126),
        lift=f32(2**24),
        lift_exponent=f32(24),
        ln2_high=EXP[0].ln2_high,
        ln2_low=EXP[0].ln2_low,
        sqrt_2_minus_1=f32(0.41421356),
        c=row(f32, "0.66666687 0.39988554 0.2958665"),
    ),
    Log(
        smallest=f64(2**-1022),
        lift=f64(2**53),
        lift_exponent=f64(53),
        ln2_high=EXP[1].ln2_high,
        ln2_low=EXP[1].ln2_low,
        sqrt_2_minus_1=f64(0.41421356237309503),
        c=row(
            f64,
            """
            0.666666666666667 0.39999999999899455 0.28571428626141554 0.22222211098723083
            0.18182892072953938 0.15331617723725877 0.14617777271939375
            """,
        ),
    ),
)


class Tanh(NamedTuple):
    """tanh x = x + x^3 p(x^2) for |x| <= small, up to a value of 1/2."""

    small: Any
    c: tuple[Any, ...]  # p


TANH = (
    Tanh(
        small=f32(0.55),
        c=row(f32, "-0.3333333 0.13333072 -0.05390295 0.021274457 -0.0065497775"),
    ),
    Tanh(
        small=f64(0.55),
        c=row(
            f64,
            """
            -0.3333333333333333 0.13333333333332356 -0.0539682539671101 0.02186948848090186
            -0.00886323413027452 0.0035921070864923855 -0.001455636881531673 0.0005888182945520929
            -0.00023429766989344539 8.457794209184289e-05 -2.0241271648898144e-05
            """,
        ),
    ),
)


class Normal(NamedTuple):
    """P(X < -a) = e^(-a^2/2) g(a) for a standard normal X, where g falls from 1/2 like 1/a.

    g(a) (a + pole) is a polynomial in t = (a - pole) / (a + pole), which is the substitution of
    M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981), pages 249-253.
    """

    furthest: Any  # e^(-furthest^2/2) rounds to 0
    pole: Any
    density_at_0: Any
    c: tuple[Any, ...]


NORMAL = (
    Normal(
        furthest=f32(14.5),
        pole=f32(4),
        density_at_0=f32(0.3989422804014327),
        c=row(
            f32,
            """
            0.75528514 -0.6078966 0.38713664 -0.18652278 0.060406316 -0.007528061 -0.0035223297
            0.0015710955 0.00019314123 -0.00012473139
            """,
        ),
    ),
    Normal(
        furthest=f64(38.7),
        pole=f64(5),
        density_at_0=f64(0.3989422804014327),
        c=row(
            f64,
            """
            0.769193049750063 -0.6653825028900566 0.49530561596997497 -0.31353315667131315
            0.16502036617042962 -0.0691186387060233 0.020795066799201362 -0.002993376774839937
            -0.0007978693926943182 0.0005448991006408506 -5.937575626370418e-05 -4.976299355335695e-05
            1.6681290941727238e-05 3.981468386995874e-06 -2.769358818242892e-06 -3.3775602055784927e-07
            4.330781980588471e-07 4.36990073330609e-08 -6.560601315574606e-08 -1.0318977518569549e-08
            7.272441994451002e-09 2.060210528705324e-09
            """,
        ),
    ),
)


# LLVM instructions that Numba does not expose


@intrinsic
def for_dtype(typingctx, x, pair):
    """Return `pair[0]` if `x` is float32 and `pair[1]` if it is float64. The choice is made at compile time."""
    i = (types.float32, types.float64).index(x)
    sig = pair.types[i](x, pair)
    return sig, lambda context, builder, sig, args: builder.extract_value(args[1], i)


@intrinsic
def copysign(typingctx, x, sign):
    """Return |x| with the sign of `sign`."""

    def codegen(context, builder, sig, args):
        kind = args[0].type
        signature = ir.FunctionType(kind, [kind, kind])
        return builder.call(builder.module.declare_intrinsic("llvm.copysign", [kind], signature), args)

    return x(x, x), codegen


@intrinsic
def polynomial(typingctx, x, c):
    """Return c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule with one fma per step."""

    def codegen(context, builder, sig, args):
        *lower, value = cgutils.unpack_tuple(builder, args[1])
        for coefficient in reversed(lower):
            value = vector_fma(builder, value, args[0], coefficient)
        return value

    return x(x, c), codegen


def _layout(x):
    """Return the LLVM integer type of the size of `x`, the number of stored digits and the exponent bias of `x`."""
    return (ir.IntType(32), 23, 127) if x == types.float32 else (ir.IntType(64), 52, 1023)


@intrinsic
def power_of_two(typingctx, t):
    """Return the number whose sign and exponent are the last bits of `t`; see `Exp`."""
    integer, digits, _ = _layout(t)

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], integer)
        return builder.bitcast(builder.shl(bits, integer(digits)), args[0].type)

    return t(t), codegen


@intrinsic
def split(typingctx, x):
    """Return (m, e) with x = m 2^e and sqrt(1/2) <= m < sqrt(2), for a positive normal x."""
    integer, digits, bias = _layout(x)
    root = {23: 0x3F3504F3, 52: 0x3FE6A09E667F3BCD}[digits]  # sqrt(1/2)

    def codegen(context, builder, sig, args):
        kind = args[0].type
        bits = builder.bitcast(args[0], integer)
        above = builder.sub(bits, integer(root))
        whole = builder.and_(above, integer(-1 << digits))
        m = builder.bitcast(builder.sub(bits, whole), kind)
        # Store e + bias in the last bits of 2^digits, because AVX2 cannot convert 64-bit integers to float.
        above = builder.add(above, integer(bias << digits))
        last = builder.lshr(above, integer(digits))
        shift = ir.Constant(kind, float(2**digits))
        e = builder.bitcast(builder.or_(last, builder.bitcast(shift, integer)), kind)
        e = builder.fsub(e, ir.Constant(kind, float(2**digits + bias)))
        return context.make_tuple(builder, sig.return_type, (m, e))

    return types.UniTuple(x, 2)(x), codegen


# The functions


@elementary
def exp(x):
    """e^x, within 1 ulp."""
    return scaled_exp(x, type(x)(-0.0), type(x)(1))


@elementary
def scaled_exp(x, rest, factor):
    """factor e^(x + rest), for |rest| below 2^-10 and a factor in (2^-10, 1]."""
    k = for_dtype(x, EXP)
    zero = type(x)(0)
    x = k.lowest if x < k.lowest else x
    x = k.highest if x > k.highest else x
    # A float cannot represent 2^n for all n from subnormal numbers to overflow, so use 2^n = 2^(n + lift) 2^-lift.
    scale, r, p = reduced(x, rest, k.round_lowered if x > zero else k.round_lifted, k)
    scale *= factor
    return fma(fma(r * r, p, r), scale, scale) * (k.lift if x > zero else k.lower)


@elementary
def reduced(x, rest, rounder, k):
    """Return (2^n times the factor of `rounder`, r, p), where x + rest = n ln 2 + r and e^r = 1 + r + r^2 p.

    If there is no rest, pass -0.0. Adding it changes no number, so the compiler removes the addition.
    """
    t = fma(x, k.log2_e, rounder)
    n = t - rounder
    r = fma(n, -k.ln2_low, fma(n, -k.ln2_high, x) + rest)
    return power_of_two(t), r, polynomial(r, k.c)


@elementary
def expm1(x):
    """e^x - 1, within 2 ulp."""
    k = for_dtype(x, EXP)
    y = k.saturation if x < k.saturation else x
    y = k.highest if y > k.highest else y
    # Compute half the value, because 2^n overflows for smaller x than the value does.
    scale, r, p = reduced(y, type(x)(-0.0), k.round_halved, k)
    y = fma(r * r * p, scale, fma(r, scale, scale - type(x)(0.5)))
    return x if abs(x) < k.tiny else y + y


@elementary
def logistic(x):
    """1 / (1 + e^-x), within 2 ulp."""
    k = for_dtype(x, EXP)
    y = k.saturation if -x < k.saturation else -x
    y = -k.lowest if y > -k.lowest else y
    # Scale the numerator and the denominator down, so that a small result does not underflow too early.
    scale, r, p = reduced(y, type(x)(-0.0), k.round_lowered, k)
    # Add the rounding error of 2^n + 1 again. If 2^n is large, it would cost 1 ulp.
    total = scale + k.lower
    lost = scale - total + k.lower
    return k.lower / (fma(fma(r * r, p, r), scale, lost) + total)


@elementary
def tanh(x):
    """The hyperbolic tangent, within 2 ulp: 1 - 2 / (1 + e^2x), or a polynomial where this would cancel."""
    k, e = for_dtype(x, TANH), for_dtype(x, EXP)
    real = type(x)
    a = abs(x)
    y = real(2) * a
    y = -e.saturation if y > -e.saturation else y
    scale, r, p = reduced(y, real(-0.0), e.round_halved, e)
    large = real(1) - real(1) / fma(fma(r * r, p, r), scale, scale + real(0.5))
    a2 = a * a
    small = fma(a * a2, polynomial(a2, k.c), a)
    return copysign(large if a > k.small else small, x)


@elementary
def log(x):
    """The natural logarithm, within 1 ulp; -inf for 0 and NaN for negative numbers."""
    k = for_dtype(x, LOG)
    real = type(x)
    zero, infinity = real(0), real(np.inf)
    small = x < k.smallest
    m, e = split(x * k.lift if small else x)
    y = scaled_log1p(m - real(1), e - k.lift_exponent if small else e, k)
    y = y if x < infinity else x
    return y if x > zero else (-infinity if x == zero else real(np.nan))


@elementary
def scaled_log1p(f, e, k):
    """log(1 + f) + e ln 2, for sqrt(1/2) <= 1 + f < sqrt(2).

    log(1 + f) = 2 artanh(s) = f - f^2/2 + s (f^2/2 + R), where s = f / (2 + f) and R = 2 artanh(s) / s - 2:
    the leading term is exact (FreeBSD's e_log.c).
    """
    s = f / (type(f)(2) + f)
    s2 = s * s
    square = type(f)(0.5) * f * f
    tail = fma(s, fma(s2, polynomial(s2, k.c), square), e * k.ln2_low)
    return fma(e, k.ln2_high, f - (square - tail))


@elementary
def log1p_exp(x):
    """log(1 + e^x) (softplus), within 2 ulp."""
    k = for_dtype(x, LOG)
    zero, one = type(x)(0), type(x)(1)
    z = exp(-abs(x))
    large = z > k.sqrt_2_minus_1
    f = (z - one) * type(x)(0.5) if large else z  # 1 + z = 2 (1 + f), or 1 + f
    y = scaled_log1p(f, one if large else zero, k)
    return x + y if x > zero else y


@elementary
def gelu_cdf(x):
    """The standard normal distribution function P(X < x), within 4 ulp."""
    k = for_dtype(x, NORMAL)
    real = type(x)
    a = abs(x)
    a = k.furthest if a > k.furthest else a
    w = real(1) / (a + k.pole)
    error = fma(-w, a, fma(-w, k.pole, real(1)))  # relative error of w; it costs 1 ulp near 0
    u = a * w
    t = fma(real(2), fma(u, error, u), real(-1))  # 1 - 2 pole w would enlarge the error of w by 2 pole
    y = scaled_normal(a, error, w * polynomial(t, k.c))
    return real(1) - y if x > real(0) else y


@elementary
def gelu_pdf(x):
    """The derivative of `gelu_cdf`, the standard normal density e^(-x^2/2) / sqrt(2 pi), within 2 ulp."""
    k = for_dtype(x, NORMAL)
    a = abs(x)
    a = k.furthest if a > k.furthest else a
    return scaled_normal(a, type(x)(-0.0), k.density_at_0)


@elementary
def scaled_normal(x, rest, factor):
    """factor e^(rest - x^2/2).   The square has twice the precision, because rounding it would cost 2^7 ulp."""
    half = type(x)(-0.5)
    square = x * x
    return scaled_exp(half * square, fma(half, fma(x, x, -square), rest), factor)
