"""Student's t distribution."""

import math

from keras import ops

from keras_fivo.distributions.distribution import Distribution, Symmetric
from keras_fivo.distributions.special import (
    TINY,
    log_gamma_half_step,
    open_uniform,
)
from keras_fivo.types import Tensor

_LARGEST = 85.0
"""Log of the largest distance, but for the root of the degrees."""

_FAR = 15.0
"""Log of a distance, in scales times the root of the degrees."""


class StudentT(Symmetric, Distribution):
    """Independent entries `loc + scale * t`, t of Student's distribution.

    A sample takes two uniforms by entry. `mean` is the location, which is
    the mean where there are more than one degrees of freedom.

    Args:
        degrees: `(rows, ...)`. Degrees of freedom, positive.
        loc: `(rows, ...)`. Locations.
        scale: `(rows, ...)`. Scales, positive; not the standard deviations.

    Reference:
        Bailey, 1994, "Polar Generation of Random Variates with the
        t-Distribution".
    """

    parameter_names = ("degrees", "loc", "scale")
    noise = "uniform"
    noise_per_entry = 2

    def __init__(self, degrees: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.degrees = degrees
        self.loc = loc
        self.scale = scale

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry, in nats."""
        distance = ops.abs(value - self.loc)
        unit = self.scale * ops.sqrt(self.degrees)
        # Far out the square leaves float32, and 1 counts for nothing.
        near = ops.minimum(distance, math.exp(_FAR) * unit) / self.scale
        log_far = ops.log(ops.maximum(distance, TINY)) - ops.log(unit)
        log_growth = ops.where(
            log_far < _FAR,
            ops.log1p(ops.square(near) / self.degrees),
            2.0 * log_far,
        )
        return (
            log_gamma_half_step(0.5 * self.degrees)
            - 0.5 * ops.log(math.pi * self.degrees)
            - ops.log(self.scale)
            - 0.5 * (self.degrees + 1.0) * log_growth
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Samples by the polar method; uniform noise `(..., 2 * features)`.

        Exact, but for distances from the location that float32 does not
        hold: they count as its largest, about 1e37.
        """
        first, second = ops.split(noise, 2, axis=-1)
        power = -2.0 / self.degrees * ops.log(open_uniform(first))
        # sqrt(expm1(power)), of which exp(power / 2) may be too large.
        log_distance = ops.log(self.scale) + 0.5 * power
        distance = ops.exp(ops.minimum(log_distance, _LARGEST))
        distance = distance * ops.sqrt(-self.degrees * ops.expm1(-power))
        return self.loc + distance * ops.cos(2.0 * math.pi * second)
