"""The density-ratio objective: what it samples, and where its optimum is."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo.inputs import prepare_inputs
from keras_fivo.latent_sequence_model.twist_training import (
    _sample,
    density_ratio_loss,
    draw_density_ratio_noise,
)
from tests.cells.test_srnn import srnn
from tests.reference.examples import (
    BATCH,
    FEATURES,
    STEPS,
    data,
    numpy,
    randomize,
)

CENTER, SCALE = 0.4, 1.5


class Following(kf.LatentCell):
    """z_t ~ N(x_{t-1}, 1) where a missing x_{t-1} is the centre;
    x_t ~ N(0, SCALE^2)."""

    def encode(self, inputs, observed_state):
        x = inputs["observations"]
        before = ops.concatenate([observed_state["x"][None], x[:-1]], axis=0)
        return {"x": before}, x, {"x": x[-1]}

    def past_features(self, observed_state, controls=None):
        return observed_state

    def recur(self, states, past):
        return past["x"]

    def transition_distribution(self, context):
        return kf.Normal(context, ops.ones_like(context))

    def emission_distribution(self, context, latent):
        return kf.Normal(0.0 * latent, SCALE + 0.0 * latent)

    def initial_observed_state(self, batch):
        return {"x": ops.zeros((batch, 1))}


def test_what_it_samples_after_a_missing_step_begins_at_the_centre():
    """As in the filter, and so for a missing entry."""
    cell = Following(1, twist=kf.LookAheadTwist(num_samples=4))
    cell.build((None, None, 1))
    cell.center.assign([CENTER])
    mask = np.array([[True, False, True, False, True], [True] * 5])
    for observed in (mask, mask[..., None]):
        inputs = prepare_inputs(
            {"observations": np.zeros((2, 5, 1)), "mask": observed}, cell.center
        )
        noise = draw_density_ratio_noise(cell, 5, 2, 3)
        sampled, latents = numpy(_sample(cell, inputs, noise, 4))
        fed = np.where(
            np.repeat(mask, 4, 0).T,
            SCALE * numpy(noise.emission)[..., 0],
            CENTER,
        )
        np.testing.assert_allclose(sampled["observations"][..., 0], fed, 1e-5)
        before = np.concatenate([np.zeros((1, 8)), fed[:-1]])
        expected = before + numpy(noise.latent)[..., 0]
        np.testing.assert_allclose(latents[..., 0], expected, 1e-5, 1e-6)


def test_the_recurrent_state_belongs_to_its_own_latent():
    """Where r reads h_t alone, each latent comes with its own h_t."""
    cell = srnn(controls=False, twist=kf.LookAheadTwist([8], num_samples=3))
    randomize(cell.twist, size=2.0)
    network = cell.twist.network
    reads = np.arange(sum(network.input_dims)) < network.input_dims[0]
    kernel = np.where(reads[:, None], numpy(network.dense[0].kernel), 0.0)
    network.dense[0].kernel.assign(kernel)
    inputs = prepare_inputs(data(controls=False), cell.center)
    noise = draw_density_ratio_noise(cell, STEPS, BATCH, 1)
    sampled, _ = _sample(cell, inputs, noise, 3)
    past, _, _ = cell.encode(sampled, cell.initial_observed_state(BATCH * 3))
    nothing = [ops.zeros((STEPS, BATCH * 3, n)) for n in network.input_dims[1:]]
    value = numpy(network.call([past["hidden"], *nothing]))
    value = value.reshape(STEPS, BATCH, 3)
    loss = np.log(np.exp(value).sum(-1)) - value.mean(-1)
    counts = numpy(inputs["active"])[1:]
    np.testing.assert_allclose(
        numpy(density_ratio_loss(cell, inputs, noise)),
        loss[:-1][counts].mean(),
        rtol=1e-4,
    )
    assert abs(loss[:-1][counts].mean() - np.log(3)) > 1e-3


def independent():
    """A built SRNN whose observations depend on h_t alone, as z_t does."""
    cell = srnn(
        controls=False,
        latent_dim=1,
        hidden_units=[],
        emission="normal",
        proposal="transition",
        twist=kf.LookAheadTwist([8], 4),
    )
    randomize(cell.recurrence, size=2.0)
    size, head = cell.recurrence.output_dim, cell.transition.network.dense[-1]
    kernel = np.zeros(head.kernel.shape)
    kernel[:size, 0] = 4.0 * np.random.default_rng(1).standard_normal(size)
    head.kernel.assign(kernel)
    head.bias.assign([0.0, -1.5])
    emission = cell.emission.network.dense[0].kernel
    blind = numpy(emission).copy()
    blind[: cell.latent_encoding_dim] = 0.0
    emission.assign(blind)
    start = cell.twist.network.dense[-1].kernel
    start.assign(ops.zeros(start.shape))  # r = 1
    return cell


@pytest.mark.one_backend
@pytest.mark.slow
def test_it_learns_nothing_where_the_future_does_not_depend_on_the_latent():
    """Though each latent tells of its h_t, which the future depends on."""
    cell = independent()
    for layer in cell._flatten_layers(include_self=False, recursive=False):
        layer.trainable = layer is cell.twist
    bound = kf.FIVO(8, "multinomial", "always")
    model = kf.LatentSequenceModel(cell, bound, seed=1)
    model.compile(keras.optimizers.Adam(0.02))
    model.build((None, None, FEATURES))
    x = numpy(model.sample(STEPS, 32, seed=3))
    exact = numpy(kf.ELBO()(cell, x, seed=2).log_evidence)
    model.fit(np.concatenate([x] * 100), batch_size=32, epochs=1, verbose=0)
    found = model.filter(x)
    assert numpy(found.log_twist)[:, :-1].std(-1).mean() < 0.05
    assert abs(np.mean(exact - numpy(found.log_evidence))) < 0.01
