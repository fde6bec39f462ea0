"""The step of a filter as a function of arrays, and as a file."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.latent_sequence_model.filter_step import FilterStep, tidy
from tests.latent_sequence_model.models import model
from tests.reference.examples import data, numpy


@pytest.mark.parametrize("bound", [kf.IWAE(3), kf.FIVO(3, criterion="always")])
def test_steps_are_those_of_the_model_on_the_same_noise(bound):
    made = model(controls=True, evaluation_bound=bound)
    found = data(lengths=False, mask="entries")
    step = FilterStep(made, batch_size=3)
    parts, state = step.initial_state(), None
    for t in range(4):
        noise = step.draw(seed=t)
        inputs = {
            "observations": found["observations"][:, t],
            "mask": found["mask"][:, t].astype("float32"),
            "controls": found["controls"][:, t],
            "next_controls": found["controls"][:, t + 1],
            **noise,
            **parts,
        }
        assert {k: x.shape for k, x in inputs.items()} == {
            k: tuple(shape) for k, (shape, _) in step.signature().items()
        }
        out = numpy(step(inputs))
        parts = {k: out[f"new_{k}"] for k in parts}
        names = ("latent", "resampling")
        given = {
            k: noise[f"{k}_noise"][:, None]
            for k in names
            if f"{k}_noise" in noise
        }
        state, result = made.step(
            {
                "observations": found["observations"][:, t],
                "mask": found["mask"][:, t],
                "controls": found["controls"][:, t],
            },
            state,
            given,
        )
        np.testing.assert_allclose(
            out["log_evidence"], numpy(result.log_evidence), 1e-5, 1e-5
        )
    assert out["forecast"].shape == (3, 3)
    assert np.all((out["forecast"] > 0) & (out["forecast"] < 1))


def test_what_cannot_stream_or_has_no_weights_is_refused():
    cell = kf.VRNNCell(1, 2, proposal="smoothing")
    with pytest.raises(ValueError, match="Received: proposal="):
        kf.LatentSequenceModel(cell).export("nowhere")
    with pytest.raises(ValueError, match="without weights"):
        kf.LatentSequenceModel(kf.VRNNCell(1, 2)).export("nowhere")


# Of Keras, which writes it by jax2tf.
@pytest.mark.filterwarnings("ignore:The `native_serialization`")
def test_a_saved_model_gives_the_same(tmp_path, backend_name):
    made = model(evaluation_bound=kf.FIVO(2))
    path = str(tmp_path / "step")
    if backend_name == "torch":
        with pytest.raises((ValueError, ImportError)):
            made.export(path, verbose=False)
        return
    if backend_name == "jax":
        pytest.importorskip("tensorflow")
    step = made.export(path, verbose=False)
    assert (tmp_path / "step" / "saved_model.pb").is_file()
    if backend_name != "tensorflow":
        return  # Keras reads it back there alone.
    inputs = {
        "observations": np.ones((1, 3), "float32"),
        "mask": np.ones((1, 3), "float32"),
        **step.draw(seed=0),
        **step.initial_state(),
    }
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve")
    found, expected = numpy(layer(inputs)), numpy(step(inputs))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-5, 1e-6)


# Of PyTorch's exporter, several.
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_is_small_and_gives_the_same(tmp_path, backend_name):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if backend_name != "torch":
        pytest.skip("Keras needs tf2onnx elsewhere")
    made = model(evaluation_bound=kf.FIVO(2))
    path = str(tmp_path / "step.onnx")
    step = made.export(path, format="onnx", verbose=False)
    assert [file.name for file in tmp_path.iterdir()] == ["step.onnx"]
    # No path of the machine that wrote it, nor PyTorch's notes on each node.
    content = (tmp_path / "step.onnx").read_bytes()
    assert b"site-packages" not in content and b"pkg.torch" not in content
    session = runtime.InferenceSession(path)
    parts, mine = step.initial_state(), step.initial_state()
    names = [output.name for output in session.get_outputs()]
    for t in range(20):
        inputs = {
            "observations": np.full((1, 3), t % 2, "float32"),
            "mask": np.ones((1, 3), "float32"),
            **step.draw(seed=t),
        }
        expected = numpy(step({**inputs, **mine}))
        mine = {name: expected[f"new_{name}"] for name in mine}
        taken = {i.name for i in session.get_inputs()}
        fed = {k: x for k, x in {**inputs, **parts}.items() if k in taken}
        found = dict(zip(names, session.run(names, fed), strict=True))
        parts = {name: found[f"new_{name}"] for name in parts}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, 1e-4, 1e-5)


def test_outputs_in_another_order_keep_their_names(tmp_path):
    onnx = pytest.importorskip("onnx")
    path, make = str(tmp_path / "step.onnx"), onnx.helper
    shapes = {"forecast": [1, 3], "log_evidence": [1]}
    values = [
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    inputs = [
        make.make_tensor_value_info(f"{name}_in", onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    nodes = [make.make_node("Identity", [f"{n}_in"], [n]) for n in shapes]
    onnx.save(
        make.make_model(make.make_graph(nodes, "g", inputs, values)), path
    )
    for ranks, expected in (
        ({"log_evidence": 1, "forecast": 2}, ["forecast", "log_evidence"]),
        ({"mean": 2, "evidence": 1}, ["mean", "evidence"]),
    ):
        tidy(path, ranks)
        graph = onnx.load(path).graph
        assert [value.name for value in graph.output] == expected
        assert [node.output[0] for node in graph.node] == expected
