"""A learned twist that is quadratic in the latent."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.twists.twist import LearnedTwist, TwistSizes, quadratic_form
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
        num_steps: Number of steps of the longest sequence.
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
        if int(num_steps) < 2:
            raise ValueError(
                "`num_steps` must be a number of 2 or more. "
                f"Received: num_steps={num_steps!r}"
            )
        self.num_steps = int(num_steps)

    def build(self, sizes: TwistSizes) -> None:
        """Creates the weights."""
        super().build(sizes)
        size, pairs = sizes.latent_dim, self.num_steps * (self.num_steps - 1)
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

    def look_ahead(
        self,
        past: dict,
        present: Tensor,
        inputs: dict,
        known: Sequence[Tensor | None] = (),
    ) -> Nested:
        """`precision` and `shift` of all steps."""
        length = int(present.shape[0])
        if length > self.num_steps:
            raise ValueError(
                "A twist with weights of each step's own takes sequences of "
                f"up to {self.num_steps} steps. "
                f"Received: sequences of {length} steps."
            )
        observed = inputs["observed"]
        if len(observed.shape) == 3:
            observed = ops.any(observed, axis=-1)
        seen = ops.cast(observed, "float32")
        present = ops.cast(present, "float32") * ops.expand_dims(seen, -1)
        kernel = self._by_pair(self.data_kernel, length)
        shift = ops.einsum("sbd,tsdl->tbl", present, kernel)
        factor = self._by_pair(self.factor, length)
        square = ops.sum(
            ops.expand_dims(factor, -2) * ops.expand_dims(factor, -3), axis=-1
        )
        bias = ops.convert_to_tensor(self.bias)[:length]
        return {
            "precision": self._added_up(seen, square),
            "shift": shift + ops.expand_dims(bias, 1),
        }

    def _added_up(self, seen: Tensor, square: Tensor) -> Tensor:
        """Of `(step, later step, ...)` what is seen, `(step, batch, ...)`."""
        # Of an `einsum` the gradient comes out as noise on JAX and a CPU.
        shape = ops.shape(square)
        flat = ops.reshape(square, (*shape[:2], -1))
        added = ops.matmul(ops.transpose(seen), flat)
        return ops.reshape(added, (shape[0], -1, *shape[2:]))

    def _by_pair(self, weight: Any, length: int) -> Tensor:
        """A weight as `(step, later step, ...)`, zero where not later."""
        weight = ops.convert_to_tensor(weight)
        table = ops.concatenate([weight, ops.zeros_like(weight[:1])], axis=0)
        pairs = later_pairs(self.num_steps)[:length, :length]
        return ops.take(table, pairs, axis=0)

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Log r, `(rows,)`; see `Twist.log_twist`."""
        return quadratic_form(look_ahead, ops.cast(latent, "float32"))

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "num_steps": self.num_steps}


def later_pairs(num_steps: int) -> np.ndarray:
    """Index of the pair (t, s) of steps with s > t, in the order of t, s.

    Returns:
        Int32 `(num_steps, num_steps)`; where s <= t, one past the last pair.
    """
    later = np.triu(np.ones((num_steps, num_steps), bool), k=1)
    indices = np.full((num_steps, num_steps), later.sum(), "int32")
    indices[later] = np.arange(later.sum())
    return indices
