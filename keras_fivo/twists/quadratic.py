"""A learned twist that is quadratic in the latent."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.axes import any_entry
from keras_fivo.checks import check_count
from keras_fivo.networks import Sizes, at_steps, by_pair, from_first_step
from keras_fivo.twists.twist import LearnedTwist, quadratic_form
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class QuadraticTwist(LearnedTwist):
    """log r = z_t' s_t - z_t' P_t z_t / 2, with weights of each step's own.

    s_t is linear in the later observations, and P_t adds up a positive
    matrix for each later step at which anything is observed. So it can be
    the exact twist of a linear Gaussian model, up to a factor that drops
    out; of sequences of other lengths, or with other steps missing, it is an
    approximation. The number of weights grows with the square of the number
    of steps.

    Args:
        num_steps: Number of steps of the longest sequence, those before a
            filter's state included.
        objective: See `LearnedTwist`.
        num_samples: Number of model samples, likewise.
    """

    def __init__(
        self,
        num_steps: int,
        objective: str = "density_ratio",
        num_samples: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, num_samples, **kwargs)
        self.num_steps = check_count("num_steps", num_steps, 2)

    @property
    def max_steps(self) -> int:
        """Length of the longest sequence that it takes."""
        return self.num_steps

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        size, pairs = sizes.embedded_dim, self.num_steps * (self.num_steps - 1)
        self.bias, self.data_kernel, self.factor = (
            self.add_weight(
                name=name,
                shape=shape,
                # Squares have no gradient at 0.
                initializer=keras.initializers.RandomNormal(stddev=0.1)
                if name == "factor"
                else "zeros",
                autocast=False,
                dtype="float32",
            )
            for name, shape in (
                ("bias", (self.num_steps, size)),
                ("data_kernel", (pairs // 2, sizes.present_dim, size)),
                ("factor", (pairs // 2, size, size)),
            )
        )

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns `precision` and `shift` of all steps."""
        number, step = self.num_steps, past["step"]
        seen = any_entry(inputs["observed"], num_leading=2)
        seen = ops.cast(seen, "float32")
        present = ops.cast(present, "float32") * ops.expand_dims(seen, -1)
        present = from_first_step(present, step, number)
        kernel = by_pair(self.data_kernel, number, gap=1)
        shift = ops.einsum("sbd,tsdl->tbl", present, kernel)
        shift = shift + ops.expand_dims(ops.convert_to_tensor(self.bias), 1)
        factor = by_pair(self.factor, number, gap=1)
        square = ops.sum(
            ops.expand_dims(factor, -2) * ops.expand_dims(factor, -3), axis=-1
        )
        precision = _added_up(from_first_step(seen, step, number), square)
        return {
            "precision": at_steps(precision, step),
            "shift": at_steps(shift, step),
        }

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Returns log r, `(rows,)`; see `Twist.log_twist`."""
        return quadratic_form(look_ahead, ops.cast(latent, "float32"))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_steps": self.num_steps}


def _added_up(seen: Tensor, square: Tensor) -> Tensor:
    """Adds up what is seen of `(step, later step, ...)`, by batch."""
    # Of an `einsum` the gradient comes out as noise on JAX and a CPU.
    shape = ops.shape(square)
    flat = ops.reshape(square, (*shape[:2], -1))
    added = ops.matmul(ops.transpose(seen), flat)
    return ops.reshape(added, (shape[0], -1, *shape[2:]))
