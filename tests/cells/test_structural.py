"""Level, trend and seasonality, with exact answers."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.testing import check_cell
from tests.reference.examples import numpy, randomize

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 7, 1)).astype("float32").cumsum(1)


def built(controls=0, **options):
    cell = kf.StructuralCell(**options)
    shapes = {"observations": (None, None, cell.num_features)}
    if controls:
        shapes["controls"] = (None, None, controls)
    cell.build(shapes)
    randomize(cell, size=0.2)
    return cell


@pytest.mark.parametrize(
    ("season", "harmonics", "size"),
    [(None, None, 2), (4, None, 5), (5, None, 6), (12, 2, 6), (2, None, 3)],
)
def test_a_season_repeats_and_has_as_many_latents_as_it_needs(
    season, harmonics, size
):
    cell = built(season=season, num_harmonics=harmonics, damped=False)
    assert cell.latent_dim == size
    chain = cell.chain()
    matrix, seen = numpy(chain.transition_matrix), numpy(chain.emission_matrix)
    start = RNG.standard_normal(size)
    start[1] = 0.25
    values, latent = [], start
    for _ in range(2 * (season or 1)):
        values.append((seen @ latent)[0])
        latent = matrix @ latent
    values = np.array(values)
    cycle = season or 1
    # Without noise: the same season again, a slope higher.
    np.testing.assert_allclose(
        values[cycle:] - values[:cycle], 0.25 * cycle, atol=1e-5
    )


def test_a_damped_slope_comes_to_rest():
    cell = built(num_features=2)
    matrix = numpy(cell.chain().transition_matrix)
    for i, phi in enumerate(numpy(cell.chain_weights.damping)):
        block = matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2]
        np.testing.assert_allclose(block, [[1, phi], [0, phi]], rtol=1e-6)
    assert np.all(matrix[:2, 2:] == 0) and np.all(matrix[2:, :2] == 0)


@pytest.mark.one_backend
def test_the_elbo_of_the_exact_proposal_is_the_log_evidence():
    mask = np.ones((2, 7), bool)
    mask[0, 2] = mask[1, 5] = False
    controls = RNG.standard_normal((2, 7, 2)).astype("float32")
    given = {"mask": mask, "controls": controls, "lengths": np.array([7, 6])}
    cell = built(2, season=3, proposal="exact_smoothing")
    cell.adapt(np.array([40.0]), np.array([9.0]))
    observations = 40 + 9 * X
    found = kf.ELBO()(cell, observations, **given, seed=0).log_evidence
    exact = cell.exact(observations, **given).log_evidence
    np.testing.assert_allclose(numpy(found), numpy(exact), rtol=1e-4)
    # In other units: the same, but for the logs of their ratio.
    cell.adapt(np.array([0.0]), np.array([1.0]))
    plain = numpy(cell.exact(X, **given).log_evidence)
    np.testing.assert_allclose(
        numpy(exact), plain - np.array([6, 5]) * np.log(9.0), rtol=1e-4
    )


@pytest.mark.one_backend
def test_the_cell_holds_to_the_contract():
    controls = RNG.standard_normal((2, 7, 1))
    check_cell(kf.StructuralCell(season=4), X, controls)


@pytest.mark.slow
def test_a_trained_season_is_forecast(tmp_path):
    steps = np.arange(48)
    series = 500 + 3 * steps + 40 * np.array([0, 1, 3, -4])[steps % 4]
    series = (series + RNG.normal(0, 4, 48)).astype("float32")[None, :, None]
    cell = kf.StructuralCell(season=4, proposal="exact_smoothing")
    model = kf.LatentSequenceModel(cell, kf.ELBO(), kf.ELBO(), seed=0)
    model.adapt(series)
    model.compile(keras.optimizers.Adam(0.05))
    before = model.evaluate(series, verbose=0, return_dict=True)
    model.fit(series, epochs=60, verbose=0)
    after = model.evaluate(series, verbose=0, return_dict=True)
    assert after["bound_per_step"] > before["bound_per_step"] + 0.3
    forecast = model.forecast(series, 8, num_samples=200, seed=0)
    ahead = np.arange(48, 56)
    truth = 500 + 3 * ahead + 40 * np.array([0, 1, 3, -4])[ahead % 4]
    low, middle, high = numpy(forecast.quantiles)[:, 0, :, 0]
    assert np.all(np.abs(middle - truth) < 20)
    assert np.mean((low < truth) & (truth < high)) >= 0.75
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(series, verbose=0), model.predict(series, verbose=0)
    )


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"season": 0}, "season=0"),
        ({"num_harmonics": 1}, "season=None"),
        ({"season": 4, "num_harmonics": 3}, "num_harmonics=3"),
        ({"scales": {"cycle": 1.0}}, "cycle"),
        ({"scales": {"level": 0.0}}, "level"),
    ],
)
def test_what_cannot_be_is_refused(options, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        kf.StructuralCell(**options)


def test_other_numbers_of_features_are_refused():
    with pytest.raises(ValueError, match="Received: data with 3"):
        kf.StructuralCell().build((None, None, 3))
