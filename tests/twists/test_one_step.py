"""The one-step twist against a NumPy loop, on the same noise."""

import numpy as np
import pytest

import keras_fivo as kf
from tests.cells.test_srnn import srnn
from tests.reference import numpy_filter
from tests.reference.examples import BATCH, STEPS, data, numpy, vrnn
from tests.reference.gradients import gradients
from tests.twists.numpy_twist import TwistedSRNN, TwistedVRNN

CASES = {
    "entries missing": (
        vrnn,
        {},
        kf.FIVO(4, criterion="always"),
        {"mask": "entries"},
    ),
    "never resampled, dropout": (
        vrnn,
        {"dropout": 0.4},
        kf.IWAE(4),
        {"mask": "steps"},
    ),
    "blended": (
        vrnn,
        {"emission": "normal"},
        kf.FIVO(4, "relaxed", "always"),
        {"mask": "steps"},
    ),
    "what is known is read ahead, dropout": (
        srnn,
        {"dropout": 0.4},
        kf.FIVO(4, "multinomial", kf.AtSteps([0, 2, 3])),
        {"mask": "entries"},
    ),
    "blended, h_t known": (srnn, {}, kf.FIVO(4, "relaxed", "always"), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_numpy_loop(name, monkeypatch):
    make, options, bound, chosen = CASES[name]
    loop = TwistedVRNN if make is vrnn else TwistedSRNN
    monkeypatch.setattr(numpy_filter, "OneSequence", loop)
    cell, arguments = make(twist="one_step", **options), data(**chosen)
    if isinstance(cell.twist.head, kf.BernoulliHead):
        cell.twist.head.initial_bias.assign(np.array([1, 0, -1], "float32"))
    noise = bound.draw(cell, STEPS, BATCH, seed=3, training=True)
    result = bound(cell, noise=noise, **arguments)
    filters, values = numpy_filter.run(cell, bound, noise, **arguments)
    np.testing.assert_allclose(
        numpy(result.log_evidence), values, rtol=2e-5, atol=1e-5
    )
    found = {
        field: numpy(getattr(result, field))
        for field in ("latents", "resampled", "ancestors", "log_twist")
        if getattr(result, field) is not None
    }
    found["log_weights"] = numpy(result.log_weights) + found["log_twist"]
    for b, expected in enumerate(filters):
        # Where x_{t+1} is missing, r is 1.
        assert max(np.ptp(x["log_twist"]) for x in expected.steps) > 1e-3
        for t, step in enumerate(expected.steps):
            for field, value in found.items():
                np.testing.assert_allclose(
                    value[b, t], step[field], rtol=1e-4, atol=2e-5
                )
    np.testing.assert_allclose(
        numpy(result.effective_sample_size),
        numpy(kf.effective_sample_size(result.log_weights)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("make", [vrnn, srnn])
def test_every_weight_has_a_finite_gradient(make):
    cell = make(twist="one_step", proposal="filtering")
    bound, arguments = kf.FIVO(4, criterion="always"), data(mask="entries")
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    variables = cell.trainable_variables
    assert any("twist" in v.path for v in variables)
    found = gradients(
        lambda: bound(cell, noise=noise, **arguments).log_evidence[0], variables
    )
    for variable, gradient in zip(variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient != 0), variable.path


def test_the_head_may_be_chosen_and_takes_its_bias_from_the_data():
    cell = vrnn(emission="normal", twist=kf.OneStepTwist("bernoulli"))
    cell.adapt(np.array([0.5, 0.8, 0.5], "float32"))
    bias = numpy(cell.twist.head.initial_bias)
    np.testing.assert_allclose(bias, [0, np.log(4), 0], atol=1e-6)
    same = type(cell).from_config(cell.get_config())
    assert isinstance(same.twist.head, kf.BernoulliHead)
