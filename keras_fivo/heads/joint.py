"""A head for columns that differ in kind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_fivo.distributions import Distribution, Joint
from keras_fivo.distributions.joint import split_sizes
from keras_fivo.heads.head import Head
from keras_fivo.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class JointHead(Head):
    """One head for each group of columns, with one network for all.

    Given the features the groups are independent of each other. A mask may
    leave out any entries of groups whose entries are independent.

    Args:
        heads: Heads by the names of their groups, in the order of the
            columns. A head without `event_dim` is for one column.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
            Those of the parts do not count.
        activation: Activation of the hidden layers.

    Example:
    ```python
    emission = {"sales": "negative_binomial", "temperature": "normal"}
    cell = kf.VRNNCell(8, emission=emission)  # makes a JointHead
    ```
    """

    distribution_class = Joint

    def __init__(
        self,
        heads: Mapping[str, Head],
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        **kwargs: Any,
    ) -> None:
        if not heads or not all(isinstance(x, Head) for x in heads.values()):
            raise TypeError(
                "`heads` must be heads by name, at least one. "
                f"Received: heads={heads!r}"
            )
        self.sizes = [head.event_dim or 1 for head in heads.values()]
        kwargs.pop("event_dim", None)
        super().__init__(sum(self.sizes), hidden_units, activation, **kwargs)
        self.heads = dict(heads)

    def build(
        self,
        input_dims: Sequence[int] | None,
        event_dim: int | None = None,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights; see `Head.build`."""
        for head, size in zip(self.heads.values(), self.sizes, strict=True):
            head.build(None, size)
        super().build(input_dims, event_dim, hidden_units)

    @property
    def output_dim(self) -> int:
        """Outputs of all parts."""
        return sum(head.output_dim for head in self.heads.values())

    @property
    def noise_shape(self) -> Shape:
        """Shape of the uniform noise of one event."""
        each = [
            size * head.distribution_class.noise_per_entry
            for head, size in zip(self.heads.values(), self.sizes, strict=True)
        ]
        return (sum(each),)

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Gives each part its outputs."""
        heads = self.heads.values()
        parts = split_sizes(outputs, [head.output_dim for head in heads])
        found = [h.parametrize(x) for h, x in zip(heads, parts, strict=True)]
        return Joint(found, self.sizes)

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Lets each part take what it takes from its columns."""
        deviations = [None] * len(self.sizes)
        if deviation is not None:
            deviations = split_sizes(np.asarray(deviation), self.sizes)
        means = split_sizes(np.asarray(mean), self.sizes)
        for head, a, b in zip(
            self.heads.values(), means, deviations, strict=True
        ):
            head.adapt(a, b)

    def input_scale(self, deviation: Any) -> Any:
        """Returns what each part says of its columns."""
        parts = split_sizes(np.asarray(deviation), self.sizes)
        heads = self.heads.values()
        scales = [h.input_scale(x) for h, x in zip(heads, parts, strict=True)]
        return np.concatenate(scales)

    def check(self, observations: Any) -> None:
        """Checks `(..., event_dim)`, all of it observed."""
        self.check_observed(observations, np.ones(observations.shape, bool))

    def check_observed(self, observations: Any, observed: Any) -> None:
        """Checks each part's columns; see `Head.check_observed`."""
        values = split_sizes(observations, self.sizes)
        seen = split_sizes(observed, self.sizes)
        for (name, head), x, mask in zip(
            self.heads.items(), values, seen, strict=True
        ):
            try:
                head.check_observed(x, mask)
            except ValueError as error:
                raise ValueError(f"In the columns {name!r}: {error}") from error

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize: Callable = keras.saving.serialize_keras_object
        config = super().get_config()
        del config["event_dim"]
        heads = {name: serialize(head) for name, head in self.heads.items()}
        return {**config, "heads": heads}

    @classmethod
    def from_config(cls, config: dict) -> "JointHead":
        """Rebuilds the head with its parts."""
        config = dict(config)
        rebuild: Callable = keras.saving.deserialize_keras_object
        heads = {k: rebuild(x) for k, x in config.pop("heads").items()}
        return cls(heads, **config)
