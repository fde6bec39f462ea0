"""How to resample: which particle each new particle descends from."""

import math
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_positive
from keras_fivo.lookup import Configurable, find
from keras_fivo.smc.weights import log_sum_exp, normalize_weights
from keras_fivo.types import Nested, SeedLike, Shape, Tensor

_JUST_BELOW_ONE = 1.0 - 2.0**-24


class ResamplingScheme(Configurable):
    """Chooses `(batch, particles)` ancestors from log-weights and noise.

    With the schemes that choose ancestors, the filter's estimate of the
    evidence is unbiased and the mean of its logarithm a lower bound.
    Gradients do not flow through the choice.
    """

    blends = False
    """Whether new particles are blends of old ones, rather than copies."""

    def noise_shape(self, num_particles: int) -> Shape:
        """Returns the shape of the noise of one step of one sequence."""
        return (num_particles,)

    def draw(self, shape: Shape, num_particles: int, seed: SeedLike) -> Tensor:
        """Returns the noise `(*shape, *noise_shape)`: uniforms in [0, 1)."""
        return backend.draw(
            "uniform", (*shape, *self.noise_shape(num_particles)), seed
        )

    def ancestors(self, log_weights: Tensor, noise: Tensor) -> Tensor:
        """Returns each new particle's parent, int32 `(batch, particles)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `ancestors`."
        )

    def __call__(
        self,
        particles: Nested,
        log_weights: Tensor,
        noise: Tensor,
        resample: Tensor,
    ) -> tuple[Nested, Tensor]:
        """Moves the particles of the sequences that resample.

        Args:
            particles: Nested tensors `(batch * particles, ...)`.
            log_weights: `(batch, particles)`, in nats.
            noise: `(batch, *noise_shape)`.
            resample: Boolean `(batch,)`.

        Returns:
            The particles, and int32 ancestors `(batch, particles)`.
        """
        same = ops.arange(int(log_weights.shape[1]), dtype="int32")
        ancestors = ops.where(
            ops.expand_dims(resample, -1),
            self.ancestors(log_weights, noise),
            ops.expand_dims(same, 0),
        )
        return gather_particles(particles, ancestors), ancestors


def gather_particles(particles: Nested, ancestors: Tensor) -> Nested:
    """Returns rows of each sequence's ancestors.

    Args:
        particles: Nested tensors `(batch * particles, ...)`.
        ancestors: Int32 `(batch, new_particles)`.
    """
    batch = ops.shape(ancestors)[0]
    leaves = keras.tree.flatten(particles)
    num_particles = ops.shape(leaves[0])[0] // batch
    starts = ops.arange(batch, dtype="int32") * num_particles
    # (batch, new_particles) -> (batch * new_particles,)
    rows = ops.reshape(ancestors + ops.expand_dims(starts, -1), (-1,))
    return keras.tree.map_structure(
        lambda x: ops.take(x, rows, axis=0), particles
    )


def _invert(log_weights: Tensor, positions: Tensor) -> Tensor:
    """Finds the first particle whose cumulative weight exceeds a position.

    The largest cumulative weight of a living particle is made exactly one
    and positions are kept below it, so that there always is such a particle,
    in whichever order a backend adds up.
    """
    weights = normalize_weights(ops.stop_gradient(log_weights))
    cumulative = ops.cumsum(weights, axis=-1)
    cumulative = ops.where(weights > 0, cumulative, ops.zeros_like(weights))
    largest = ops.max(cumulative, axis=-1, keepdims=True)
    cumulative = cumulative / ops.where(
        largest > 0, largest, ops.ones_like(largest)
    )
    positions = ops.minimum(positions, _JUST_BELOW_ONE)
    # (batch, 1, old) > (batch, new, 1)
    exceeds = ops.expand_dims(cumulative, 1) > ops.expand_dims(positions, 2)
    index = ops.arange(int(log_weights.shape[-1]), dtype="int32")
    return ops.min(ops.where(exceeds, index, index[-1]), axis=-1)


@keras.saving.register_keras_serializable(package="keras_fivo")
class Multinomial(ResamplingScheme):
    """Independent ancestors (Gordon et al., 1993), the original's choice."""

    def ancestors(self, log_weights: Tensor, noise: Tensor) -> Tensor:
        """Returns int32 `(batch, particles)`; see `ResamplingScheme`."""
        return _invert(log_weights, noise)


@keras.saving.register_keras_serializable(package="keras_fivo")
class Stratified(ResamplingScheme):
    """One position in each of `particles` equal strata (Kitagawa, 1996)."""

    def ancestors(self, log_weights: Tensor, noise: Tensor) -> Tensor:
        """Returns int32 `(batch, particles)`; see `ResamplingScheme`."""
        num_particles = int(log_weights.shape[-1])
        strata = ops.arange(num_particles, dtype="float32")
        return _invert(log_weights, (strata + noise) / num_particles)


@keras.saving.register_keras_serializable(package="keras_fivo")
class Systematic(Stratified):
    """Equally spaced positions with one common offset.

    The numbers of offspring differ from `particles * weight` by less than
    one (Carpenter et al., 1999).
    """

    def noise_shape(self, num_particles: int) -> Shape:
        """Returns the shape of one uniform for all particles."""
        return (1,)


@keras.saving.register_keras_serializable(package="keras_fivo")
class Replay(ResamplingScheme):
    """Repeats given ancestors, which take the place of the noise."""

    def draw(self, shape: Shape, num_particles: int, seed: SeedLike) -> Tensor:
        """Refuses to draw: ancestors are given."""
        raise ValueError(
            "`Replay` repeats given ancestors: pass them as the "
            "'resampling' entry of the noise, (batch, time, particles). "
            "Received: no noise."
        )

    def ancestors(self, log_weights: Tensor, noise: Tensor) -> Tensor:
        """Returns the noise, as int32."""
        return ops.cast(noise, "int32")


@keras.saving.register_keras_serializable(package="keras_fivo")
class Relaxed(ResamplingScheme):
    """Blends particles by Gumbel-softmax weights (Maddison et al., 2017).

    Gradients flow through the blend. The filter's value is biased and is
    *not* a lower bound on the log evidence.

    Args:
        temperature: Temperature of the softmax; towards 0, blends become
            choices.
    """

    blends = True

    def __init__(self, temperature: float = 0.5) -> None:
        self.temperature = check_positive("temperature", temperature)

    def noise_shape(self, num_particles: int) -> Shape:
        """Returns that of a Gumbel variable for each new and old particle."""
        return (num_particles, num_particles)

    def draw(self, shape: Shape, num_particles: int, seed: SeedLike) -> Tensor:
        """Returns standard Gumbel noise `(*shape, particles, particles)`."""
        uniforms = backend.draw(
            "uniform",
            (*shape, *self.noise_shape(num_particles)),
            seed,
            minval=1e-20,
            maxval=_JUST_BELOW_ONE,
        )
        return -ops.log(-ops.log(uniforms))

    def __call__(
        self,
        particles: Nested,
        log_weights: Tensor,
        noise: Tensor,
        resample: Tensor,
    ) -> tuple[Nested, Tensor]:
        """Blends; returns the blend `(batch, particles, particles)` too."""
        num_particles = int(log_weights.shape[1])
        total = ops.expand_dims(log_sum_exp(log_weights), -1)
        alive = total > -float("inf")
        log_weights = ops.where(alive, log_weights, ops.zeros_like(log_weights))
        # (batch, new, old) + (batch, 1, old)
        blend = ops.softmax(
            (noise + ops.expand_dims(log_weights, 1)) / self.temperature
        )
        same = ops.expand_dims(ops.eye(num_particles), 0)
        blend = ops.where(ops.reshape(resample, (-1, 1, 1)), blend, same)
        return keras.tree.map_structure(
            lambda x: _blend_rows(x, blend), particles
        ), blend

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"temperature": self.temperature}


def _blend_rows(rows: Tensor, blend: Tensor) -> Tensor:
    num_particles, size = int(blend.shape[-1]), math.prod(rows.shape[1:])
    # (batch * particles, ...) -> (batch, particles, size)
    flat = ops.reshape(rows, (-1, num_particles, size))
    mixed = ops.matmul(ops.cast(blend, rows.dtype), flat)
    return ops.reshape(mixed, ops.shape(rows))


_SCHEMES: dict[str, type[ResamplingScheme]] = {
    "multinomial": Multinomial,
    "stratified": Stratified,
    "systematic": Systematic,
    "relaxed": Relaxed,
}


def get_scheme(identifier: Any) -> ResamplingScheme:
    """Returns a scheme from an object or a name; see `find`."""
    return find(identifier, _SCHEMES, ResamplingScheme, "scheme")
