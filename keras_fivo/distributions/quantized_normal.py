"""The Normal distribution of quantised values."""

import math

from keras import ops

from keras_fivo.distributions.normal import Normal
from keras_fivo.distributions.special import (
    HALF_LOG_TWO_PI,
    TINY,
    coth_remainder,
    log_mills_ratio,
    log_sinh_ratio,
)
from keras_fivo.types import Tensor

_NARROW = 0.25
"""Windows below this many standard deviations are integrated by a series."""


class QuantizedNormal(Normal):
    """Independent Normal entries, rounded to multiples of a width.

    The log probability of a value is that of the Normal between half a width
    below and half a width above it, so it is at most 0 and can be compared
    across families of distributions. It is also defined off the grid.

    The mean is that of the Normal before rounding, which differs from the
    mean after it by less than half a width.

    Args:
        loc: `(rows, ...)`. Means before rounding.
        scale: `(rows, ...)`. Standard deviations before rounding.
        width: Distance of neighbouring values, in the units of the data.
        offset: Where the grid begins; values are `offset + k * width`. Only
            samples, modes and quantiles need it.
        centered: Whether the window is around a value, rather than from it
            to `width` above.
        floor: Added to each probability, as the code of the paper has it.

    Reference:
        Marino et al., 2018, "A General Method for Amortizing Variational
        Filtering".
    """

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        width: float,
        offset: float = 0.0,
        centered: bool = True,
        floor: float = 0.0,
    ) -> None:
        super().__init__(loc, scale)
        self.width = width
        self.offset = offset
        self.centered = centered
        self.floor = floor

    @property
    def constants(self) -> dict:
        """The grid."""
        names = ("width", "offset", "centered", "floor")
        return {name: getattr(self, name) for name in names}

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of a window around entries, in nats."""
        middle = value if self.centered else value + 0.5 * self.width
        distance = ops.abs(middle - self.loc) / self.scale
        window = self.width / self.scale
        log_density = -0.5 * ops.square(distance) - HALF_LOG_TWO_PI
        found = ops.where(
            window < _NARROW,
            log_density + _log_narrow(distance, window),
            _log_wide(distance, ops.maximum(window, _NARROW)),
        )
        if self.floor:
            found = ops.logaddexp(found, math.log(self.floor))
        return found

    def sample(self, noise: Tensor) -> Tensor:
        """Rounds a Normal sample; noise is standard Normal."""
        return self._round(super().sample(noise))

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Samples; returns the log probability too, `(rows,)`."""
        value = self.sample(noise)
        return value, self.log_prob(value)

    @property
    def mode(self) -> Tensor:
        """The value nearest to the mean."""
        return self._round(self.loc)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Rounds the quantile of the Normal; down from half-way."""
        value = super().quantile(probability)
        half = 0.5 if self.centered else 1.0
        steps = ops.ceil((value - self.offset) / self.width - half)
        return self.offset + self.width * steps

    def kl(self, other: Normal) -> Tensor:
        """Raises an error: there is no closed form."""
        raise NotImplementedError(
            "The KL divergence of rounded Normals has no closed form."
        )

    def _round(self, value: Tensor) -> Tensor:
        steps = (value - self.offset) / self.width
        steps = ops.round(steps) if self.centered else ops.floor(steps)
        return self.offset + self.width * steps


def _log_narrow(distance: Tensor, window: Tensor) -> Tensor:
    """Returns the log of (probability of the window / density at its centre).

    The density over the window is exp(-distance t - t^2 / 2) times that at
    its centre: the first factor is integrated, the second taken by its mean
    under the first. The error is of the fourth order in the window.
    """
    slope = 0.5 * distance * window
    curvature = ops.square(window) / 8 * (1.0 - 2.0 * coth_remainder(slope))
    return ops.log(window) + log_sinh_ratio(slope) - curvature


def _log_wide(distance: Tensor, window: Tensor) -> Tensor:
    """Returns the log probability of a window that is not narrow."""
    lower, upper = distance - 0.5 * window, distance + 0.5 * window
    # Around the mean: two positive terms, which cannot cancel.
    half = math.sqrt(0.5)
    inside = 0.5 * (ops.erf(half * upper) - ops.erf(half * lower))
    # In the tail: Q(lower) - Q(upper) = Q(lower) (1 - exp(-fall)).
    start = ops.maximum(lower, 0.0)
    log_mills = log_mills_ratio(start)
    log_start = log_mills - 0.5 * ops.square(start) - HALF_LOG_TWO_PI
    fall = distance * window + log_mills - log_mills_ratio(upper)
    fall = ops.maximum(fall, 1e-2)
    return ops.where(
        lower < 0.0,
        ops.log(ops.maximum(inside, TINY)),
        log_start + ops.log1p(-ops.exp(-fall)),
    )
