"""Weights that move in each step of a scan."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.proposals.refinable import linear_term, stacked
from keras_fivo.types import Tensor


class OnlineAdam(BuiltByOwner, keras.layers.Layer):
    """Adam as a function of its state, which a scan can carry.

    The state is a dict of the `weights` that move, their moments `first` and
    `second`, lists of tensors; the number of steps `count`; and the `rate`.
    Between scans it is kept in the variables that move and in weights of this
    layer, so that training goes on where it was saved.

    Args:
        beta_1: Decay of the first moments.
        beta_2: Decay of the second moments.
        epsilon: Added to the root of the second moments.

    Reference:
        Kingma and Ba, 2015, "Adam: A Method for Stochastic Optimization",
        Algorithm 1.
    """

    def __init__(
        self,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "online_adam", "trainable": False} | kwargs)
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)
        self.epsilon = float(epsilon)

    def build(self, shapes: Sequence[Any]) -> None:
        """Creates the moments of variables of these shapes.

        On TensorFlow the variables themselves would be taken for its own.
        """
        self.moments = [
            self._weight(f"{name}_{i}", shape)
            for name in ("first", "second")
            for i, shape in enumerate(shapes)
        ]
        self.count = self._weight("count", ())

    def _weight(self, name: str, shape: Any) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            trainable=False,
            autocast=False,
            dtype="float32",
        )

    def start(self, variables: Sequence[keras.Variable], rate: Any) -> dict:
        """Returns the state before a scan.

        Args:
            variables: Those that it was built for.
            rate: Learning rate, a scalar.
        """
        # Copies: PyTorch assigns in place, and before the backward pass.
        moments = [ops.copy(x.value) for x in self.moments]
        middle = len(moments) // 2
        return {
            "weights": [ops.copy(x.value) for x in variables],
            "first": moments[:middle],
            "second": moments[middle:],
            "count": ops.copy(self.count.value),
            "rate": ops.cast(rate, "float32"),
        }

    def step(
        self, state: dict, gradients: Sequence[Tensor], counts: Tensor
    ) -> dict:
        """Takes one step down; leaves the state where not all are finite.

        Args:
            state: As from `start`.
            gradients: Gradients of the weights, in their order.
            counts: Bool, whether there is anything to step for.
        """
        moves = ops.logical_and(backend.all_finite([], gradients), counts)
        share = ops.cast(moves, "float32")
        count = state["count"] + share
        # m_t / (1 - b_1^t) and v_t / (1 - b_2^t), as scalars: the weights are
        # many, and each pass over them takes time.
        power = ops.maximum(count, 1.0)
        root = ops.sqrt(1.0 - ops.power(self.beta_2, power))
        rate = (
            state["rate"] * share * root / (1.0 - ops.power(self.beta_1, power))
        )
        moved: dict = {"weights": [], "first": [], "second": []}
        columns = zip(
            state["weights"],
            state["first"],
            state["second"],
            gradients,
            strict=True,
        )
        for weight, first, second, gradient in columns:
            gradient = ops.where(moves, gradient, ops.zeros_like(gradient))
            # m_t = b_1 m_{t-1} + (1 - b_1) g_t, and so v_t of the squares
            first = first + (1.0 - self.beta_1) * share * (gradient - first)
            change = ops.square(gradient) - second
            second = second + (1.0 - self.beta_2) * share * change
            step = first / (ops.sqrt(second) + self.epsilon * root)
            moved["weights"].append(weight - rate * step)
            moved["first"].append(first)
            moved["second"].append(second)
        return {**moved, "count": count, "rate": state["rate"]}

    def keep(self, variables: Sequence[keras.Variable], state: dict) -> None:
        """Puts the state after a scan into the variables."""
        values = [*state["weights"], *state["first"], *state["second"]]
        for variable, value in zip(
            [*variables, *self.moments], values, strict=True
        ):
            variable.assign(ops.stop_gradient(value))
        self.count.assign(state["count"])


def learned_step(
    optimizer: OnlineAdam,
    refine: Callable,
    learner: dict,
    read: list,
    seen: Tensor | None,
    anything: Tensor,
) -> dict:
    """Takes a step down the free energies after the refinements of a step.

    Args:
        optimizer: What steps.
        refine: A Normal, the gradient there, what is seen besides and the
            weights of an update, to the refined Normal.
        learner: As from `OnlineAdam.start`.
        read: For each evaluation where it was, and the gradient there.
        seen: `(rows, size)`, or None.
        anything: Bool `(rows,)`, which rows were refined.
    """
    places, gradients = zip(*read, strict=True)
    # (rows, ...) of each iteration -> (iterations * rows, ...)
    before, slopes = stacked(places[:-1]), stacked(gradients[:-1])
    after, iterations = stacked(gradients[1:]), len(read) - 1
    if seen is not None:
        seen = ops.concatenate([seen] * iterations, axis=0)
    count = ops.sum(ops.cast(anything, "float32"))
    share = 1.0 / (ops.maximum(count, 1.0) * iterations)

    def own(weights: list) -> Tensor:
        return share * linear_term(refine(before, slopes, seen, weights), after)

    _, found = backend.value_and_grad(
        own, learner["weights"], differentiable=False
    )
    return optimizer.step(learner, found, count > 0)
