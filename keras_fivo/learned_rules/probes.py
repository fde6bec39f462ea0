"""Probes: what a few labels make of features."""

from typing import Any, NamedTuple

import numpy as np
from keras import ops
from scipy.optimize import minimize

from keras_fivo.checks import check_positive
from keras_fivo.types import Tensor


class Linear(NamedTuple):
    """A linear map of features.

    Attributes:
        kernel: `(..., features, targets)`.
        bias: `(..., 1, targets)`.
    """

    kernel: Any
    bias: Any

    def __call__(self, features: Any) -> Any:
        """Returns predictions, `(..., examples, targets)`."""
        features = ops.convert_to_tensor(features)
        return ops.matmul(features, self.kernel) + self.bias


class RidgeProbe:
    """Ridge regression in closed form, which can be differentiated.

    It minimises the sum of squared errors plus `penalty` times the sum of
    squared weights; the bias is not penalised.

    Args:
        penalty: Weight of the squared weights.
    """

    def __init__(self, penalty: float = 0.1) -> None:
        self.penalty = check_positive("penalty", penalty)

    def fit(self, features: Tensor, targets: Tensor) -> Linear:
        """Finds the best linear map.

        Args:
            features: `(..., examples, features)`.
            targets: `(..., examples, targets)`.
        """
        features = ops.convert_to_tensor(features)
        targets = ops.convert_to_tensor(targets)
        mean = ops.mean(features, axis=-2, keepdims=True)
        target_mean = ops.mean(targets, axis=-2, keepdims=True)
        x, y = features - mean, targets - target_mean
        transposed = ops.swapaxes(x, -1, -2)
        # The smaller of two systems that have the same answer.
        few = x.shape[-2] < x.shape[-1]
        size = min(x.shape[-2:])
        square = ops.matmul(x, transposed) if few else ops.matmul(transposed, x)
        square = square + self.penalty * ops.eye(size, dtype=square.dtype)
        if few:
            kernel = ops.matmul(transposed, ops.solve(square, y))
        else:
            kernel = ops.solve(square, ops.matmul(transposed, y))
        return Linear(kernel, target_mean - ops.matmul(mean, kernel))

    def objective(
        self,
        support: tuple[Tensor, Tensor],
        query: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Tells how badly features serve what few labels can tell.

        Args:
            support: Features `(..., examples, features)` and targets `(...,
                examples, targets)` to fit.
            query: Features and targets to predict, likewise.

        Returns:
            `(...)`: mean squared distance of query targets from predictions
            scaled to length one, plus the penalty by example; and each
            query's prediction, `(..., examples, targets)`.
        """
        fitted = self.fit(support[0], centred_targets(support[1]))
        predicted = fitted(query[0])
        power = ops.sum(ops.square(predicted), axis=-1, keepdims=True)
        predicted = predicted * ops.rsqrt(power + 1e-12)
        distance = ops.square(predicted - centred_targets(query[1]))
        error = ops.mean(ops.sum(distance, axis=-1), axis=-1)
        weights = ops.sum(ops.square(fitted.kernel), axis=(-2, -1))
        count = support[0].shape[-2]
        return error + self.penalty * weights / count, predicted


class LogisticProbe:
    """Multinomial logistic regression, by SciPy's L-BFGS.

    Args:
        inverse_penalty: C: what the sum of the losses is multiplied by,
            beside half the sum of squared weights. The bias is not
            penalised.
    """

    def __init__(self, inverse_penalty: float = 1.0) -> None:
        self.inverse_penalty = check_positive(
            "inverse_penalty", inverse_penalty
        )

    def fit(self, features: np.ndarray, targets: np.ndarray) -> Linear:
        """Finds the most likely linear map to logits.

        Args:
            features: `(examples, features)`.
            targets: One-hot, `(examples, classes)`.
        """
        x = np.asarray(features, "float64")
        y = np.asarray(targets, "float64")
        shape = (x.shape[1] + 1, y.shape[1])

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(shape)
            logits = x @ weights[:-1] + weights[-1]
            logits -= logits.max(-1, keepdims=True)
            exponents = np.exp(logits)
            total = exponents.sum(-1, keepdims=True)
            log_likelihood = np.sum(y * (logits - np.log(total)))
            error = self.inverse_penalty * (exponents / total - y)
            gradient = np.concatenate([x.T @ error, error.sum(0)[None]])
            gradient[:-1] += weights[:-1]
            penalty = 0.5 * np.sum(weights[:-1] ** 2)
            value = penalty - self.inverse_penalty * log_likelihood
            return value, gradient.ravel()

        start = np.zeros(shape).ravel()
        found = minimize(loss, start, jac=True, method="L-BFGS-B")
        weights = found.x.reshape(shape).astype("float32")
        tensor = ops.convert_to_tensor(weights)
        return Linear(tensor[:-1], tensor[-1:])


def centred_targets(targets: Tensor) -> Tensor:
    """Centres targets, to a length of one by example on average."""
    targets = ops.convert_to_tensor(targets)
    centred = targets - ops.mean(targets, axis=(-2, -1), keepdims=True)
    power = ops.sum(ops.square(centred), axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(power, axis=-2, keepdims=True))
