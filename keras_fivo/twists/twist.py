"""What every twist offers."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_count
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks import Sizes
from keras_fivo.types import Nested, Tensor

OBJECTIVES = ("density_ratio", "temporal_difference", "bound")


class Twist(BuiltByOwner, keras.layers.Layer):
    """A positive factor r(x_t+1:T | z_t, ...) on the target of a filter.

    After step t the particles stand for p(z_1:t | x_1:t) r_t instead of
    p(z_1:t | x_1:t): the log-weight gains log r_t - log r_{t-1}, and r is 1
    at each sequence's last step. So r drops out in the end, whatever it is,
    and the bound stays a bound; the nearer r comes to p(x_t+1:T | z_t, ...),
    times anything that all particles have in common, the less the weights
    vary. Without resampling it changes nothing.

    Before the loop, `look_ahead` computes what depends on observations
    alone; inside it, `log_twist` gives log r by rows.
    """

    objective: str | None = None
    """What the weights are trained with, one of `OBJECTIVES`; None: there
    are no weights."""

    num_samples = 8
    """Number of model samples of each sequence, for `"density_ratio"`."""

    @property
    def own_objective(self) -> str | None:
        """What trains the weights of the twist alone; None: the bound.

        Where there is one, the bound's gradient reaches the twist's weights
        and nothing else through log r.
        """
        return None if self.objective == "bound" else self.objective

    @property
    def max_steps(self) -> int | None:
        """Length of the longest sequence that it has weights for, if any."""
        return None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"name": "twist", **kwargs})

    def build(self, sizes: Sizes) -> None:
        """Creates the weights, if there are any."""

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Takes biases from the mean of the data, NumPy `(features,)`."""

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns what `log_twist` needs of the future, by time.

        What belongs to the latent's own past is read by `log_twist`: the
        objective `"density_ratio"` joins latents with the futures of others.

        Args:
            past: The cell's features of the past, `(time, batch, ...)`, with
                the number of the `step`.
            present: Encoded observations, `(time, batch, size)`.
            inputs: The dict that the cell encoded.
        """
        return {}

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Returns log r, `(rows,)`; that of the last step does not count.

        Args:
            context: What the future may depend on besides the latent,
                `(rows, size)` each.
            latent: z_t as the networks read it, `(rows, size)`.
            look_ahead: One step of what `look_ahead` returned, by rows.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `log_twist`."
        )


class LearnedTwist(Twist):
    """A twist with weights.

    Args:
        objective: `"density_ratio"`: to tell, among latents that the model
            samples, the one that a sampled future belongs to;
            `"temporal_difference"`: that the particles of a step, weighed by
            r, are already as they will be weighed after the next resampling;
            or `"bound"`, as in the code of the FIVO paper: for training with
            relaxed resampling alone. Its gradient leaves out the choice of
            ancestors, without which the twist learns the wrong way. With
            the first two the gradient of the bound for the weights of the
            model leaves log r out: what it adds is zero in expectation where
            r is exact, and a bias where it is not; `docs/twists.md` has the
            numbers.
        num_samples: Number of model samples of each sequence, for
            `"density_ratio"`; 2 or more.
    """

    def __init__(
        self,
        objective: str = "density_ratio",
        num_samples: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(
                f"`objective` must be one of {list(OBJECTIVES)}. "
                f"Received: objective={objective!r}"
            )
        self.objective = objective
        self.num_samples = check_count("num_samples", num_samples, 2)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"objective": self.objective, "num_samples": self.num_samples}
        return {**super().get_config(), **config}


def quadratic_form(form: dict, latent: Tensor) -> Tensor:
    """Returns `log_constant + shift' z - z' precision z / 2`, `(rows,)`.

    Args:
        form: Dict of `precision` `(rows, size, size)`, `shift` `(rows,
            size)` and, if not 0, `log_constant` `(rows,)`.
        latent: `(rows, size)`.
    """
    # Sums, not products of matrices, which are small and many.
    row = ops.expand_dims(latent, -2)
    pulled = ops.sum(form["precision"] * row, axis=-1)
    value = ops.sum(latent * (form["shift"] - 0.5 * pulled), axis=-1)
    return value + form["log_constant"] if "log_constant" in form else value
