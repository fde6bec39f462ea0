import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference.examples import numpy


def decide(criterion, log_weights, step=0):
    log_weights = np.asarray(log_weights, "float32")
    steps = np.broadcast_to(np.asarray(step, "int32"), log_weights.shape[:1])
    return numpy(
        criterion(
            keras.ops.convert_to_tensor(log_weights),
            keras.ops.convert_to_tensor(steps.copy()),
        )
    ).tolist()


def test_decisions_equal_the_original(golden):
    file = golden("smc_primitives")
    log_weights = file["log_weights"].T
    for criterion, name, weights in (
        (kf.EffectiveSampleSize(), "ess_criterion", log_weights),
        (
            kf.EffectiveSampleSize(),
            "ess_criterion_equal_weights",
            np.zeros_like(log_weights),
        ),
        (kf.Never(), "never", log_weights),
        (kf.Always(), "always", log_weights),
    ):
        assert decide(criterion, weights) == file[name].tolist(), name


@pytest.mark.parametrize("shift", [0.0, -3000.0, 3000.0])
def test_the_effective_sample_size_is_compared_with_a_fraction(shift):
    two, three = [0.0, 0.0, -50.0, -50.0], [0.0, 0.0, 0.0, -50.0]
    log_weights = np.array([two, three]) + shift
    assert decide(kf.EffectiveSampleSize(0.49), log_weights) == [False, False]
    assert decide(kf.EffectiveSampleSize(0.51), log_weights) == [True, False]
    assert decide(kf.EffectiveSampleSize(0.76), log_weights) == [True, True]
    # Exactly half of the particles is low enough.
    assert decide(kf.EffectiveSampleSize(), log_weights[:1]) == [True]


def test_given_steps_are_those_of_each_sequence():
    criterion = kf.AtSteps([3, 0, 3])
    assert criterion.steps == [0, 3]
    zeros = np.zeros((4, 2))
    assert decide(criterion, zeros, [0, 1, 2, 3]) == [True, False, False, True]


def test_criteria_are_known_by_name_and_rebuilt():
    for criterion in (
        kf.EffectiveSampleSize(0.3),
        kf.AtSteps([1, 4]),
        kf.Always(),
        kf.Never(),
    ):
        bound = kf.FIVO(3, criterion=criterion)
        twin = kf.FIVO.from_config(bound.get_config())
        assert type(twin.criterion) is type(criterion)
        assert twin.criterion.get_config() == criterion.get_config()
    assert type(kf.FIVO(criterion="always").criterion) is kf.Always
    with pytest.raises(ValueError, match="Received: criterion='often'"):
        kf.FIVO(criterion="often")


def test_wrong_arguments_are_refused():
    for fraction in (0, 1.5, -1):
        with pytest.raises(ValueError, match=f"Received: fraction={fraction}"):
            kf.EffectiveSampleSize(fraction)
    for steps in ([], [-1, 2]):
        with pytest.raises(ValueError, match="Received: steps="):
            kf.AtSteps(steps)
