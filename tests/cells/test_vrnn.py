"""The VRNN against the NumPy loop, on the same noise."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference import numpy_filter
from tests.reference.examples import (
    BATCH,
    STEPS,
    data,
    numpy,
    randomize,
    vrnn,
)
from tests.reference.gradients import gradients

CASES = {
    "one particle": (
        {},
        kf.ELBO(),
        {"mask": "steps"},
    ),
    "mean of three, two hidden layers": (
        {"hidden_units": [5, 4], "emission": "normal"},
        kf.ELBO(3),
        {"mask": "entries"},
    ),
    "importance weights, two hidden layers in the proposal": (
        {"proposal": kf.FilteringProposal([4, 3], residual=False)},
        kf.IWAE(4),
        {"mask": "entries", "lengths": False},
    ),
    "importance weights, many particles": (
        {"proposal": "smoothing"},
        kf.IWAE(33),
        {"mask": "steps"},
    ),
    "multinomial": (
        {"emission": "normal", "center_present": False},
        kf.FIVO(4, "multinomial"),
        {"mask": "entries"},
    ),
    "stratified at every step": (
        {"proposal": "smoothing", "emission": "normal"},
        kf.FIVO(5, "stratified", "always"),
        {"mask": "steps"},
    ),
    "systematic": (
        {"proposal": "smoothing", "center_present": False},
        kf.FIVO(4),
        {"mask": "entries"},
    ),
    "systematic at given steps, of its own transition": (
        {"proposal": "transition", "emission": "normal"},
        kf.FIVO(3, criterion=kf.AtSteps([0, 2, 5])),
        {},
    ),
    "never": (
        {"proposal": "transition"},
        kf.FIVO(4, criterion="never"),
        {"mask": "steps"},
    ),
    "relaxed": (
        {"emission": "normal"},
        kf.FIVO(4, "relaxed", kf.EffectiveSampleSize(0.8)),
        {"mask": "steps"},
    ),
    "relaxed at every step, another temperature": (
        {"proposal": "smoothing"},
        kf.FIVO(4, kf.Relaxed(1.5), "always"),
        {"mask": "entries"},
    ),
    "gated recurrent unit": (
        {"recurrent": "gru"},
        kf.FIVO(4, "multinomial", "always"),
        {"mask": "entries"},
    ),
    "smallest scales that bind": (
        {
            "min_scale": 0.9,
            "proposal": kf.SmoothingProposal(
                min_scale=0.8, scale_bias=0.5, recurrent_units=7
            ),
            "emission": kf.NormalHead(hidden_units=[6], min_scale=1.0),
        },
        kf.FIVO(4, "stratified"),
        {},
    ),
    "no hidden layer, no controls": (
        {"hidden_units": [], "controls": False},
        kf.FIVO(4, "multinomial"),
        {"controls": False, "mask": "steps"},
    ),
    "dropout": (
        {"dropout": 0.4, "emission": "normal"},
        kf.FIVO(4, "multinomial"),
        {"mask": "steps"},
    ),
    "dropout, smoothing, importance weights": (
        {"dropout": 0.4, "proposal": "smoothing"},
        kf.IWAE(3),
        {},
    ),
}


def cell_of(options):
    options = dict(options)
    if options.get("recurrent") == "gru":
        options["recurrent"] = keras.layers.GRUCell(7)
    return vrnn(**options)


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_numpy_loop(name):
    options, bound, chosen = CASES[name]
    cell, arguments = cell_of(options), data(**chosen)
    noise = bound.draw(cell, STEPS, BATCH, seed=3, training=True)
    assert ("dropout" in noise) == ("dropout" in options)
    result = bound(cell, noise=noise, **arguments)
    filters, values = numpy_filter.run(cell, bound, noise, **arguments)
    np.testing.assert_allclose(
        numpy(result.log_evidence), values, rtol=2e-5, atol=1e-5
    )
    found = {
        field: numpy(getattr(result, field))
        for field in (
            "log_weights",
            "effective_sample_size",
            "resampled",
            "ancestors",
            "latents",
        )
        if getattr(result, field) is not None
    }
    for b, expected in enumerate(filters):
        assert numpy(result.lengths)[b] == expected.length
        for t, step in enumerate(expected.steps):
            for field, values in found.items():
                np.testing.assert_allclose(
                    values[b, t], step[field], rtol=1e-4, atol=2e-5
                )
    np.testing.assert_allclose(
        numpy(result.kl), [f.kl for f in filters], rtol=1e-4, atol=2e-5
    )
    check_state(numpy(result.state), filters, "lengths" in arguments)


def check_state(state, filters, lengths=True):
    recurrent = [
        np.concatenate(x) for x in zip(*(f.rnn for f in filters), strict=True)
    ]
    expected = {
        "particles": {
            "recurrent": recurrent,
            "latent": np.concatenate([f.encoded_latent for f in filters]),
        },
        "log_weights": np.stack([f.log_weights for f in filters]),
        "log_evidence": np.stack([f.log_evidence for f in filters]),
        "observed": {
            "previous": np.stack(
                [f.standardized(f.length - 1) for f in filters]
            )
        },
        "step": np.stack([f.length for f in filters]),
        # Steps after the last observed one, where a mask alone told it.
        "left_out": np.array(
            [0 if lengths else STEPS - f.length for f in filters]
        ),
    }
    for mine, theirs in zip(
        keras.tree.flatten(state), keras.tree.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)


def test_the_cases_resample_some_and_not_all():
    resampled = []
    for name in ("multinomial", "systematic", "relaxed"):
        options, bound, chosen = CASES[name]
        cell, arguments = cell_of(options), data(**chosen)
        noise = bound.draw(cell, STEPS, BATCH, seed=3)
        filters, _ = numpy_filter.run(cell, bound, noise, **arguments)
        resampled += [s["resampled"] for f in filters for s in f.steps]
    assert 0.1 < np.mean(resampled) < 0.9


GRADIENT_CASES = [
    "importance weights, many particles",
    "systematic",
    "relaxed",
    "gated recurrent unit",
]


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_every_weight_has_the_gradient_of_the_numpy_loop(name):
    options, bound, chosen = CASES[name]
    cell, arguments = cell_of(options), data(**chosen)
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    variables = cell.trainable_variables
    found = gradients(
        lambda: keras.ops.sum(
            bound(cell, noise=noise, **arguments).log_evidence
        ),
        variables,
    )
    assert len(found) == len(variables) > 15
    generator = np.random.default_rng(5)
    for variable, gradient in zip(variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 1e-5, variable.path
    # Along one random direction in all weights at once, in float64.
    direction = [generator.standard_normal(v.shape) for v in variables]
    slope = sum((g * d).sum() for g, d in zip(found, direction, strict=True))
    original = [numpy_filter.array(v) for v in variables]

    def value(distance):
        moved = {
            id(v): w + distance * d
            for v, w, d in zip(variables, original, direction, strict=True)
        }
        with numpy_filter.weights_replaced(moved):
            return numpy_filter.run(cell, bound, noise, **arguments)[1].sum()

    expected = (value(1e-6) - value(-1e-6)) / 2e-6
    np.testing.assert_allclose(slope, expected, rtol=1e-3)


def test_the_seed_decides_the_noise():
    cell, bound = vrnn(dropout=0.5), kf.FIVO(4)
    first, again, other = (
        numpy(bound.draw(cell, STEPS, BATCH, seed=seed, training=True))
        for seed in (1, 1, 2)
    )
    assert first["latent"].shape == (BATCH, STEPS, 4, 2)
    assert first["resampling"].shape == (BATCH, STEPS, 1)
    assert {k: v.shape for k, v in first["dropout"].items()} == {
        "data": (BATCH, 3),
        "latent": (BATCH, 6),
        "hidden": (BATCH, 4),
    }
    keras.tree.map_structure(np.testing.assert_array_equal, first, again)
    assert np.abs(first["latent"] - other["latent"]).min() > 0
    assert "dropout" not in bound.draw(cell, STEPS, BATCH, seed=1)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_units": [5, 4], "dropout": 0.25, "center_present": False},
        {"recurrent": "gru", "activation": "tanh", "min_scale": 0.2},
        {
            "emission": kf.NormalHead(3, [2], "elu", 0.5, 0.1),
            "proposal": kf.SmoothingProposal([3], False, 0.3, 0.7, 2),
            "scale_bias": 0.6,
        },
    ],
)
def test_its_configuration_rebuilds_it(options):
    cell = cell_of(options)
    config = keras.saving.serialize_keras_object(cell)
    twin = keras.saving.deserialize_keras_object(config)
    assert keras.saving.serialize_keras_object(twin) == config
    twin.build({"observations": (None, None, 3), "controls": (None, None, 2)})
    randomize(twin, seed=9)
    twin.set_weights(cell.get_weights())
    bound, arguments = kf.FIVO(2, "multinomial"), data(mask="steps")
    noise = bound.draw(cell, STEPS, BATCH, seed=3, training=True)
    np.testing.assert_array_equal(
        numpy(bound(twin, noise=noise, **arguments).log_evidence),
        numpy(bound(cell, noise=noise, **arguments).log_evidence),
    )


def test_a_stack_of_cells_takes_the_place_of_the_lstm():
    parts = [keras.layers.LSTMCell(3), keras.layers.GRUCell(5)]
    cell = vrnn(recurrent=keras.layers.StackedRNNCells(parts))
    assert cell.recurrence.output_dim == 5
    bound, arguments = kf.FIVO(2, "multinomial"), data(mask="steps")
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    result = bound(cell, noise=noise, **arguments)
    # The outputs of the stack, one step after the other, by hand.
    filters, values = numpy_filter.run(cell, bound, noise, **arguments)
    np.testing.assert_allclose(
        numpy(result.log_evidence), values, rtol=2e-5, atol=1e-5
    )
    check_state(numpy(result.state), filters)


def test_wrong_settings_are_refused():
    for options, received in (
        ({"dropout": 1.0}, "Received: dropout=1.0"),
        ({"latent_dim": 0}, "Received: latent_dim=0"),
        ({"hidden_units": [3, 0]}, r"Received: hidden_units=\[3, 0"),
        ({"emission": "guess"}, "Received: emission='guess'"),
        ({"proposal": "best"}, "Received: proposal='best'"),
        ({"emission": kf.NormalHead(4)}, "Received: data with 3 features"),
        (
            {"recurrent": keras.layers.LSTMCell(3, dropout=0.1)},
            "Received: cell=.* with dropout=0.1",
        ),
        (
            {
                "recurrent": keras.layers.StackedRNNCells(
                    [keras.layers.GRUCell(3, recurrent_dropout=0.2)]
                )
            },
            "Received: cell=.* with recurrent_dropout=0.2",
        ),
    ):
        with pytest.raises(ValueError, match=received):
            vrnn(**options)
