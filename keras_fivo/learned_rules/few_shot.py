"""How well features serve classification from a few labels."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_fivo.checks import check_count
from keras_fivo.learned_rules.probes import RidgeProbe


class FewShotResult(NamedTuple):
    """Accuracy over trials, each with classes and examples of its own.

    Attributes:
        accuracy: Mean over trials.
        standard_error: Standard error of that mean; NaN for one trial.
        trials: Accuracy of each trial, `(trials,)`.
    """

    accuracy: float
    standard_error: float
    trials: np.ndarray


def evaluate_few_shot(
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    ways: int = 5,
    shots: int = 10,
    trials: int = 200,
    probe: Any = None,
    seed: int = 0,
) -> FewShotResult:
    """Measures the accuracy of a probe that sees a few labels of each class.

    Each trial draws classes, `shots` examples of each to fit the probe, and
    up to 15 others of each to test it. The same seed draws the same trials,
    so that models can be compared by pairs.

    Args:
        model: What turns `x` into features: a model with `predict`, a
            function, or a list of either, whose probes are averaged.
        x: Examples, the first axis.
        y: Class of each example, `(examples,)`.
        ways: Number of classes of a trial.
        shots: Number of labelled examples of each class.
        trials: Number of trials.
        probe: `RidgeProbe`, `LogisticProbe`, or what has such a `fit`; None:
            a `RidgeProbe`.
        seed: Seed of the trials.

    Raises:
        ValueError: For more classes than there are, no example of a class
            beyond the shots to test on, or labels of another number.
    """
    y = np.asarray(y).reshape(-1)
    if x is None or len(x) != len(y):
        raise ValueError(
            "`x` and `y` must have one entry for each example. "
            f"Received: {0 if x is None else len(x)} examples in x and "
            f"{len(y)} labels in y"
        )
    models = model if isinstance(model, list | tuple) else [model]
    features = [_features(one, x) for one in models]
    probe = RidgeProbe() if probe is None else probe
    targets = np.eye(ways, dtype="float32")
    accuracies = []
    for support, query in few_shot_trials(y, ways, shots, trials, seed):
        predicted = sum(
            keras.ops.convert_to_numpy(
                probe.fit(
                    f[support.ravel()], np.repeat(targets, shots, axis=0)
                )(f[query.ravel()])
            )
            for f in features
        )
        classes = np.repeat(np.arange(ways), query.shape[1])
        accuracies.append(np.mean(predicted.argmax(-1) == classes))
    values = np.array(accuracies)
    error = values.std(ddof=1) / np.sqrt(trials) if trials > 1 else np.nan
    return FewShotResult(float(values.mean()), float(error), values)


def few_shot_trials(
    y: np.ndarray, ways: int, shots: int, trials: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields rows to fit on, `(ways, shots)`, and to test on, `(ways, n)`.

    Args:
        y: Class of each example, `(examples,)`.
        ways: Number of classes of a trial.
        shots: Number of labelled examples of each class.
        trials: Number of trials.
        seed: Seed of the trials.
    """
    check_count("ways", ways, least=2)
    check_count("shots", shots)
    check_count("trials", trials)
    rows = [np.flatnonzero(y == label) for label in np.unique(y)]
    if ways > len(rows):
        raise ValueError(
            f"`ways` must be at most the number of classes, {len(rows)}. "
            f"Received: ways={ways}"
        )
    fewest = min(len(row) for row in rows)
    if fewest <= shots:
        raise ValueError(
            "`shots` must leave examples of each class to test on. "
            f"Received: shots={shots}, and a class of {fewest} examples"
        )
    queries = min(15, fewest - shots)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        drawn = np.stack(
            [
                rng.choice(rows[k], shots + queries, replace=False)
                for k in rng.choice(len(rows), ways, replace=False)
            ]
        )
        yield drawn[:, :shots], drawn[:, shots:]


def _features(model: Any, x: np.ndarray) -> np.ndarray:
    apply: Callable = getattr(model, "predict", model)
    features = np.asarray(keras.ops.convert_to_numpy(apply(x)), "float32")
    return features.reshape(len(x), -1)
