"""Special functions that Keras does not have, accurate in float32."""

import math

from keras import ops

from keras_fivo.types import Tensor

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
TINY = 1e-37
"""A normal number near the smallest of float32; keeps logarithms finite."""

# Chebyshev fit of erfc, relative error below 1.2e-7: Press et al., 1992,
# "Numerical Recipes", 6.2. Lowest power of 1 / (1 + x / 2) first.
_ERFC_COEFFICIENTS = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)

# Coefficients of `normal_quantile`, by the region of the probability.
_QUANTILE_NEAR = (
    (5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179),
    (6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0),
)
_QUANTILE_FAR = (
    (1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777),
    (1.2021132975e-1, 7.3700164250e-1, 1.0),
)
_QUANTILE_FARTHEST = (
    (1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150),
    (1.2258202635e-2, 2.4197894225e-1, 1.0),
)


def open_uniform(uniform: Tensor) -> Tensor:
    """Keeps uniforms in float32 away from 0 and 1."""
    return ops.clip(uniform, 2.0**-25, 1.0 - 2.0**-24)


def lesser_tail(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the probability of the nearer tail, and the sign of its side.

    Quantiles of symmetric distributions taken from it are as precise in
    either tail as the probability is.
    """
    upper = probability > 0.5
    tail = ops.where(upper, 1.0 - probability, probability)
    one = ops.ones_like(tail)
    return tail, ops.where(upper, one, -one)


def normal_cdf(x: Tensor) -> Tensor:
    """Returns the cumulative distribution function of the standard Normal."""
    return 0.5 * ops.erfc(-math.sqrt(0.5) * x)


def normal_quantile(probability: Tensor) -> Tensor:
    """Returns the inverse of `normal_cdf`, with a relative error below 1e-6.

    Reference:
        Wichura, 1988, "Algorithm AS 241: The Percentage Points of the
        Normal Distribution", PPND7.
    """
    tail, sign = lesser_tail(probability)
    centred = 0.5 - tail
    square = 0.180625 - ops.square(centred)
    near = centred * _fraction(square, *_QUANTILE_NEAR)
    depth = ops.sqrt(-ops.log(ops.clip(tail, TINY, 0.4)))
    far = _fraction(depth - 1.6, *_QUANTILE_FAR)
    farthest = _fraction(depth - 5.0, *_QUANTILE_FARTHEST)
    distance = ops.where(depth <= 5.0, far, farthest)
    distance = ops.where(centred <= 0.425, near, distance)
    endless = ops.full_like(tail, float("inf"))
    return sign * ops.where(tail > 0.0, distance, endless)


def _fraction(x: Tensor, above: tuple, below: tuple) -> Tensor:
    """Returns the ratio of two polynomials, highest power first."""
    values = []
    for coefficients in (above, below):
        value = ops.zeros_like(x)
        for coefficient in coefficients:
            value = value * x + coefficient
        values.append(value)
    return values[0] / values[1]


def log_mills_ratio(x: Tensor) -> Tensor:
    """Returns log((1 - cdf(x)) / density(x)) of the standard Normal, x >= 0.

    It has no exponential tail: the log of the upper tail is this plus the
    log density, and differences of tails do not cancel.
    """
    inverse = 1.0 / (1.0 + 0.5 * math.sqrt(0.5) * x)
    series = ops.zeros_like(x)
    for coefficient in reversed(_ERFC_COEFFICIENTS):
        series = series * inverse + coefficient
    return 0.5 * math.log(math.pi / 2) + ops.log(inverse) + series


def log_gamma(x: Tensor) -> Tensor:
    """Returns the log of the gamma function, x > 0.

    The error is about 1e-6, relative where the result is large and absolute
    where it is small.
    """
    return stirling_remainder(x) + (x - 1.0) * ops.log(x) - x


def stirling_remainder(x: Tensor) -> Tensor:
    """Returns log(Γ(x + 1) / (x / e)^x), x >= 0: small, and 0 at 0.

    Log probabilities of counts are sums of this and `deviance`; written with
    `log_gamma` they would cancel.

    Reference:
        Loader, 2000, "Fast and Accurate Computation of Binomial
        Probabilities".
    """
    near = ops.minimum(x, 3.0)
    shifted = near + 3.0
    product = (near + 1.0) * (near + 2.0) * shifted
    shifted_remainder = (
        _stirling_series(shifted)
        + shifted * ops.log(shifted)
        - 3.0
        - ops.log(product)
        - near * ops.log(ops.maximum(near, TINY))
    )
    far = _stirling_series(ops.maximum(x, 3.0))
    return ops.where(x < 3.0, shifted_remainder, far)


def _stirling_series(x: Tensor) -> Tensor:
    """Returns `stirling_remainder` for x >= 3."""
    inverse = 1.0 / x
    square = ops.square(inverse)
    series = 1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))
    return 0.5 * ops.log(x) + HALF_LOG_TWO_PI + inverse * series


def log_gamma_half_step(x: Tensor) -> Tensor:
    """Returns log(Γ(x + 1/2) / Γ(x)), x > 0, exact for large x too."""
    return (
        stirling_remainder(x + 0.5)
        - stirling_remainder(x)
        + (x - 0.5) * ops.log1p(0.5 / x)
        + 0.5 * ops.log(x)
        - 0.5
    )


def deviance(count: Tensor, expected: Tensor) -> Tensor:
    """Returns `count log(count / expected) + expected - count`, at least 0.

    Args:
        count: Not negative.
        expected: Positive.
    """
    difference = count - expected
    total = ops.maximum(count + expected, TINY)
    ratio = difference / total
    # Near: the series of log(count / expected) = 2 artanh(ratio).
    small = ops.clip(ratio, -0.1, 0.1)
    square = ops.square(small)
    tail = 1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))
    near = total * square * (1.0 + (1.0 + small) * small * tail)
    # Far: no quotient of numbers that may be far apart.
    middle = ops.clip(ratio, -0.9, 0.9)
    log_fraction = ops.where(
        ops.abs(ratio) < 0.9,
        ops.log1p(middle) - ops.log1p(-middle),
        ops.log(ops.maximum(count, TINY))
        - ops.log(ops.maximum(expected, TINY)),
    )
    far = count * log_fraction - difference
    return ops.where(ops.abs(ratio) < 0.1, near, far)


def log_sinh_ratio(x: Tensor) -> Tensor:
    """Returns log(sinh(x) / x), x >= 0."""
    near = ops.square(ops.minimum(x, 0.5))
    series = near * (1 / 6 - near * (1 / 180 - near / 2835))
    far = ops.maximum(x, 0.5)
    return ops.where(
        x < 0.5,
        series,
        far + ops.log1p(-ops.exp(-2.0 * far)) - ops.log(2.0 * far),
    )


def coth_remainder(x: Tensor) -> Tensor:
    """Returns (x coth(x) - 1) / x^2, x >= 0: 1/3 at 0, falling to 0."""
    near = ops.square(ops.minimum(x, 0.5))
    series = 1 / 3 - near * (1 / 45 - near * (2 / 945 - near / 4725))
    far = ops.maximum(x, 0.5)
    coth = 1.0 / ops.tanh(far)
    return ops.where(x < 0.5, series, (coth - 1.0 / far) / far)
