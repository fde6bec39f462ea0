"""Twists in a model: training, saving, what the model's verbs give."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import model
from tests.reference.examples import BATCH, FEATURES, STEPS, data, numpy
from tests.twists.test_exact import chain, observations

LEARNED = ("density_ratio", "temporal_difference", "bound")


def values(variables):
    return {v.path: numpy(v) for v in variables}


@pytest.fixture(scope="module")
def twisted():
    """A model whose twist is trained by its own samples."""
    twist = kf.LookAheadTwist([3], 2, num_samples=2)
    return model(cell={"twist": twist}, bound=kf.FIVO(2, criterion="always"))


@pytest.mark.one_backend
def test_it_trains_and_comes_back_from_a_file(twisted, tmp_path):
    sequences = data(controls=False, mask="entries")
    before = values(twisted.trainable_variables)
    history = twisted.fit(
        sequences, validation_data=sequences, epochs=1, verbose=0
    ).history
    assert "val_twist_loss" not in history
    # The cross-entropy of two latents that cannot be told apart is log 2.
    assert 0 < history["twist_loss"][0] < 1.5
    after = values(twisted.trainable_variables)
    assert sum("/twist/" in path for path in after) == 7
    for path, value in after.items():
        assert np.isfinite(value).all()
        # What is added to log r at every z_t drops out.
        constant = path.endswith("twist/network/dense_1/bias")
        moved = np.abs(value - before[path]).max() > 1e-7
        assert moved != constant, path
    twisted.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.cell.twist, kf.LookAheadTwist)
    assert loaded.cell.twist.num_samples == 2
    bound = kf.FIVO(2, criterion="always")
    noise = bound.draw(twisted.cell, STEPS, BATCH, seed=1)
    mine, theirs = (
        m.filter(sequences, bound, noise) for m in (loaded, twisted)
    )
    assert np.ptp(numpy(theirs.log_twist)) > 0
    for name in ("log_evidence", "log_weights", "log_twist"):
        np.testing.assert_array_equal(
            numpy(getattr(mine, name)), numpy(getattr(theirs, name))
        )


def test_it_generates_and_smooths_and_does_not_stream(twisted):
    x = data(controls=False)
    assert twisted.sample(2, 1, x, num_particles=2).shape == (BATCH, 1, 2, 3)
    found = twisted.smooth(x, num_samples=2, num_particles=2)
    assert np.isfinite(numpy(found.means)).all()
    with pytest.raises(ValueError, match="Received: twist=<LookAheadTwist"):
        twisted.step(np.zeros((BATCH, FEATURES), "float32"))


@pytest.mark.one_backend
# A random chain need not begin near the data.
@pytest.mark.filterwarnings("ignore:The first bound is absurd")
@pytest.mark.parametrize("objective", LEARNED)
def test_each_objective_moves_what_it_should(objective):
    cell = chain(kf.QuadraticTwist(4, objective, 3), "filtering")
    made = kf.LatentSequenceModel(cell, kf.FIVO(3, criterion="always"), seed=1)
    made.compile(keras.optimizers.SGD(0.1))
    own = {v.path for v in cell.twist.trainable_variables}
    everything = {v.path for v in cell.trainable_variables}
    assert own
    assert own < everything
    alone = objective != "bound"
    moved = {v.path for v in made.loss_variables("loss")}
    assert moved == (everything - own if alone else everything)
    before = values(cell.trainable_variables)
    logs = made.fit(observations(), epochs=1, verbose=0).history
    assert ("twist_loss" in logs) == (objective == "density_ratio")
    after = values(cell.trainable_variables)
    still = {p for p in after if np.array_equal(before[p], after[p])}
    # A one-layer proposal's weights of dead units may rest.
    assert not still & own


def distance(cell, exact, x):
    """Standard deviation over particles of log r less the exact one."""
    noise = kf.IWAE(32).draw(cell, 4, len(x), seed=5)
    mine, theirs = (
        numpy(kf.IWAE(32)(c, x, noise=noise).log_twist)[:, :-1]
        for c in (cell, exact)
    )
    return np.mean(np.std(mine - theirs, axis=-1))


@pytest.mark.one_backend
@pytest.mark.parametrize("objective", LEARNED[:2])
@pytest.mark.slow
def test_learning_turns_the_twist_to_the_exact_one(objective):
    cell = chain(kf.QuadraticTwist(4, objective), "exact_filtering")
    bound = kf.FIVO(16, criterion="always")
    made = kf.LatentSequenceModel(cell, bound, seed=1)
    made.compile(keras.optimizers.Adam(0.03))
    x = samples(16 * 60)
    exact = chain("exact", "exact_filtering")
    before = distance(cell, exact, x[:8])
    made.fit(x, batch_size=16, epochs=1, verbose=0)
    assert distance(cell, exact, x[:8]) < 0.3 * before


def samples(count):
    """Sequences drawn from the chain."""
    generator = np.random.default_rng(2)
    latent, found = 0.0, []
    for step, noise in zip(
        [1.0, 0.5, 0.8, 0.9], [0.9, 0.8, 0.4, 0.2], strict=True
    ):
        latent = 0.9 * latent + np.sqrt(step) * generator.standard_normal(count)
        error = np.sqrt(noise) * generator.standard_normal(count)
        found.append(1.2 * latent + error)
    return np.stack(found, 1)[..., None].astype("float32")
