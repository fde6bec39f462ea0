"""What heads with a bias taken from the data have in common."""

from typing import Any

from keras_fivo.heads.head import Head


class BiasedHead(Head):
    """A head that starts from the mean of the data.

    `initial_bias` is a weight that is not trained, `(event_dim,)`, added to
    the outputs for the location: `adapt` sets it, so that training begins
    where an independent model of the data would end.
    """

    def build_weights(self) -> None:
        """Creates the weights; see `Head.build_weights`."""
        self.initial_bias = self.add_data_weight("initial_bias", "zeros")

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Sets the initial bias; see `bias_from_mean`."""
        self.initial_bias.assign(self.bias_from_mean(mean))

    def bias_from_mean(self, mean: Any) -> Any:
        """Returns the outputs, NumPy `(event_dim,)`, that give this mean."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `bias_from_mean`."
        )
