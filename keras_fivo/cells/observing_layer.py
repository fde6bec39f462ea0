"""What a cell knows of its observations: their sizes and their centring."""

import math
from typing import Any

import keras

from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks import check_entries
from keras_fivo.types import Shape, Tensor


class ObservingLayer(BuiltByOwner, keras.layers.Layer):
    """A layer built for observations, which it centres and scales.

    A subclass has a head, or None, as `emission`, a twist, or None, as
    `twist`, and builds its networks in `build_parts`.
    """

    emission: Any
    twist: Any

    def build(self, input_shape: Any) -> None:
        """Creates the weights.

        Args:
            input_shape: `(batch, time, ..., features)`, or a dict of shapes
                with `observations` and, where there are any, `controls`.
        """
        shapes = input_shape
        if not isinstance(shapes, dict):
            shapes = {"observations": shapes}
        self.observation_shape = tuple(
            int(size) for size in shapes["observations"][2:]
        )
        if len(self.observation_shape) != self.observation_rank:
            raise ValueError(
                f"{type(self).__name__} is for observations of "
                f"{self.observation_rank} axes besides batch and time. "
                f"Received: observations of shape {shapes['observations']}"
            )
        features = self.observation_shape[-1]
        controls = shapes.get("controls")
        self.control_dim = int(controls[-1]) if controls else 0
        # A first layer of a hundred units would be too large with more.
        check_entries("A model of observations", *self.observation_shape, 100)
        self.center, self.scale = (
            self.add_weight(
                name=name,
                shape=(features,),
                initializer=initializer,
                trainable=False,
                autocast=False,
                dtype="float32",
            )
            for name, initializer in (("center", "zeros"), ("scale", "ones"))
        )
        self.build_parts(features, self.control_dim)

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights of the networks; overridden by cells."""

    def standardize(self, observations: Tensor) -> Tensor:
        """Returns observations as networks read them: centred, then scaled."""
        return (observations - self.center) / self.scale

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Takes centring and scales, and biases of parts, from the data.

        Args:
            mean: NumPy `(features,)`, mean of the observed entries.
            deviation: Their standard deviation; None leaves all scales at 1.
        """
        self.center.assign(mean)
        for part in (self.emission, self.twist):
            if part is not None:
                part.adapt(mean, deviation)
        if deviation is not None:
            head = self.emission
            self.scale.assign(
                head.input_scale(deviation) if head else deviation
            )

    observation_rank = 1
    """Number of axes of an observation: 3 of a frame `(height, width,
    channels)`. Centre, scale and emission belong to the last, its features;
    the positions have them in common."""

    observation_shape: tuple[int, ...] = ()
    """Sizes of an observation, once there are weights."""

    @property
    def observation_dim(self) -> int:
        """Number of entries of an observation."""
        return math.prod(self.observation_shape)

    @property
    def emission_noise(self) -> str:
        """Kind of noise that observations are made of, as for latents."""
        if self.emission is None:
            return "normal"
        return self.emission.distribution_class.noise

    @property
    def emission_noise_shape(self) -> Shape:
        """Shape of the noise of one observation."""
        if self.emission is None:
            return self.observation_shape
        # Of each position what the head says of its features.
        return (*self.observation_shape[:-1], *self.emission.noise_shape)
