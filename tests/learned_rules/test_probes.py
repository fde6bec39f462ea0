"""Probes against other ways to the same answer."""

import keras
import numpy as np
import pytest

import keras_fivo as kf

to_numpy = keras.ops.convert_to_numpy


def problem(examples, features, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, features)).astype("float32")
    y = np.eye(classes, dtype="float32")[rng.integers(0, classes, examples)]
    return x, y


@pytest.mark.parametrize(("examples", "features"), [(20, 6), (6, 20)])
def test_ridge_regression_solves_the_normal_equations(examples, features):
    x, y = problem(examples, features)
    fitted = kf.RidgeProbe(0.7).fit(x, y)
    wide = np.concatenate([x, np.ones((examples, 1))], 1)
    penalty = 0.7 * np.eye(features + 1)
    penalty[-1, -1] = 0
    weights = np.linalg.solve(wide.T @ wide + penalty, wide.T @ y)
    found = np.concatenate([to_numpy(fitted.kernel), to_numpy(fitted.bias)], 0)
    np.testing.assert_allclose(found, weights, atol=1e-5)


def test_logistic_regression_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = problem(40, 5)
    fitted = kf.LogisticProbe(2.0).fit(x, y)
    other = linear_model.LogisticRegression(C=2.0, tol=1e-8, max_iter=1000)
    other.fit(x, y.argmax(-1))
    expected = other.predict_proba(x)
    logits = to_numpy(fitted(x))
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    found = odds / odds.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_few_shot_accuracy_is_one_where_features_are_classes():
    y = np.repeat(np.arange(6), 30)
    x = np.eye(6, dtype="float32")[y]
    result = kf.evaluate_few_shot(lambda x: x, x, y, ways=5, shots=1, trials=9)
    assert result.accuracy == 1.0
    assert result.standard_error == 0.0


def test_few_shot_accuracy_is_chance_where_features_are_noise():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), 40)
    x = rng.normal(size=(200, 8)).astype("float32")
    result = kf.evaluate_few_shot(lambda x: x, x, y, ways=4, trials=60)
    assert abs(result.accuracy - 0.25) < 4 * result.standard_error
    assert result.trials.shape == (60,)
    spread = result.trials.std(ddof=1) / np.sqrt(60)
    assert result.standard_error == pytest.approx(spread)


def test_an_average_of_equal_models_is_the_model():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), 30)
    x = rng.normal(size=(150, 4)).astype("float32") + y[:, None]
    one = kf.evaluate_few_shot(lambda x: x, x, y, trials=5)
    two = kf.evaluate_few_shot([lambda x: x] * 2, x, y, trials=5)
    np.testing.assert_array_equal(one.trials, two.trials)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": 6}, "Received: ways=6"),
        ({"ways": 1}, "Received: ways=1"),
        ({"shots": 0}, "Received: shots=0"),
        ({"trials": 0}, "Received: trials=0"),
        ({"shots": 30}, "Received: shots=30, and a class of 30 examples"),
        ({"y": np.zeros(3)}, "Received: 150 examples in x and 3 labels"),
    ],
)
def test_impossible_trials_are_refused(changes, message):
    y = np.repeat(np.arange(5), 30)
    x = np.zeros((150, 2), "float32")
    arguments = {"y": y, "trials": 2, **changes}
    with pytest.raises(ValueError, match=message):
        kf.evaluate_few_shot(lambda x: x, x, **arguments)


@pytest.mark.parametrize("probe", [kf.RidgeProbe, kf.LogisticProbe])
def test_a_penalty_must_be_positive(probe):
    with pytest.raises(ValueError, match="Received: "):
        probe(0.0)
