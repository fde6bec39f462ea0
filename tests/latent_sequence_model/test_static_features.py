"""Identifiers and features of whole series, which become controls."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.latent_sequence_model.filter_step import FilterStep
from tests.latent_sequence_model.models import assert_same, weights
from tests.reference.examples import BATCH, FEATURES, STEPS, data, numpy, vrnn

SERIES = np.array([2, 0, -1], "int32")
STATIC = np.array([[0.5, -1.0], [0.0, 2.0], [1.0, 1.0]], "float32")
VECTORS = np.array([[1, 0], [0.5, -1], [-0.3, 0.2], [0, 2]], "float32")
# After the given controls: the vectors of series 2, 0, and their mean; then
# the static features.
WIDE = np.concatenate([[VECTORS[2], VECTORS[0], VECTORS.mean(0)], STATIC], -1)


def shapes(inputs):
    return {name: x.shape for name, x in inputs.items()}


def with_static(controls=True):
    """Inputs with series and static features, and with plain controls."""
    plain = data(controls=controls, mask="entries")
    static = {**plain, "series": SERIES, "static": STATIC}
    wide = np.repeat(WIDE[:, None], STEPS, axis=1)
    given = [plain["controls"]] if controls else []
    plain["controls"] = np.concatenate([*given, wide], axis=-1)
    return static, plain


def pair(controls=True):
    """A model of series with vectors set by hand, and one of plain controls."""
    static, plain = with_static(controls)
    options = {"bound": kf.FIVO(3), "seed": 3}
    cell = vrnn(hidden_units=[], controls=controls)
    made = kf.LatentSequenceModel(
        kf.VRNNCell.from_config(cell.get_config()),
        series_embedding=keras.layers.Embedding(4, 2),
        **options,
    )
    made.build(shapes(static))
    made.series_embedding.set_weights([VECTORS])
    other = kf.LatentSequenceModel(
        kf.VRNNCell.from_config(cell.get_config()), **options
    )
    other.build(shapes(plain))
    other.cell.set_weights(made.cell.get_weights())
    return made, other


@pytest.mark.parametrize(
    "controls", [pytest.param(False, marks=pytest.mark.one_backend), True]
)
def test_embedded_series_are_the_same_as_controls_by_hand(controls):
    made, other = pair(controls)
    static, plain = with_static(controls)
    noise = made.bound.draw(made.cell, STEPS, BATCH, seed=0)
    assert_same(
        [numpy(made.filter(static, noise=noise).log_evidence)],
        [numpy(other.filter(plain, noise=noise).log_evidence)],
    )
    to_come = np.ones((BATCH, 2, 2), "float32")
    wide = np.repeat(WIDE[:, None], 2, axis=1)
    given = {"controls": to_come if controls else None}
    parts = [to_come, wide] if controls else [wide]
    futures = [
        made.forecast(static, 2, num_samples=3, seed=1, **given),
        other.forecast(
            plain, 2, num_samples=3, seed=1, controls=np.concatenate(parts, -1)
        ),
    ]
    assert_same(*([numpy(x.samples), numpy(x.means)] for x in futures))
    past = [
        numpy(one.smooth(x, num_samples=2, num_particles=3, seed=0).means)
        for one, x in ((made, static), (other, plain))
    ]
    assert_same([past[0]], [past[1]])


@pytest.mark.one_backend
def test_steps_and_the_exported_step_take_the_series():
    made, _ = pair()
    static, _ = with_static()
    del static["lengths"]
    noise = made.bound.draw(made.cell, STEPS, BATCH, seed=0)
    exported = FilterStep(made, BATCH)
    parts, state = exported.initial_state(), None
    timeless = {name: static[name] for name in ("series", "static")}
    for t in range(3):
        now = {
            name: static[name][:, t]
            for name in ("observations", "mask", "controls")
        }
        drawn = {name: x[:, t : t + 1] for name, x in numpy(noise).items()}
        state, result = made.step({**now, **timeless}, state, drawn)
        extra = {
            "mask": now["mask"].astype("float32"),
            "next_controls": static["controls"][:, t + 1],
            "forecast_noise": drawn["latent"][:, 0],
            **{f"{name}_noise": x[:, 0] for name, x in drawn.items()},
        }
        inputs = {**now, **timeless, **extra, **parts}
        assert {k: x.shape for k, x in inputs.items()} == {
            k: tuple(shape) for k, (shape, _) in exported.signature().items()
        }
        out = numpy(exported(inputs))
        parts = {name: out[f"new_{name}"] for name in parts}
    whole = {name: x[:, :3] for name, x in static.items() if x.ndim == 3}
    lengths = np.full(BATCH, 3)
    found = made.filter(
        {**whole, **timeless, "lengths": lengths},
        noise={name: x[:, :3] for name, x in numpy(noise).items()},
    )
    expected = numpy(found.log_evidence)
    for one in (numpy(result.log_evidence), out["log_evidence"]):
        np.testing.assert_allclose(one, expected, 1e-5, 1e-5)


@pytest.mark.one_backend
def test_vectors_are_trained_and_saved(tmp_path):
    made, _ = pair(controls=False)
    static, _ = with_static(controls=False)
    made.compile(keras.optimizers.SGD(0.1))
    made.fit(static, batch_size=2, epochs=1, verbose=0)
    moved = numpy(made.series_embedding.embeddings)
    assert np.all(np.any(moved != VECTORS, axis=-1))
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(weights(loaded), weights(made), 0)
    expected = made.evaluate(static, verbose=0)
    assert loaded.evaluate(static, verbose=0) == pytest.approx(expected)
    # From nothing, of one series: what is static alone is given.
    nothing = {
        "observations": np.zeros((1, 1, FEATURES), "float32"),
        "lengths": np.zeros(1, "int32"),
        "series": np.array([1]),
        "static": STATIC[:1],
    }
    assert loaded.sample(4, prefix=nothing, seed=0).shape == (1, 1, 4, FEATURES)


BAD = {
    "absent": ({"series": None}, "series=None for series_embedding="),
    "shape": ({"series": SERIES[:2]}, r"series of shape \(2,\)"),
    "kind": ({"series": SERIES / 2}, "series=.* of dtype float"),
    "unknown": ({"series": SERIES + 2}, r"series=\[4\] of dtype int"),
    "below": ({"series": SERIES - 1}, r"series=\[-2\] of dtype int"),
    "no static": ({"static": None}, "static=None"),
    "size": ({"static": STATIC[:, :1]}, r"static of shape \(3, 1\)"),
    "NaN": ({"static": STATIC * np.nan}, "static with 6 NaN"),
    "text": ({"series": np.array(["a", "b", "c"])}, "series of dtype <U1"),
}


@pytest.fixture(scope="module")
def made():
    return pair(controls=False)[0]


@pytest.mark.parametrize("name", BAD)
def test_bad_series_and_features_are_refused(made, name):
    changed, received = BAD[name]
    inputs = {**with_static(controls=False)[0], **changed}
    kind = TypeError if name == "text" else ValueError
    for verb in (made.filter, lambda x: made.forecast(x, 2)):
        with pytest.raises(kind, match=f"Received: {received}"):
            verb(inputs)


def test_what_a_model_cannot_take_is_told(made):
    static, plain = with_static(controls=False)
    other = kf.LatentSequenceModel(kf.VRNNCell(2))
    with pytest.raises(ValueError, match="Received: series=given"):
        other.filter(static)
    with pytest.raises(ValueError, match="Received: prefix=None"):
        made.sample(3)
    with pytest.raises(ValueError, match="Received: controls of shape"):
        made.filter({**static, "controls": plain["controls"]})
    with pytest.raises(ValueError, match="Received: inputs with"):
        made.bound.run(
            made.cell, kf.inputs.prepare_inputs(static, made.cell.center)
        )
    with pytest.raises(TypeError, match="Received: series_embedding=3"):
        kf.LatentSequenceModel(kf.VRNNCell(2), series_embedding=3)
