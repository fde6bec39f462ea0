import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo.heads import get_head
from tests.reference.gradients import value_and_gradients

RNG = np.random.default_rng(5)
SHAPE = (3, 4, 5)
BINARY = RNG.integers(0, 2, SHAPE).astype("float32")
REAL = RNG.standard_normal(SHAPE).astype("float32")
COUNTS = RNG.poisson(3.0, SHAPE).astype("float32")

# The name, an object with arguments of its own, and data for it.
HEADS = {
    "autoregressive_bernoulli": (
        lambda: kf.AutoregressiveBernoulliHead(autoregressive_units=7),
        BINARY,
    ),
    "bernoulli": (lambda: kf.BernoulliHead(5), BINARY),
    "categorical": (lambda: kf.CategoricalHead(num_classes=3), BINARY),
    "discretized_logistic_mixture": (
        lambda: kf.DiscretizedLogisticMixtureHead(
            num_components=3, low=-2.0, high=3.0, num_bins=16
        ),
        np.clip(REAL, -1, 1),
    ),
    "autoregressive_normal": (
        lambda: kf.AutoregressiveNormalHead(order=2),
        REAL,
    ),
    "laplace": (lambda: kf.LaplaceHead(max_scale=4.0), REAL),
    "negative_binomial": (lambda: kf.NegativeBinomialHead(5, [6]), COUNTS),
    "normal": (lambda: kf.NormalHead(min_scale=0.1, max_scale=2.0), REAL),
    "normal_mixture": (lambda: kf.NormalMixtureHead(num_components=2), REAL),
    "poisson": (lambda: kf.PoissonHead(activation="tanh"), COUNTS),
    "quantized_normal": (
        lambda: kf.QuantizedNormalHead(width=0.01, offset=0.002),
        REAL,
    ),
    "student_t": (lambda: kf.StudentTHead(min_degrees=1.0), REAL),
}
named = pytest.mark.parametrize("name", HEADS)


def build(cell, features=5):
    cell.build((None, None, features))
    cell.built = True
    return cell


def test_each_name_has_an_example():
    with pytest.raises(ValueError, match="Received: emission=") as error:
        get_head("nothing")
    assert all(f"'{name}'" in str(error.value) for name in HEADS)
    classes = {type(get_head(name)) for name in HEADS}
    assert len(classes) == len(HEADS) == 12
    assert all(type(make()) in classes for make, _ in HEADS.values())


@named
def test_a_cell_takes_every_head_by_name(name):
    cell = build(kf.VRNNCell(3, 4, emission=name))
    assert type(cell.emission) is type(HEADS[name][0]())
    rows = ops.ones((2, 4))
    emission = cell.emission.distribution([rows, rows])
    values = ops.convert_to_tensor(HEADS[name][1][0, :2])
    assert np.all(np.isfinite(ops.convert_to_numpy(emission.log_prob(values))))


@pytest.mark.one_backend
@named
def test_a_cell_is_trained_with_every_head(name):
    make, data = HEADS[name]
    cell = build(kf.VRNNCell(3, 4, emission=make()))
    cell.emission.check(data)
    cell.adapt(data.reshape(-1, 5).mean(0))
    bound = kf.FIVO(2)
    noise = bound.draw(cell, 4, 3, seed=0)

    def loss():
        return -ops.mean(bound(cell, data, noise=noise).log_evidence)

    variables = cell.trainable_variables
    value, slopes = value_and_gradients(loss, variables)()
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(slope)) for slope in slopes)
    of_head = [
        slope
        for variable, slope in zip(variables, slopes, strict=True)
        if "/emission/network" in variable.path
    ]
    assert len(of_head) == 4
    assert all(np.any(slope != 0) for slope in of_head)


@named
def test_a_cell_generates_from_every_head(name):
    make, _ = HEADS[name]
    cell = build(kf.VRNNCell(3, 4, emission=make()))
    states = cell.get_initial_state(6)
    past = cell.past_features(cell.initial_observed_state(6))
    noise = {
        key: getattr(keras.random, kind)((6, *shape), seed=1)
        for key, kind, shape in (
            ("latent", cell.noise, cell.noise_shape),
            ("emission", cell.emission_noise, cell.emission_noise_shape),
        )
    }
    sampled, _ = cell.generate(states, past, ops.zeros((6,), "int32"), noise)
    for key in ("observations", "means"):
        values = ops.convert_to_numpy(sampled[key])
        assert values.shape == (6, 5)
        assert np.all(np.isfinite(values))
    cell.emission.check(ops.convert_to_numpy(sampled["observations"]))


@named
def test_a_head_is_rebuilt_from_its_configuration(name):
    make, _ = HEADS[name]
    head = make()
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(head)
    )
    assert type(copy) is type(head)
    assert copy.get_config() == head.get_config()
    assert copy.get_config() != {**get_head(name).get_config()}


@named
def test_a_model_is_saved_and_loaded_with_its_emission(name, tmp_path):
    make, data = HEADS[name]
    model = kf.LatentSequenceModel(kf.VRNNCell(3, 4, emission=make()))
    model.adapt(data)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.cell.emission.get_config() == (
        model.cell.emission.get_config()
    )
    weights = model.cell.emission.get_weights()
    assert len(weights) >= 4
    for before, after in zip(
        weights, loaded.cell.emission.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(after, before)


def test_weights_keep_their_paths():
    cell = build(kf.VRNNCell(2, 3, emission="bernoulli", name="vrnn"), 2)
    paths = {v.path for v in cell.variables if "/emission/" in v.path}
    assert paths == {
        "vrnn/emission/initial_bias",
        *(
            f"vrnn/emission/network/dense_{i}/{name}"
            for i in range(2)
            for name in ("kernel", "bias")
        ),
    }


def distribution(head, outputs):
    """The head's distribution for these outputs of its network."""
    head.build([1], hidden_units=[])
    return head.parametrize(ops.convert_to_tensor(np.float32(outputs)))


def test_scales_stay_within_their_bounds():
    outputs = [[0.0, 0.0, -50.0, 50.0]]
    head = kf.NormalHead(2, min_scale=0.25, max_scale=3.0)
    scale = ops.convert_to_numpy(distribution(head, outputs).scale)
    np.testing.assert_allclose(scale, [[0.25, 3.0]], rtol=1e-6)
    head = kf.NormalHead(2, min_scale=0.25)
    scale = ops.convert_to_numpy(distribution(head, outputs).scale)
    np.testing.assert_allclose(scale, [[0.25, 50.25]], rtol=1e-6)


@pytest.mark.parametrize(
    "make", [kf.PoissonHead, kf.NegativeBinomialHead, kf.BernoulliHead]
)
def test_adapting_gives_the_mean_of_the_data(make):
    head = make(2)
    head.build([1], hidden_units=[])
    head.adapt(np.array([0.25, 0.875]))
    outputs = ops.zeros((1, head.output_dim))
    mean = ops.convert_to_numpy(head.parametrize(outputs).mean)
    np.testing.assert_allclose(mean, [[0.25, 0.875]], rtol=1e-5)


def test_autoregression_starts_from_independent_entries():
    joint = kf.AutoregressiveBernoulliHead(4, autoregressive_units=3)
    outputs = RNG.standard_normal((8, 7)).astype("float32")
    values = ops.convert_to_tensor(BINARY[:2].reshape(8, 5)[:, :4])
    got = distribution(joint, outputs).log_prob(values)
    alone = kf.Bernoulli(ops.convert_to_tensor(outputs[:, :4]))
    np.testing.assert_allclose(
        ops.convert_to_numpy(got),
        ops.convert_to_numpy(alone.log_prob(values)),
        rtol=1e-6,
    )


@pytest.mark.parametrize(("entries", "units"), [(1, 3), (2, 5), (6, 3), (5, 9)])
def test_autoregression_keeps_to_the_order_whatever_the_weights(entries, units):
    head = kf.AutoregressiveBernoulliHead(entries, autoregressive_units=units)
    outputs = np.float32(5 + RNG.random((1, entries + units)))
    distribution(head, outputs)
    for kernel in head.kernels.values():
        kernel.assign(0.1 + RNG.random(kernel.shape))
    given = head.parametrize(ops.convert_to_tensor(outputs))
    zeros = np.zeros((1, entries), "float32")
    base = ops.convert_to_numpy(given.conditional_logits(zeros))[0]
    for d in range(entries):
        other = zeros.copy()
        other[0, d] = 1
        changed = ops.convert_to_numpy(given.conditional_logits(other))[0]
        assert np.all(changed[: d + 1] == base[: d + 1])
        assert np.all(changed[d + 1 :] > base[d + 1 :])


def test_a_joint_emission_takes_masks_of_steps_but_not_of_entries():
    cell = build(kf.VRNNCell(2, 3, emission="autoregressive_bernoulli"))
    steps = np.array([[True, False, True, True]] * 3)
    result = kf.FIVO(2)(cell, BINARY, steps, seed=0)
    assert np.all(np.isfinite(ops.convert_to_numpy(result.log_evidence)))
    entries = np.broadcast_to(steps[..., None], SHAPE)
    with pytest.raises(ValueError, match="mask of whole steps"):
        kf.FIVO(2)(cell, BINARY, entries, seed=0)


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (kf.BernoulliHead(), [0.0, 1.5]),
        (kf.AutoregressiveBernoulliHead(), [0.0, 0.5]),
        (kf.CategoricalHead(num_classes=3), [0.0, 3.0]),
        (kf.CategoricalHead(num_classes=3), [0.5]),
        (kf.PoissonHead(), [-1.0, 2.0]),
        (kf.NegativeBinomialHead(), [1.5]),
        (kf.DiscretizedLogisticMixtureHead(), [0.0, 1.1]),
    ],
)
def test_values_outside_the_support_are_refused(head, values):
    with pytest.raises(ValueError, match=r"Received: .*between"):
        head.check(np.array(values))
    head.check(np.array([]))
    head.check(np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (kf.NormalHead, {"min_scale": -1.0}),
        (kf.LaplaceHead, {"min_scale": 2.0, "max_scale": 1.0}),
        (kf.QuantizedNormalHead, {"width": 0.0}),
        (kf.StudentTHead, {"min_degrees": 0.0}),
        (kf.NormalMixtureHead, {"num_components": 0}),
        (kf.CategoricalHead, {"num_classes": 1}),
        (kf.DiscretizedLogisticMixtureHead, {"low": 1.0, "high": 1.0}),
        (kf.DiscretizedLogisticMixtureHead, {"num_bins": 1.5}),
        (kf.AutoregressiveBernoulliHead, {"autoregressive_units": 0}),
    ],
)
def test_arguments_out_of_range_are_refused(make, arguments):
    name = list(arguments)[-1]
    with pytest.raises(ValueError, match=f"Received: .*{name}="):
        make(**arguments)
