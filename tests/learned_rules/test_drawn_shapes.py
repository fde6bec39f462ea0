"""Base models whose shape is drawn for each life, against fixed ones."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo import backend
from tests.learned_rules.test_meta_training import (
    Batches,
    kept,
    new_model,
    to_numpy,
)

SHAPES = ((5,), (7, 4))
# Positions of the variables of base models of each shape.
PARTS = (slice(0, 3), slice(3, 9))


class DrawnBatches(Batches):
    """Batches with the shape that each task has, by the batch's number."""

    def __init__(self, numbers, shapes):
        groups = (kf.TaskGroup(6, SHAPES, len(shapes[0])),)
        # Three tasks and two updates: PyTorch would trace a loop of three.
        super().__init__(numbers, groups, unroll=2)
        self.shapes = np.array(shapes, "int32")

    def __getitem__(self, index):
        ((batch,),) = super().__getitem__(index)
        return (({**batch, "shape": self.shapes[index]},),)


def fit(model, numbers, shapes):
    """Fits batches; gives the losses, and changes of the rule's weights."""
    before = [np.array(to_numpy(v)) for v in model.rule.weights]
    batches = DrawnBatches(numbers, shapes)
    logs = model.fit(batches, shuffle=False, verbose=0).history
    pairs = zip(model.rule.weights, before, strict=True)
    return logs["loss"][0], [to_numpy(v) - old for v, old in pairs]


def values(variables):
    return [np.array(to_numpy(v)) for v in variables]


def begin(*models):
    """Sets rules to the same weights, and base models to random ones."""
    for model in models:
        rng = np.random.default_rng(0)
        for variable in (*model.rule.weights, *model.bases[0]):
            variable.assign(rng.normal(size=variable.shape) / 3)
        model.optimizer.learning_rate = 1.0


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.fixture(scope="module")
def drawing():
    return new_model(groups=(kf.TaskGroup(6, SHAPES, 3),))


@pytest.mark.one_backend
@pytest.mark.parametrize("shape", [0, 1])
def test_a_shape_that_is_always_drawn_is_as_a_fixed_one(drawing, shape):
    fixed = new_model(groups=(kf.TaskGroup(6, SHAPES[shape], 3),))
    begin(drawing, fixed)
    own = [drawing.bases[0][i] for i in range(9)][PARTS[shape]]
    other = [drawing.bases[0][i] for i in range(9)][PARTS[1 - shape]]
    for variable, twin in zip(own, fixed.bases[0], strict=True):
        twin.assign(to_numpy(variable))
    idle = values(other)
    # Batches 1 and 3 go on with the base models there are.
    for number in (1, 3):
        loss, changes = fit(drawing, [number], [[shape] * 3])
        expected, twins = fit(fixed, [number], [[0] * 3])
        assert loss == pytest.approx(expected, rel=1e-5)
        assert max(np.abs(x).max() for x in twins) > 1e-3
        assert_close(changes, twins)
    assert_close(values(own), values(fixed.bases[0]))
    for a, b in zip(values(other), idle, strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_task_learns_in_its_own_shape():
    """Three tasks of two shapes, against those that had one shape each."""
    model = new_model(groups=(kf.TaskGroup(6, SHAPES, 3),))
    bases = model.bases[0]

    def loss(batch):
        return model.compute_losses(((batch,),), training=True)[0]["loss"]

    # The gradient is left out: compiling it takes JAX a minute.
    learn = backend.compiled(loss, model, bases)
    drawn, found = ([0] * 3, [1] * 3, [0, 1, 1], [1, 0, 0]), []
    for shapes in drawn:
        begin(model)
        ((batch,),) = DrawnBatches([1], [shapes])[0]
        batch = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
        found.append((float(to_numpy(learn(batch))), values(bases)))
    (first, wide), (second, deep), (mixed, own), (swapped, _) = found
    # Means over tasks, each of which had either shape twice.
    assert mixed + swapped == pytest.approx(first + second, rel=1e-5)
    assert mixed != pytest.approx(swapped, rel=1e-3)
    for i, value in enumerate(own):
        mine = 0 if i < PARTS[0].stop else 1
        learned, idle = (wide, deep)[mine][i], (wide, deep)[1 - mine][i]
        assert np.any(learned != idle)
        for task, shape in enumerate(drawn[2]):
            expected = learned if shape == mine else idle
            np.testing.assert_array_equal(value[task], expected[task])


@pytest.mark.one_backend
def test_gradients_are_means_over_tasks_of_any_shape(drawing):
    found = []
    for shapes in ([0] * 3, [1] * 3, [0, 1, 1], [1, 0, 0]):
        begin(drawing)
        found.append(fit(drawing, [1], [shapes])[1])
    # Each task had either shape twice.
    for a, b, c, d in zip(*found, strict=True):
        assert np.abs(c - d).max() > 0
        np.testing.assert_allclose(a + b, c + d, rtol=2e-4, atol=2e-5)


@pytest.mark.one_backend
def test_one_shape_to_draw_is_that_shape():
    groups = [kf.TaskGroup(6, units, 2) for units in ((5,), ((5,),))]
    found = []
    for group in groups:
        model = new_model(groups=(group,))
        model.optimizer.learning_rate = 0.1
        batches = Batches([0, 1, 2], groups[:1], unroll=2)
        model.fit(batches, shuffle=False, verbose=0)
        found.append(kept(model))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
@pytest.mark.parametrize("estimator", ["backpropagation", "evolution"])
def test_a_training_goes_on_as_if_it_had_not_been_stopped(tmp_path, estimator):
    def trained():
        groups = (kf.TaskGroup(6, SHAPES, 1),)
        model = new_model(groups=groups, estimator=estimator)
        model.optimizer.learning_rate = 1e-3
        return model

    lives = [[0], [0], [1], [1]]
    whole, first = trained(), trained()
    fit(whole, [0, 1, 2, 3], lives)
    fit(first, [0, 1, 2], lives[:3])
    first.save(tmp_path / "model.keras")
    assert any(
        np.any(a != b) for a, b in zip(kept(first), kept(whole), strict=True)
    )
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.groups[0].shapes == [list(s) for s in SHAPES]
    fit(model, [3], lives[3:])
    for variables in ("bases", "accumulated"):
        for a, b in zip(
            getattr(model, variables)[0],
            getattr(whole, variables)[0],
            strict=True,
        ):
            np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
def test_what_a_group_cannot_draw_is_refused(drawing):
    ((batch,),) = Batches([0], drawing.groups)[0]
    with pytest.raises(ValueError, match=r"group 0 must have .*'shape'"):
        drawing.compute_losses(((batch,),), training=False)
    wrong = {**batch, "shape": np.zeros(2, "int32")}
    with pytest.raises(ValueError, match=r"`shape` of group 0 .* \(2,\)"):
        drawing.compute_losses(((wrong,),), training=False)
    rule = kf.LocalUpdateRule(units=(4,), top_units=(3,), embedding_dim=8)
    with pytest.raises(ValueError, match="Received: an embedding of 7"):
        kf.MetaTraining(rule, [(6, ((5, 8), (7,)), 1)])
    with pytest.raises(ValueError, match=r"Received: units=\[\]"):
        kf.MetaTraining(rule, [(6, ([8], []), 1)])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of XLA on TensorFlow"
)
def test_tensorflow_leaves_branches_to_a_graph_without_xla():
    for units, compiles in (((5,), True), (SHAPES, False)):
        rule = kf.LocalUpdateRule(
            units=(4,), top_units=(3,), embedding_dim=None
        )
        model = kf.MetaTraining(rule, [(6, units, 1)])
        # What Keras asks where `jit_compile` is "auto".
        assert model.supports_jit == compiles
