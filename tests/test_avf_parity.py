"""Numbers of the published code of amortized variational filtering."""

import pathlib

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo.inputs import prepare_inputs
from keras_fivo.noise import Noise
from tests.reference import published_avf
from tests.reference.gradients import gradients

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared" / "golden"
FILES = [
    "srnn_midi_avf_highway_k1",
    "srnn_midi_avf_lsgd_norm_k2",
    "srnn_midi_baseline",
    "srnn_timit_avf_highway_obs_k1",
    "vrnn_timit_avf_highway_k2",
]
# Files of further settings, where they are.
FILES += sorted(
    path.stem
    for path in (SHARED / "avf").glob("*.npz")
    if path.stem not in FILES
)
every_file = pytest.mark.parametrize("name", FILES)
slow = pytest.mark.slow
BOUND = kf.ELBO(analytic_kl=True)
RATE = 1e-3  # of Adam, in files of a whole training step
numpy = keras.ops.convert_to_numpy


def run(file, cell):
    """The bound of a file, on its noise."""
    given = published_avf.arguments(file, cell, BOUND)
    inputs = prepare_inputs(given["observations"], cell.center)
    weight = published_avf.kl_weight(file)
    learner = cell.proposal.learner(RATE)
    learns = {} if learner is None else {"learner": learner}
    return BOUND.run(
        cell,
        inputs,
        Noise.from_arrays(given["noise"]),
        {**given["state"], **learns},
        kl_weight=None if weight == 1 else weight,
    )


def time_first(x):
    return np.moveaxis(numpy(x)[:, :, 0], 0, 1)


def compare(file, tolerance):
    """Holds free energies, KL divergences and latents to those of a file."""
    result = run(file, published_avf.cell_from(file))
    energy = file["out/free_energy"]  # (time, evaluations, batch)
    increments = np.diff(numpy(result.log_weights)[:, :, 0], axis=1, prepend=0)
    pairs = [
        (-increments.T, energy[:, -1]),
        (-numpy(result.log_evidence), energy[:, -1].sum(0)),
        (numpy(result.kl), file["out/kl"][:, -1].sum(0)),
    ]
    if result.free_energies is not None:
        found = np.moveaxis(time_first(result.free_energies), 2, 1)
        pairs.append((found, energy[:, :-1]))
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, tolerance, tolerance)
    np.testing.assert_allclose(
        time_first(result.latents),
        file["out/z"][:, -1],
        10 * tolerance,
        tolerance,
    )


@every_file
def test_free_energies_equal_those_of_the_published_code(golden, name):
    compare(golden(f"avf/{name}"), 1e-4)


@every_file
def test_refinements_equal_those_of_the_published_code(golden, name):
    file = golden(f"avf/{name}")
    cell = published_avf.cell_from(file)
    if not cell.proposal.num_evaluations:
        pytest.skip("nothing is refined")
    update = cell.proposal.update
    # Weights that move online are these in the first step alone.
    steps = slice(1) if cell.proposal.online else slice(None)
    read = file["out/enc"][steps]
    q = [file[f"out/post_{x}"][steps] for x in ("mean", "log_var")]
    slopes = [file[f"out/grad_{x}"][steps] for x in ("mean", "log_var")]
    seen = np.broadcast_to(
        file["x"][1:, None][steps], (*read.shape[:3], file["x"].shape[-1])
    )
    from keras_fivo.proposals.updates import Refinable

    def rows(*arrays):
        arrays = [x.astype("float32").reshape(-1, x.shape[-1]) for x in arrays]
        return [ops.convert_to_tensor(x) for x in arrays]

    count = read.shape[1]
    now = Refinable(*rows(*(x[:, :count] for x in q)))
    gradient = Refinable(*rows(*slopes))
    (observed,) = rows(seen)
    # Both are of the mean over the batch here.
    update.gradient_scale = 1.0
    found = update.read(now, gradient, observed if update.reads else None)
    np.testing.assert_allclose(
        numpy(found), read.reshape(-1, read.shape[-1]), 1e-3, 1e-4
    )
    refined = cell.proposal._refine_once(now, gradient, observed)
    for mine, theirs in zip(
        (refined.mean, refined.log_variance), q, strict=True
    ):
        after = theirs[:, 1 : count + 1]
        np.testing.assert_allclose(
            numpy(mine), after.reshape(-1, after.shape[-1]), 1e-3, 1e-4
        )


def compare_gradients(file, tolerance):
    """Holds the gradients of both groups of weights to those of a file."""
    cell = published_avf.cell_from(file)
    refines = bool(cell.proposal.num_evaluations)
    kinds = ["grad_gen", "grad_inf"] if refines else ["grad_gen"]
    steps = len(file["x"]) - 1
    for kind in kinds:
        expected = published_avf.pairs(file, cell, kind)
        if not expected:  # of a step of training
            continue
        if not refines:
            # The file's generative gradient takes z for a constant.
            kept = (cell.emission, cell.transition)
            ids = {id(v) for part in kept for v in part.trainable_variables}
            expected = [pair for pair in expected if id(pair[0]) in ids]

        def loss(kind=kind):
            result = run(file, cell)
            if kind == "grad_gen":
                return -ops.mean(result.log_evidence) / steps
            return ops.mean(cell.proposal.own_free_energy(result.free_energies))

        found = gradients(loss, [variable for variable, _ in expected])
        for (variable, right), gradient in zip(expected, found, strict=True):
            if not refines and id(variable) == id(
                cell.transition.network.dense[0].kernel
            ):
                continue
            np.testing.assert_allclose(
                gradient,
                right,
                tolerance,
                np.abs(right).max() * tolerance + 1e-7,
                err_msg=f"{kind} {variable.path}",
            )
        assert len(expected) >= 8


@every_file
def test_gradients_equal_those_of_the_published_code(golden, name):
    compare_gradients(golden(f"avf/{name}"), 1e-3)


@pytest.fixture
def float64(monkeypatch, backend_name):
    """All in float64, also what the library holds in float32 whatever else."""
    if backend_name != "tensorflow":
        pytest.skip("where a change of float while running is not seen")
    floatx = keras.config.floatx()

    def widened(function):
        def call(*arguments, **options):
            wide = [_wide(x) for x in arguments]
            return function(*wide, **{k: _wide(x) for k, x in options.items()})

        return call

    for name in ("cast", "convert_to_tensor", "ones_like", "zeros_like"):
        monkeypatch.setattr(ops, name, widened(getattr(ops, name)))
    layer = keras.layers.Layer
    monkeypatch.setattr(layer, "add_weight", widened(layer.add_weight))
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)


def _wide(x):
    return "float64" if isinstance(x, str) and x == "float32" else x


@pytest.mark.parametrize(
    "name",
    [
        name if name in FILES[1:5:2] else pytest.param(name, marks=slow)
        for name in FILES
    ],
)
def test_in_float64_they_agree_more_closely(float64, golden, name):
    file = golden(f"avf/{name}")
    # That code adds 1e-7 to each probability of a note, and this library's
    # distribution functions are those of float32.
    compare(file, 1e-5)
    compare_gradients(file, 1e-4)


@every_file
def test_a_training_step_moves_weights_as_the_published_code(golden, name):
    file = golden(f"avf/{name}")
    if not any(key.startswith("w_after") for key in file.files):
        pytest.skip("a file of gradients")
    cell = published_avf.cell_from(file)
    expected = published_avf.pairs(file, cell, "w_after")
    online = getattr(cell.proposal, "online", False)
    own = cell.proposal.update.variables if cell.proposal.has_own_loss else []
    own_ids = {id(v) for v in own}

    def loss(inference=False):
        result = run(file, cell)
        if inference:
            return ops.mean(cell.proposal.own_free_energy(result.free_energies))
        return -ops.mean(result.log_evidence)

    def adam(variables, inference):
        found = gradients(lambda: loss(inference), variables)
        # m / sqrt(v) of the first step is the gradient's sign.
        return {
            id(v): numpy(v) - RATE * slope / (np.abs(slope) + 1e-8)
            for v, slope in zip(variables, found, strict=True)
        }

    after = adam([v for v, _ in expected if id(v) not in own_ids], False)
    if online:
        moved = run(file, cell).state["learner"]["weights"]
        after |= {id(v): numpy(x) for v, x in zip(own, moved, strict=True)}
    else:
        after |= adam(own, True)
    for variable, right in expected:
        error = np.abs(after[id(variable)] - right)
        # Where a gradient is rounding alone, its sign is too.
        assert np.mean(error < 0.05 * RATE) > 0.97, variable.path
    assert len(expected) >= 8
