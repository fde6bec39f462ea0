"""The step of a filter as a function of arrays, and as a file."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.latent_sequence_model.filter_step import FilterStep
from keras_fivo.latent_sequence_model.onnx_file import simplify, tidy
from tests.latent_sequence_model.models import model
from tests.reference.examples import data, numpy, randomize, vrnn


@pytest.mark.one_backend
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


@pytest.mark.one_backend
@pytest.mark.parametrize("bound", [kf.IWAE(3), kf.FIVO(3, criterion="always")])
def test_a_whole_filter_is_that_of_the_model_on_the_same_noise(bound):
    made = model(controls=True, evaluation_bound=bound)
    found = data(lengths=False, mask="entries")
    steps = 4
    whole = FilterStep(made, batch_size=3, num_steps=steps)
    noise, state = whole.draw(seed=0), whole.initial_state()
    inputs = {
        "observations": found["observations"][:, :steps],
        "mask": found["mask"][:, :steps].astype("float32"),
        "controls": found["controls"][:, :steps],
        "next_controls": found["controls"][:, steps],
        **noise,
        **state,
    }
    assert {k: x.shape for k, x in inputs.items()} == {
        k: tuple(shape) for k, (shape, _) in whole.signature().items()
    }
    out = numpy(whole(inputs))
    ranks = {name: value.ndim for name, value in out.items()}
    assert ranks == whole.output_ranks()
    given = {
        name: noise[f"{name}_noise"]
        for name in ("latent", "resampling")
        if f"{name}_noise" in noise
    }
    part = {
        k: found[k][:, :steps] for k in ("observations", "mask", "controls")
    }
    result = made.filter({**part, "lengths": [steps] * 3}, noise=given)
    np.testing.assert_allclose(
        out["log_evidence"], numpy(result.log_evidence), 1e-5, 1e-5
    )
    weights = numpy(keras.ops.softmax(result.log_weights, -1))[..., None]
    expected = np.sum(weights * numpy(result.latents), axis=2)
    np.testing.assert_allclose(out["means"], expected, 1e-4, 1e-5)
    # Two halves, the state of the first passed on, are the whole.
    half, parts = FilterStep(made, batch_size=3, num_steps=2), state
    for start in (0, 2):
        cut = {
            k: x[:, start : start + 2]
            for k, x in inputs.items()
            if k in {"observations", "mask", "controls"}
            or (k in noise and k != "forecast_noise")
        }
        each = numpy(half({**inputs, **cut, **parts}))
        parts = {k: each[f"new_{k}"] for k in parts}
    for name in ("log_evidence", "forecast"):
        np.testing.assert_allclose(each[name], out[name], 1e-5, 1e-5)


def test_what_cannot_stream_or_has_no_weights_is_refused():
    cell = kf.VRNNCell(1, 2, proposal="smoothing")
    with pytest.raises(ValueError, match="Received: proposal="):
        kf.LatentSequenceModel(cell).export("nowhere")
    with pytest.raises(ValueError, match="without weights"):
        kf.LatentSequenceModel(kf.VRNNCell(1, 2)).export("nowhere")


# Of Keras, which writes it by jax2tf.
@pytest.mark.filterwarnings("ignore:The `native_serialization`")
@pytest.mark.parametrize("num_steps", [None, 3])
def test_a_saved_model_gives_the_same(num_steps, tmp_path, backend_name):
    made = model(evaluation_bound=kf.FIVO(2))
    path = str(tmp_path / "step")
    if backend_name == "torch":
        with pytest.raises((ValueError, ImportError)):
            made.export(path, num_steps=num_steps, verbose=False)
        return
    if backend_name == "jax":
        pytest.importorskip("tensorflow")
    step = made.export(path, num_steps=num_steps, verbose=False)
    assert (tmp_path / "step" / "saved_model.pb").is_file()
    if backend_name != "tensorflow":
        return  # Keras reads it back there alone.
    inputs = {
        "observations": np.ones((*step.lead, 3), "float32"),
        "mask": np.ones((*step.lead, 3), "float32"),
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
def test_an_onnx_file_is_small_and_runs_as_keras_does(tmp_path, backend_name):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if backend_name != "torch":
        pytest.skip("Keras needs tf2onnx elsewhere")
    # Of the size that is said to take less than 200 microseconds.
    cell = vrnn(False, latent_dim=32, units=32, hidden_units=[32])
    randomize(cell, size=0.1)
    made = model(cell=cell, evaluation_bound=kf.FIVO(4))
    path = str(tmp_path / "step.onnx")
    step = made.export(path, format="onnx", verbose=False)
    assert [file.name for file in tmp_path.iterdir()] == ["step.onnx"]
    # No path of the machine that wrote it, nor PyTorch's notes on each node.
    content = (tmp_path / "step.onnx").read_bytes()
    assert b"site-packages" not in content and b"pkg.torch" not in content
    assert len(content) < 300_000
    session = runtime.InferenceSession(path)
    parts, steps = step.initial_state(), 1000
    random = np.random.default_rng(0)
    observations = random.integers(0, 2, (1, steps, 3)).astype("float32")
    mask = random.random(observations.shape) < 0.9
    noise = numpy(made.evaluation_bound.draw(made.cell, steps, 1, seed=0))
    names = [output.name for output in session.get_outputs()]
    taken = {i.name for i in session.get_inputs()}
    for t in range(steps):
        inputs = {
            "observations": observations[:, t],
            "mask": mask[:, t].astype("float32"),
            "forecast_noise": noise["latent"][:, t],
            **{f"{name}_noise": x[:, t] for name, x in noise.items()},
            **parts,
        }
        fed = {k: x for k, x in inputs.items() if k in taken}
        found = dict(zip(names, session.run(names, fed), strict=True))
        parts = {name: found[f"new_{name}"] for name in parts}
    data = {"observations": observations, "mask": mask, "lengths": [steps]}
    result = made.filter(data, noise=noise)
    assert numpy(result.resampled).sum() > 100
    np.testing.assert_allclose(
        found["log_evidence"], numpy(result.log_evidence), 1e-4
    )
    final = {name: result.state[name] for name in step._initial()}
    for mine, theirs in zip(
        parts.values(), keras.tree.flatten(numpy(final)), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, 1e-4, 1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_of_a_whole_filter_runs_as_keras_does(
    tmp_path, backend_name
):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if backend_name != "torch":
        pytest.skip("Keras needs tf2onnx elsewhere")
    made = model(evaluation_bound=kf.FIVO(2))
    path = str(tmp_path / "filter.onnx")
    whole = made.export(path, "onnx", num_steps=5, verbose=False)
    inputs = {
        "observations": np.eye(5, 3, dtype="float32")[None],
        "mask": np.ones((1, 5, 3), "float32"),
        **whole.draw(seed=0),
        **whole.initial_state(),
    }
    session = runtime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    taken = {i.name for i in session.get_inputs()}
    fed = {k: x for k, x in inputs.items() if k in taken}
    found = dict(zip(names, session.run(names, fed), strict=True))
    expected = numpy(whole(inputs))
    assert set(found) == set(expected)
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


def test_nodes_that_move_nothing_are_dropped():
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    node, make = onnx.helper.make_node, onnx.helper
    constants = {
        "first": np.array([0]),
        "second": np.array([1]),
        "backwards": np.array([-1]),
        "from": np.array([9]),
        "to": np.array([-9]),
        "true": np.ones((3, 1), bool),
        "other": np.zeros((3, 2), "float32"),
        "limit": np.float32(20.0),
    }
    nodes = [
        # (3, 2) -> (3, 1, 2) -> (1, 3, 2) -> (3, 2)
        node("Unsqueeze", ["x", "second"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[1, 0, 2]),
        node("Squeeze", ["b", "first"], ["c"]),
        node("Where", ["true", "c", "other"], ["d"]),
        node("Softplus", ["d"], ["e"]),
        node("Greater", ["d", "limit"], ["f"]),
        node("Where", ["f", "d", "e"], ["g"]),
        # These do something: they must stay.
        node("Slice", ["g", "from", "to", "first", "backwards"], ["h"]),
        node("Transpose", ["h"], ["i"], perm=[1, 0]),
        node("Greater", ["i", "limit"], ["j"]),
        node("Where", ["j", "i", "i"], ["k"]),
        node("Unsqueeze", ["k", "first"], ["y"]),
    ]
    shapes = {"x": [3, 2], "y": [1, 2, 3]}
    values = {
        name: make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    given = [onnx.numpy_helper.from_array(x, k) for k, x in constants.items()]
    graph = make.make_graph(nodes, "g", [values["x"]], [values["y"]], given)
    opset = [make.make_opsetid("", 20)]
    whole = make.make_model(graph, opset_imports=opset, ir_version=10)
    x = np.float32([[-30, 2], [0, 50], [19, 21]])
    found = []
    for _ in range(2):
        onnx.checker.check_model(whole)
        session = runtime.InferenceSession(whole.SerializeToString())
        found.append(session.run(None, {"x": x})[0])
        simplify(whole)
    np.testing.assert_allclose(*found, 1e-6)
    kinds = [node.op_type for node in whole.graph.node]
    expected = ["Softplus", "Slice", "Transpose", "Greater", "Where"]
    assert kinds == [*expected, "Unsqueeze"]
    left = {constant.name for constant in whole.graph.initializer}
    assert left == {"from", "to", "first", "backwards", "limit"}
