"""The SRNN against a NumPy loop, on the same noise."""

import itertools

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference import numpy_filter
from tests.reference.examples import (
    BATCH,
    CONTROLS,
    FEATURES,
    LENGTHS,
    STEPS,
    data,
    numpy,
    randomize,
)
from tests.reference.gradients import gradients

SIZES = {
    "latent_dim": 2,
    "units": 4,
    "hidden_units": [5],
    "data_encoding_dim": 3,
    "latent_encoding_dim": 6,
}


def srnn(controls=True, **options):
    """A built `SRNNCell` with random weights."""
    if options.get("recurrent") == "gru":
        options["recurrent"] = keras.layers.GRUCell(7)
    cell = kf.SRNNCell(**{**SIZES, **options})
    shapes = {"observations": (None, None, FEATURES)}
    if controls:
        shapes["controls"] = (None, None, CONTROLS)
    cell.build(shapes)
    randomize(cell)
    cell.center.assign(np.array([0.2, 0.5, -0.3], "float32"))
    cell.scale.assign(np.array([1.0, 0.5, 2.0], "float32"))
    return cell


class OneSequence(numpy_filter.OneSequence):
    """The filter of one sequence, with the deterministic RNN run first."""

    def run(self):
        state, self.hiddens = self.rnn, []
        state = [x[:1] for x in state]
        for t in range(self.length):
            x = self.standardized(t - 1)
            known = [numpy_filter.network(self.cell.data_encoder, x)[None]]
            known = [known[0] * self.masks("data")]
            if self.controls is not None:
                known.append(self.controls[t][None])
            hidden, state = numpy_filter.rnn_step(
                self.cell.recurrence.cell, np.concatenate(known, -1), state
            )
            self.hiddens.append(hidden[0] * self.masks("hidden"))
        self.observed_state, self.rnn = state, []
        return super().run()

    def encoded_with_hidden(self, t):
        return np.concatenate([self.hiddens[t], self.encoded_present(t)])

    def backward_features(self):
        if not isinstance(self.cell.proposal, kf.SmoothingProposal):
            return None
        rnn = self.cell.proposal.backward.cell
        state, outputs = numpy_filter.zero_rnn_state(rnn, 1), {}
        for t in reversed(range(self.length)):
            seen = self.encoded_with_hidden(t)[None]
            output, state = numpy_filter.rnn_step(rnn, seen, state)
            outputs[t] = output[0]
        return outputs

    def propose(self, t):
        cell = self.cell
        self.hidden = np.tile(self.hiddens[t], (self.particles, 1))
        previous = self.encoded_latent
        p = numpy_filter.normal_head(cell.transition, self.hidden, previous)
        q = p
        if not isinstance(cell.proposal, kf.TransitionProposal):
            seen = self.encoded_present(t)
            seen = seen if self.future is None else self.future[t]
            seen = np.tile(seen, (self.particles, 1))
            q = numpy_filter.normal_head(
                cell.proposal.head, self.hidden, previous, seen
            )
            q = (q[0] + p[0] * cell.proposal.residual, q[1])
        latent = q[0] + q[1] * self.noise["latent"][t]
        self.encoded_latent = numpy_filter.network(
            cell.latent_encoder, latent
        ) * self.masks("latent")
        log_ratio = numpy_filter.normal_log_prob(latent, *p)
        log_ratio = log_ratio - numpy_filter.normal_log_prob(latent, *q)
        return latent, log_ratio.sum(-1)


CASES = {
    "filtering, entries missing": (
        {"center_present": False},
        kf.FIVO(4),
        {"mask": "entries"},
    ),
    "smoothing, steps missing": (
        {"proposal": "smoothing", "emission": "normal"},
        kf.FIVO(4, "stratified", "always"),
        {"mask": "steps"},
    ),
    "smoothing without residual, gated recurrent unit": (
        {
            "proposal": kf.SmoothingProposal([4, 3], False, 0.1, 0.5, 2),
            "recurrent": "gru",
        },
        kf.IWAE(3),
        {"mask": "entries", "lengths": False},
    ),
    "transition, relaxed": (
        {"proposal": "transition", "hidden_units": []},
        kf.FIVO(4, "relaxed", "always"),
        {},
    ),
    "no controls, no hidden layers": (
        {"hidden_units": [], "controls": False},
        kf.ELBO(2),
        {"controls": False},
    ),
    "dropout": (
        {"dropout": 0.4, "proposal": "smoothing"},
        kf.FIVO(3, "multinomial"),
        {"mask": "steps"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_numpy_loop(name, monkeypatch):
    monkeypatch.setattr(numpy_filter, "OneSequence", OneSequence)
    options, bound, chosen = CASES[name]
    cell, arguments = srnn(**options), data(**chosen)
    noise = bound.draw(cell, STEPS, BATCH, seed=3, training=True)
    result = bound(cell, noise=noise, **arguments)
    filters, values = numpy_filter.run(cell, bound, noise, **arguments)
    np.testing.assert_allclose(
        numpy(result.log_evidence), values, rtol=2e-5, atol=1e-5
    )
    for b, expected in enumerate(filters):
        for t, step in enumerate(expected.steps):
            for field in ("log_weights", "latents", "resampled"):
                np.testing.assert_allclose(
                    numpy(getattr(result, field))[b, t],
                    step[field],
                    rtol=1e-4,
                    atol=2e-5,
                )
    observed = numpy(result.state["observed"])
    states = zip(*(f.observed_state for f in filters), strict=True)
    recurrent = keras.tree.flatten(observed["recurrent"])
    for mine, theirs in zip(recurrent, states, strict=True):
        np.testing.assert_allclose(
            mine, np.concatenate(theirs), rtol=1e-4, atol=2e-5
        )
    np.testing.assert_allclose(
        observed["previous"],
        [f.standardized(f.length - 1) for f in filters],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "proposal",
    [
        pytest.param("transition", marks=pytest.mark.one_backend),
        pytest.param("filtering", marks=pytest.mark.one_backend),
        "smoothing",
    ],
)
def test_every_weight_has_a_finite_gradient(proposal):
    cell, bound = srnn(proposal=proposal), kf.FIVO(4)
    arguments = data(mask="entries")
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    variables = cell.trainable_variables
    found = gradients(
        lambda: keras.ops.sum(
            bound(cell, noise=noise, **arguments).log_evidence
        ),
        variables,
    )
    for variable, gradient in zip(variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 1e-5, variable.path
    counts = {"transition": 19, "filtering": 23, "smoothing": 26}
    assert len(variables) == counts[proposal]


def cut(arguments, noise, start, end):
    part = {
        name: value[:, start:end]
        for name, value in arguments.items()
        if name != "lengths"
    }
    part["lengths"] = np.clip(LENGTHS, start, end) - start
    return part, {name: value[:, start:end] for name, value in noise.items()}


@pytest.mark.parametrize(
    "cuts",
    [
        [0, 2, 6],
        pytest.param([0, 1, 2, 3, 4, 5, 6], marks=pytest.mark.one_backend),
    ],
)
def test_pieces_give_the_same_as_the_whole(cuts):
    cell, bound, arguments = srnn(), kf.FIVO(4), data(mask="steps")
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    whole = bound(cell, noise=noise, **arguments)
    state = None
    for start, end in itertools.pairwise(cuts):
        part, own = cut(arguments, noise, start, end)
        result = bound(cell, noise=own, state=state, **part)
        state = result.state
    np.testing.assert_allclose(
        numpy(result.log_evidence), numpy(whole.log_evidence), rtol=1e-5
    )
    for mine, theirs in zip(
        keras.tree.flatten(numpy(state)),
        keras.tree.flatten(numpy(whole.state)),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def inputs_of(observations, controls, active=None):
    if active is None:
        active = np.ones(observations.shape[:2], bool)
    return keras.tree.map_structure(
        keras.ops.convert_to_tensor,
        {
            "observations": observations,
            "controls": controls,
            "active": active,
        },
    )


def test_features_of_the_next_step_are_those_that_encode_gives_later():
    cell, arguments = srnn(), data()
    x = np.moveaxis(arguments["observations"], 0, 1)
    u = np.moveaxis(arguments["controls"], 0, 1)
    first = cell.initial_observed_state(BATCH)
    whole, _, _ = cell.encode(inputs_of(x, u), first)
    _, _, state = cell.encode(inputs_of(x[:3], u[:3]), first)
    now = cell.past_features(state, keras.ops.convert_to_tensor(u[3]))
    keras.tree.map_structure(
        lambda value, steps: np.testing.assert_allclose(
            value, steps[3], rtol=1e-5, atol=1e-6
        ),
        numpy(now),
        numpy(whole),
    )


def test_generation_reads_what_it_sampled():
    """Step after step, the RNN's state is that of the whole sequence."""
    cell, arguments = srnn(), data()
    u = np.moveaxis(arguments["controls"], 0, 1)
    observed_state = cell.initial_observed_state(BATCH)
    states = cell.get_initial_state(BATCH)
    sampled = []
    for t in range(STEPS):
        past = cell.past_features(
            observed_state, keras.ops.convert_to_tensor(u[t])
        )
        noise = {
            "latent": keras.random.normal((BATCH, 2), seed=t),
            "emission": keras.random.uniform((BATCH, FEATURES), seed=t),
        }
        step = keras.ops.full((BATCH,), t, "int32")
        new, states = cell.generate(states, past, step, noise)
        sampled.append(numpy(new["observations"]))
        piece = inputs_of(sampled[-1][None], u[t : t + 1])
        _, _, observed_state = cell.encode(piece, observed_state)
    _, _, expected = cell.encode(
        inputs_of(np.stack(sampled), u), cell.initial_observed_state(BATCH)
    )
    assert 0 < np.stack(sampled).mean() < 1
    for mine, theirs in zip(
        keras.tree.flatten(numpy(observed_state)),
        keras.tree.flatten(numpy(expected)),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "proposal",
    [pytest.param("filtering", marks=pytest.mark.one_backend), "smoothing"],
)
def test_padding_changes_nothing(proposal):
    cell, bound, arguments = srnn(proposal=proposal), kf.FIVO(4), data()
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    whole = bound(cell, noise=noise, **arguments)
    for b, length in enumerate(LENGTHS):
        alone = {
            "observations": arguments["observations"][b : b + 1, :length],
            "controls": arguments["controls"][b : b + 1, :length],
        }
        own = {k: v[b : b + 1, :length] for k, v in noise.items()}
        result = bound(cell, noise=own, **alone)
        np.testing.assert_allclose(
            numpy(result.log_evidence)[0],
            numpy(whole.log_evidence)[b],
            rtol=1e-5,
        )


@pytest.mark.parametrize("proposal", ["filtering", "smoothing"])
def test_the_model_does_not_see_the_present(proposal):
    """x_3 moves the proposal at 3; transition and emission only later."""
    cell, arguments = srnn(proposal=proposal), data()
    x = np.moveaxis(arguments["observations"], 0, 1)
    u = np.moveaxis(arguments["controls"], 0, 1)
    changed = x.copy()
    changed[3] = 1 - changed[3]
    pasts, presents = [], []
    for values in (x, changed):
        inputs = inputs_of(values, u)
        state = cell.initial_observed_state(BATCH)
        past, present, _ = cell.encode(inputs, state)
        pasts.append(keras.tree.flatten(numpy(past)))
        present = cell.look_ahead(past, present, inputs)
        presents += keras.tree.flatten(numpy(present))
    assert len(pasts[0]) == 3
    for value, other in zip(*pasts, strict=True):
        moved = np.abs(value - other).max(axis=(1, 2))
        assert (moved[:4] == 0).all() and (moved[4:] > 0).all()
    assert len(presents) == 2
    moved = np.abs(presents[0] - presents[1]).max(axis=(1, 2))
    assert moved[3] > 0
    assert (moved[:3] > 0).all() == (proposal == "smoothing")


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
    cell = srnn(**options)
    config = keras.saving.serialize_keras_object(cell)
    twin = keras.saving.deserialize_keras_object(config)
    assert keras.saving.serialize_keras_object(twin) == config
    twin.build(
        {
            "observations": (None, None, FEATURES),
            "controls": (None, None, CONTROLS),
        }
    )
    twin.set_weights(cell.get_weights())
    bound, arguments = kf.FIVO(2, "multinomial"), data(mask="steps")
    noise = bound.draw(cell, STEPS, BATCH, seed=3, training=True)
    np.testing.assert_array_equal(
        numpy(bound(twin, noise=noise, **arguments).log_evidence),
        numpy(bound(cell, noise=noise, **arguments).log_evidence),
    )


def test_all_missing_gives_finite_values():
    cell, bound, arguments = srnn(), kf.FIVO(4), data()
    arguments["mask"] = np.zeros((BATCH, STEPS), bool)
    arguments["observations"][:] = np.nan
    result = numpy(bound(cell, seed=1, **arguments).log_evidence)
    assert np.isfinite(result).all()


def test_the_recurrence_runs_once_for_all_particles(monkeypatch):
    """However many particles there are, it sees as many rows as sequences."""
    cell, arguments = srnn(recurrent="gru"), data()
    rows = []
    call = type(cell.recurrence.cell).call

    def counting(self, inputs, *args, **kwargs):
        rows.append(inputs.shape[0])
        return call(self, inputs, *args, **kwargs)

    monkeypatch.setattr(type(cell.recurrence.cell), "call", counting)
    kf.FIVO(16)(cell, seed=1, **arguments)
    assert rows and set(rows) == {BATCH}
