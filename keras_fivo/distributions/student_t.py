"""Student's t distribution."""

import math

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.special import log_gamma_half_step, open_uniform
from keras_fivo.types import Tensor


class StudentT(Distribution):
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
        """Log density of each entry, in nats."""
        ratio = ops.square((value - self.loc) / self.scale) / self.degrees
        return (
            log_gamma_half_step(0.5 * self.degrees)
            - 0.5 * ops.log(math.pi * self.degrees)
            - ops.log(self.scale)
            - 0.5 * (self.degrees + 1.0) * ops.log1p(ratio)
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Exact, by the polar method; uniform noise `(..., 2 * features)`."""
        first, second = ops.split(noise, 2, axis=-1)
        power = -2.0 / self.degrees * ops.log(open_uniform(first))
        radius = ops.sqrt(self.degrees * ops.expm1(power))
        angle = 2.0 * math.pi * second
        return self.loc + self.scale * radius * ops.cos(angle)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc
