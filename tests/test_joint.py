"""Columns that differ in kind: one head and one density for them all."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo.heads import get_head
from tests.reference.examples import numpy

RNG = np.random.default_rng(0)
EMISSION = {
    "sales": "negative_binomial",
    "weather": "normal",
    "open": "bernoulli",
}
X = np.stack(
    [
        RNG.poisson(40, (3, 5)),
        1000 + 5 * RNG.standard_normal((3, 5)),
        RNG.integers(0, 2, (3, 5)),
    ],
    axis=-1,
).astype("float32")


def built(heads):
    """A built head, and its distribution for random outputs of two rows."""
    head = get_head(heads)
    head.build([1], hidden_units=[])
    outputs = RNG.standard_normal((2, head.output_dim)).astype("float32")
    return head, head.parametrize(ops.convert_to_tensor(outputs)), outputs


def model():
    cell = kf.VRNNCell(1, 3, emission=dict(EMISSION))
    made = kf.LatentSequenceModel(cell, kf.FIVO(2), seed=0)
    made.adapt(X)
    return made


def test_the_density_is_that_of_the_parts_and_masks_leave_out_entries():
    _, joint, outputs = built(EMISSION)
    values = ops.convert_to_tensor(X[0, :2])
    parts, start = [], 0
    for i, name in enumerate(EMISSION.values()):
        alone = get_head(name)
        alone.build([1], 1, [])
        rows = outputs[:, start : start + alone.output_dim]
        start += alone.output_dim
        part = alone.parametrize(ops.convert_to_tensor(rows))
        parts.append(numpy(part.entry_log_prob(values[:, i : i + 1])))
    expected = np.concatenate(parts, -1)
    np.testing.assert_allclose(
        numpy(joint.entry_log_prob(values)), expected, rtol=1e-6
    )
    mask = np.array([[True, False, True], [False, True, True]])
    np.testing.assert_allclose(
        numpy(joint.log_prob(values, ops.convert_to_tensor(mask))),
        np.where(mask, expected, 0).sum(-1),
        rtol=1e-6,
    )


def test_samples_have_the_means_of_the_parts():
    head, _, outputs = built(
        {"a": "student_t", "b": "normal", "c": "poisson", "d": "normal_mixture"}
    )
    assert head.noise_shape == (2 + 1 + 1 + 2,)
    many = np.repeat(outputs[:1], 600, axis=0)
    uniforms = RNG.random((600, 6)).astype("float32")
    joint = head.parametrize(ops.convert_to_tensor(many))
    samples = numpy(joint.sample(ops.convert_to_tensor(uniforms)))
    error = samples.std(0) / np.sqrt(600)
    assert (np.abs(samples.mean(0) - numpy(joint.mean)[0]) < 5 * error).all()


def test_quantiles_and_modes_are_those_of_the_parts():
    _, joint, outputs = built({"a": "normal", "b": "poisson"})
    found = numpy(joint.quantile(0.5))
    np.testing.assert_allclose(found[:, 0], outputs[:, 0], rtol=1e-5)
    levels = ops.convert_to_tensor(np.full((2, 2), 0.5, "float32"))
    np.testing.assert_array_equal(numpy(joint.quantile(levels)), found)
    np.testing.assert_array_equal(
        numpy(joint.mode)[:, 1], np.floor(np.exp(outputs[:, 2]))
    )


def test_each_part_takes_its_own_columns_of_the_data():
    cell = model().cell
    sales, weather, shop = cell.emission.heads.values()
    np.testing.assert_allclose(
        numpy(weather.location.value), X[..., 1].mean(), 1e-6
    )
    assert numpy(sales.initial_bias.value) == pytest.approx(
        np.log(X[..., 0].mean()), rel=1e-5
    )
    assert numpy(shop.initial_bias.value) < 3
    np.testing.assert_allclose(
        numpy(cell.scale.value), [*X[..., :2].std((0, 1)), 1.0], 1e-4
    )


@pytest.mark.one_backend
def test_a_model_of_columns_is_trained_forecasts_and_is_saved(tmp_path):
    made = model()
    made.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
    mask = np.ones(X.shape, bool)
    mask[1, 2, 0] = mask[0, 3] = False
    inputs = {"observations": X, "mask": mask}
    loss = made.fit(inputs, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    forecast = made.forecast(X, 2, num_samples=3, seed=1)
    samples = numpy(forecast.samples)
    assert samples.shape == (3, 3, 2, 3)
    made.cell.emission.check(samples)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert list(loaded.cell.emission.heads) == list(EMISSION)
    np.testing.assert_array_equal(
        made.predict(inputs, verbose=0), loaded.predict(inputs, verbose=0)
    )


def test_what_does_not_fit_a_column_is_refused_with_its_name():
    made = model()
    bad = X.copy()
    bad[0, 0, 0] = 0.5
    with pytest.raises(ValueError, match=r"columns 'sales'.*Received: obs"):
        made.filter(bad)
    mask = np.ones(X.shape, bool)
    mask[0, 0, 0] = False
    made.cell.emission.check_observed(bad, mask)
    with pytest.raises(ValueError, match=r"shape \(3, 5, 2\)"):
        made.filter(X[..., :2])
    with pytest.raises(ValueError, match="emission='gaussian'"):
        kf.VRNNCell(2, emission={"a": "gaussian"})
    with pytest.raises(TypeError, match=r"heads=\{\}"):
        kf.VRNNCell(2, emission={"a": {}})
    two = kf.JointHead({"a": kf.NormalHead(2), "b": get_head("poisson")})
    assert two.event_dim == 3 and two.sizes == [2, 1]
