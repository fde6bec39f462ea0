import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

INF = np.inf
BELOW_ONE = np.float32(1 - 2.0**-24)
CHOOSING = [kf.Multinomial(), kf.Stratified(), kf.Systematic()]
NAMES = [type(scheme).__name__ for scheme in CHOOSING]
every_scheme = pytest.mark.parametrize("scheme", CHOOSING, ids=NAMES)


def log(weights):
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(weights, "float64")).astype("float32")


def ancestors(scheme, weights, noise):
    weights = np.atleast_2d(weights)
    noise = np.broadcast_to(
        np.asarray(noise, "float32"),
        (len(weights), *scheme.noise_shape(weights.shape[-1])),
    )
    return numpy(
        scheme.ancestors(
            keras.ops.convert_to_tensor(log(weights)),
            keras.ops.convert_to_tensor(np.ascontiguousarray(noise)),
        )
    )


def test_multinomial_takes_the_first_particle_whose_sum_exceeds_the_uniform():
    weights = [0.5, 0.125, 0.25, 0.125]
    noise = [[0.7, 0.1, 0.55, 0.99]]
    assert ancestors(kf.Multinomial(), weights, noise).tolist() == [
        [2, 0, 1, 3]
    ]
    # On the edge between two particles, the later one.
    noise = [[0.0, 0.5, 0.625, 0.875]]
    assert ancestors(kf.Multinomial(), weights, noise).tolist() == [
        [0, 1, 2, 3]
    ]


def test_stratified_has_a_position_in_each_stratum():
    weights = [0.5, 0.125, 0.25, 0.125]
    noise = [[0.99, 0.5, 0.4, 0.6]]  # 0.2475, 0.375, 0.6, 0.9
    assert ancestors(kf.Stratified(), weights, noise).tolist() == [[0, 0, 1, 3]]


def test_systematic_has_one_offset_for_all():
    weights = [[0.5, 0.125, 0.25, 0.125], [0.1, 0.1, 0.1, 0.7]]
    noise = [[0.5], [0.2]]  # 0.125, 0.375, 0.625, 0.875; 0.05, 0.3, ...
    assert ancestors(kf.Systematic(), weights, noise).tolist() == [
        [0, 0, 2, 3],
        [0, 3, 3, 3],
    ]


@every_scheme
@pytest.mark.parametrize("uniform", [0.0, 0.3, BELOW_ONE])
@pytest.mark.parametrize("count", [2, 3, 7, 33])
def test_a_particle_of_weight_zero_is_never_chosen(scheme, uniform, count):
    generator = np.random.default_rng(count)
    weights = generator.exponential(size=(400, count))
    weights[generator.random((400, count)) < 0.5] = 0
    weights[:100, 0] = weights[100:200, -1] = 0
    weights[200:300, : count // 2] = weights[300:, count // 2 :] = 0
    weights[np.arange(400), generator.integers(0, count, 400)] += 0.1
    found = ancestors(scheme, weights, uniform)
    assert found.shape == (400, count)
    assert (np.take_along_axis(weights, found, -1) > 0).all()


@pytest.mark.parametrize("count", [8, 64])
def test_rounding_of_cumulative_weights_chooses_no_dead_particle(count):
    # Uniforms at each edge between particles, and beside it. Backends form
    # float32 sums in any order, so that sums need not even be monotone.
    generator = np.random.default_rng(0)
    weights = generator.exponential(size=(500, count)).astype("float32")
    weights[:, count // 2 - 1 :: 3] = 0
    weights[:, -1] = 0
    weights /= weights.sum(-1, keepdims=True)
    edges = numpy(
        keras.ops.cumsum(keras.ops.convert_to_tensor(weights), axis=-1)
    )
    for shift in (-2, -1, 0, 1, 2):
        uniforms = (edges + shift * 2.0**-24).clip(0, BELOW_ONE)
        found = ancestors(kf.Multinomial(), weights, uniforms)
        assert (np.take_along_axis(weights, found, -1) > 0).all()


@every_scheme
def test_cumulative_weights_that_fall_below_one_lose_no_particle(scheme):
    count = 1000  # the float32 sum of 1000 times 1/1000 is 0.99999...
    weights = np.full((1, count), 1.0)
    assert np.cumsum(np.full(count, 0.001, "float32"))[-1] < BELOW_ONE
    found = ancestors(scheme, weights, BELOW_ONE)
    assert found.min() >= 0
    assert found.max() == count - 1


@every_scheme
def test_mean_offspring_are_the_number_times_the_weight(scheme):
    weights = np.array([0.05, 0.4, 0.0, 0.25, 0.3])
    runs = 20000
    noise = numpy(scheme.draw((runs,), 5, seed=7))
    found = ancestors(scheme, np.tile(weights, (runs, 1)), noise)
    offspring = (found[..., None] == np.arange(5)).sum(1)
    error = offspring.std(0) / np.sqrt(runs)
    difference = np.abs(offspring.mean(0) - 5 * weights)
    assert (difference <= 4.5 * error + 1e-4).all(), (difference, error)


def test_systematic_offspring_are_within_one_of_their_mean():
    generator = np.random.default_rng(1)
    weights = generator.dirichlet(np.full(9, 0.4), size=2000)
    found = ancestors(kf.Systematic(), weights, generator.random((2000, 1)))
    offspring = (found[..., None] == np.arange(9)).sum(1)
    assert np.abs(offspring - 9 * weights).max() < 1 + 1e-4


@every_scheme
def test_noise_is_uniform_in_its_declared_shape(scheme):
    noise = numpy(scheme.draw((7, 50), 20, seed=1))
    assert noise.shape == (7, 50, *scheme.noise_shape(20))
    assert 0 <= noise.min() < noise.max() < 1
    assert noise.mean() == pytest.approx(0.5, abs=5 * 0.29 / np.sqrt(350))


def particles_and_weights(batch=3, count=4):
    generator = np.random.default_rng(2)
    rows = generator.standard_normal((batch * count, 2)).astype("float32")
    numbers = np.arange(batch * count, dtype="int32")
    log_weights = generator.standard_normal((batch, count)).astype("float32")
    return {"state": rows, "nested": [numbers]}, log_weights


@every_scheme
def test_only_sequences_that_resample_move(scheme):
    particles, log_weights = particles_and_weights()
    log_weights[2] = [-INF, 0, -INF, -INF]
    noise = scheme.draw((3,), 4, seed=3)
    moved, found = scheme(
        keras.tree.map_structure(keras.ops.convert_to_tensor, particles),
        keras.ops.convert_to_tensor(log_weights),
        noise,
        keras.ops.convert_to_tensor([True, False, True]),
    )
    found, moved = numpy(found), numpy(moved)
    assert found.dtype == "int32"
    assert found[1].tolist() == [0, 1, 2, 3]
    assert found[2].tolist() == [1, 1, 1, 1]
    rows = (found + 4 * np.arange(3)[:, None]).reshape(-1)
    np.testing.assert_array_equal(moved["nested"][0], rows)
    np.testing.assert_array_equal(moved["state"], particles["state"][rows])


def test_replay_repeats_the_ancestors_that_it_is_given():
    particles, log_weights = particles_and_weights(2, 3)
    given = np.array([[2, 2, 0], [1, 0, 1]], "float32")
    _, found = kf.Replay()(
        keras.tree.map_structure(keras.ops.convert_to_tensor, particles),
        keras.ops.convert_to_tensor(log_weights),
        keras.ops.convert_to_tensor(given),
        keras.ops.convert_to_tensor([True, True]),
    )
    np.testing.assert_array_equal(numpy(found), given)
    with pytest.raises(ValueError, match="Received: no noise"):
        kf.Replay().draw((2,), 3, None)


def relax(temperature, particles, log_weights, noise, resample):
    moved, blend = kf.Relaxed(temperature)(
        keras.ops.convert_to_tensor(particles),
        keras.ops.convert_to_tensor(log_weights),
        keras.ops.convert_to_tensor(noise),
        keras.ops.convert_to_tensor(resample),
    )
    return numpy(moved), numpy(blend)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_relaxed_states_equal_the_original(golden, temperature):
    file = golden("smc_primitives")
    count, batch = file["log_weights"].shape

    def by_sequence(x):  # rows are particle-major in the file
        return x.reshape(count, batch, *x.shape[1:]).swapaxes(0, 1)

    moved, blend = relax(
        temperature,
        by_sequence(file["states"]).reshape(batch * count, -1),
        file["log_weights"].T.copy(),
        file["gumbel"].swapaxes(0, 1).copy(),
        [True] * batch,
    )
    expected = by_sequence(file[f"relaxed_state_tau{temperature}"])
    np.testing.assert_allclose(
        moved.reshape(batch, count, -1), expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(blend.sum(-1), 1, rtol=1e-5)


def test_relaxed_chooses_at_low_and_averages_at_high_temperature():
    generator = np.random.default_rng(3)
    log_weights = np.log(np.array([[0.5, 0.0, 0.5]]) + 1e-30).astype("float32")
    log_weights[0, 1] = -INF
    states = generator.standard_normal((3, 2)).astype("float32")
    noise = generator.gumbel(size=(1, 3, 3)).astype("float32")
    moved, blend = relax(1e-3, states, log_weights, noise, [True])
    chosen = np.argmax(noise[0] + log_weights, -1)
    np.testing.assert_allclose(blend[0], np.eye(3)[chosen], atol=1e-4)
    np.testing.assert_allclose(moved, states[chosen], atol=1e-3)
    moved, blend = relax(1e4, states, log_weights, noise, [True])
    np.testing.assert_allclose(blend[0], [[0.5, 0, 0.5]] * 3, atol=1e-3)
    moved, blend = relax(0.5, states, log_weights, noise, [False])
    np.testing.assert_array_equal(blend[0], np.eye(3))
    np.testing.assert_allclose(moved, states, rtol=1e-6)


def test_relaxed_noise_is_standard_gumbel():
    noise = numpy(kf.Relaxed().draw((40, 50), 4, seed=1))
    assert noise.shape == (40, 50, 4, 4)
    assert np.isfinite(noise).all()
    assert noise.mean() == pytest.approx(0.5772, abs=5 * 1.28 / 178)
    assert noise.var() == pytest.approx(np.pi**2 / 6, rel=0.05)


def test_relaxed_gradients_flow_and_dead_particles_give_no_nan():
    states = keras.Variable(np.arange(6, dtype="float32").reshape(6, 1))
    log_weights = keras.Variable(
        np.array([[0.3, -INF, 0.1], [-INF, -INF, -INF]], "float32")
    )
    noise = keras.ops.zeros((2, 3, 3))

    def total():
        moved, _ = kf.Relaxed()(
            states.value,
            log_weights.value,
            noise,
            keras.ops.convert_to_tensor([True, False]),
        )
        return keras.ops.sum(moved[:3] ** 2) + keras.ops.sum(moved[3:])

    to_states, to_weights = gradients(total, [states, log_weights])
    assert np.isfinite(to_states).all()
    assert np.isfinite(to_weights).all()
    assert abs(to_weights[0, 0]) > 0.1
    np.testing.assert_allclose(to_states[3:], 1)


def test_schemes_are_known_by_name_and_rebuilt():
    for name in ("multinomial", "stratified", "systematic", "relaxed"):
        scheme = kf.FIVO(2, name).scheme
        assert type(scheme).__name__.lower() == name
        twin = type(scheme).from_config(scheme.get_config())
        assert twin.get_config() == scheme.get_config()
    with pytest.raises(ValueError, match="Received: scheme='guess'"):
        kf.FIVO(2, "guess")
    with pytest.raises(TypeError, match="Received: scheme=<class"):
        kf.FIVO(2, kf.Multinomial)
    with pytest.raises(ValueError, match="Received: temperature=0"):
        kf.Relaxed(0)
