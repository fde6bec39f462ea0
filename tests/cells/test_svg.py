"""Frames through the whole library, and the cell that models them."""

import functools

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.testing import check_cell
from tests.reference import numpy_frames
from tests.reference.examples import numpy, randomize

SMALL = {"latent_dim": 2, "units": 3, "blocks": [[2]]}
SMALL |= {"encoding_dim": 4, "emission": "bernoulli", "normalization": None}
SHAPE = (4, 8, 1)
# Every layer that there may be.
WHOLE = {**SMALL, "emission": "normal", "normalization": "group"}
WHOLE |= {"posterior_units": 3, "skip_connections": True}


def frames(batch=2, steps=4, seed=0):
    """Black and white frames."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2, (batch, steps, *SHAPE)).astype("float32")


def built(**options):
    """A cell with random weights."""
    cell = kf.SVGCell(**{**SMALL, **options})
    cell.build((None, None, *SHAPE))
    randomize(cell)
    cell.adapt(np.array([0.4], "float32"))
    return cell


@functools.cache
def model(**options):
    """A model of such a cell, which filters with two particles."""
    made = kf.LatentSequenceModel(built(**options), kf.FIVO(2), seed=0)
    made.build((None, None, *SHAPE))
    return made


def test_it_holds_to_the_contract():
    proposal = kf.FilteringProposal(hidden_units=[])
    check_cell(kf.SVGCell(**WHOLE, proposal=proposal), frames())


@pytest.mark.slow
def test_it_holds_to_the_contract_while_its_proposal_is_refined():
    proposal = kf.IterativeProposal(
        update=kf.HighwayUpdate([4], reads="observation"), start="filtering"
    )
    check_cell(kf.SVGCell(**WHOLE, proposal=proposal), frames())


def test_its_proposal_is_refined_by_gradients_through_the_decoder():
    proposal = kf.IterativeProposal(2, kf.GradientUpdate(0.3))
    made = kf.LatentSequenceModel(built(proposal=proposal), kf.ELBO(2))
    data = kf.pad_sequences([frames(1, steps)[0] for steps in (3, 2)])
    noise = made.bound.draw(made.cell, 3, 2, seed=0)
    noise = {name: numpy(x) for name, x in noise.items()}
    # On one noise for all evaluations small steps go down for certain.
    noise["proposal"] = np.repeat(noise["proposal"][..., :1, :], 3, axis=3)
    energies = numpy(made.filter(data, noise=noise).free_energies)
    assert energies.shape == (2, 3, 2, 3)
    assert not energies[1, 2].any()
    change = np.diff(energies).sum((0, 1, 2))
    assert change[0] < change[1] < -1e-5


@pytest.mark.parametrize("skip_connections", [False, True])
def test_its_filter_is_the_numpy_loop(skip_connections):
    cell = built(
        proposal="transition",
        skip_connections=skip_connections,
        blocks=[[2, 3], [2]],
        num_layers=2 + skip_connections,
    )
    made = kf.LatentSequenceModel(cell, kf.ELBO())
    given = frames()
    noise = made.bound.draw(cell, 4, 2, seed=0)
    found = numpy(made.filter(given, noise=noise).log_evidence)
    latent = numpy(noise["latent"])[:, :, 0]
    expected = [
        numpy_frames.log_evidence(cell, x, e)
        for x, e in zip(given, latent, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_stepping_is_filtering_whatever_is_missing():
    made = model(posterior_units=3)
    given = frames()
    mask = np.ones(given.shape, bool)
    mask[0, 1] = False  # a frame
    mask[1, :, :2] = False  # a part of each frame
    lengths = np.array([4, 4], "int32")
    noise = made.bound.draw(made.cell, 4, 2, seed=0)
    data = {"observations": given, "mask": mask, "lengths": lengths}
    whole = made.filter(data, noise=noise)
    state = None
    for t in range(4):
        now = {name: numpy(x)[:, t : t + 1] for name, x in noise.items()}
        step = {"observations": given[:, t], "mask": mask[:, t]}
        state, result = made.step(step, state, now)
    np.testing.assert_allclose(
        numpy(result.log_evidence), numpy(whole.log_evidence), rtol=1e-5
    )
    # What stands where nothing is observed changes nothing.
    data["observations"] = np.where(mask, given, np.nan)
    again = made.filter(data, noise=noise)
    np.testing.assert_array_equal(
        numpy(again.log_evidence), numpy(whole.log_evidence)
    )


def test_parts_of_a_frame_add_up_to_it():
    made = kf.LatentSequenceModel(built(proposal="transition"), kf.ELBO())
    given = frames(steps=1)
    noise = made.bound.draw(made.cell, 1, 2, seed=0)
    part = np.random.default_rng(1).random(given.shape) < 0.5
    whole, some, others = (
        numpy(
            made.filter(
                {"observations": given, "mask": mask}, noise=noise
            ).log_evidence
        )
        for mask in (part | ~part, part, ~part)
    )
    np.testing.assert_allclose(some + others, whole, rtol=1e-5)


def test_videos_of_unequal_lengths_are_trained_on_and_continued(tmp_path):
    sequences = [frames(1, steps)[0] for steps in (4, 2)]
    data = kf.pad_sequences(sequences)
    made = kf.LatentSequenceModel(kf.SVGCell(**SMALL), kf.ELBO(), seed=0)
    made.adapt(data)
    mean = np.concatenate(sequences).mean()
    np.testing.assert_allclose(numpy(made.cell.center), [mean], rtol=1e-6)
    made.compile(keras.optimizers.SGD(0.1))
    made.fit(data, epochs=1, verbose=0)
    assert np.isfinite(made.evaluate(data, verbose=0)[0])
    samples = numpy(made.sample(3, num_samples=2, prefix=data, num_particles=2))
    assert samples.shape == (2, 2, 3, *SHAPE)
    assert set(np.unique(samples)) <= {0, 1}
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(data, verbose=0),
        made.predict(data, verbose=0),
        rtol=1e-6,
    )
    paths = [variable.path for variable in loaded.cell.weights]
    assert len(set(paths)) == len(paths)
    for layer in (loaded.cell.encoder, loaded.cell.decoder):
        assert any(path.startswith(layer.path + "/") for path in paths)


def test_forecasts_are_frames():
    forecast = model().forecast(frames(), 2, num_samples=3, num_particles=2)
    assert numpy(forecast.samples).shape == (2, 3, 2, *SHAPE)
    assert numpy(forecast.means).shape == (2, 2, *SHAPE)
    assert numpy(forecast.quantiles).shape == (3, 2, 2, *SHAPE)
    assert kf.metrics.crps(frames(steps=2), forecast.samples).shape == (
        2,
        2,
        *SHAPE,
    )


def test_layers_that_mix_rows_are_refused():
    for wrong in (keras.layers.BatchNormalization(), "batch"):
        with pytest.raises(ValueError, match="GroupNormalization"):
            kf.SVGCell(2, normalization=wrong)
    cell = kf.SVGCell(2, normalization=keras.layers.LayerNormalization(-1))
    serialize = keras.saving.serialize_keras_object
    again = keras.saving.deserialize_keras_object(serialize(cell))
    assert type(again.normalization) is keras.layers.LayerNormalization
    assert again.normalization.axis == -1


@pytest.mark.parametrize(
    "options, received",
    [
        ({"blocks": []}, r"blocks=\[\]"),
        ({"blocks": [8, 16]}, r"blocks=\[8, 16\]"),
        ({"blocks": [[8, 0]]}, r"blocks=\[\[8, 0\]\]"),
        ({"normalization": "instance"}, "normalization='instance'"),
        ({"twist": "look_ahead"}, "twist="),
        ({"num_layers": 0}, "num_layers=0"),
        ({"posterior_units": -1}, "posterior_units=-1"),
    ],
)
def test_what_cannot_be_is_refused(options, received):
    with pytest.raises((ValueError, TypeError), match=f"Received: {received}"):
        kf.SVGCell(2, **options)


def test_other_shapes_than_frames_are_refused():
    svg = kf.LatentSequenceModel(kf.SVGCell(**SMALL), kf.ELBO())
    vrnn = kf.LatentSequenceModel(kf.VRNNCell(2), kf.ELBO())
    with pytest.raises(ValueError, match="height, width, channels"):
        svg.filter(np.zeros((2, 3, 8), "float32"))
    with pytest.raises(ValueError, match=r"Received: .* \(2, 3, 4, 8, 1\)"):
        vrnn.filter(np.zeros((2, 3, *SHAPE), "float32"))
    with pytest.raises(ValueError, match="multiples of 2"):
        svg.filter(np.zeros((2, 3, 5, 8, 1), "float32"))
    with pytest.raises(ValueError, match="4, 8, 1"):
        model().filter(np.zeros((2, 3, 8, 8, 1), "float32"))
