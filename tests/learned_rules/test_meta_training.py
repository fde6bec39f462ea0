"""Training a rule: gradients, lives of base models, resuming."""

import keras
import numpy as np
import pytest

import keras_fivo as kf

to_numpy = keras.ops.convert_to_numpy
GROUPS = (kf.TaskGroup(6, (5,), 2), kf.TaskGroup(6, (7,), 1))


def new_model(seed=0, groups=GROUPS, **changes):
    keras.utils.set_random_seed(seed)
    rule = kf.LocalUpdateRule(
        units=(4,),
        top_units=(3,),
        delta_dim=2,
        rank=2,
        embedding_dim=None,
        learning_rate=0.1,
    )
    model = kf.MetaTraining(rule, groups, penalty=1.0, seed=seed, **changes)
    # Tracing the graph takes TensorFlow longer than all the steps here.
    backend = keras.backend.backend()
    model.compile(
        keras.optimizers.SGD(0.0),
        run_eagerly=backend == "tensorflow",
        jit_compile=backend == "jax",
    )
    return model


# Two models, compiled once each: `at` sets them back.
@pytest.fixture(scope="module")
def backpropagating():
    model = new_model()
    return model, kept(model)


@pytest.fixture(scope="module")
def evolving():
    model = new_model(
        groups=(kf.TaskGroup(6, (5,), 2),),
        estimator="evolution",
        deviation=0.05,
    )
    return model, kept(model)


def kept(model):
    variables = [*model.variables, model.seed_generator.state]
    return [np.array(to_numpy(v)) for v in variables]


def at(start, learning_rate):
    model, values = start
    variables = [*model.variables, model.seed_generator.state]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    model.optimizer.learning_rate = learning_rate
    return model


class Batches(keras.utils.PyDataset):
    """A batch by its number; base models live for two of them."""

    def __init__(self, numbers, groups=GROUPS, unroll=2, life=2):
        super().__init__()
        self.numbers, self.groups = numbers, groups
        self.unroll, self.life = unroll, life

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        number = self.numbers[index]
        rng = np.random.default_rng(number)

        def draw(*shape):
            # The first input is noise of ten times the deviation of the
            # others, which tell the classes.
            noise = rng.normal(size=shape) * ([10.0] + [1.0] * (shape[-1] - 1))
            centres = np.resize(np.eye(3), (3, shape[-1]))
            labels = np.arange(shape[-2]) % 3
            return (noise + 2 * centres[labels]).astype("float32")

        targets = np.eye(3, dtype="float32")[np.arange(6) % 3]
        batches = [
            {
                "inputs": draw(self.unroll, tasks, 5, inputs),
                "support": draw(tasks, 6, inputs),
                "query": draw(tasks, 6, inputs),
                "support_targets": np.stack([targets] * tasks),
                "query_targets": np.stack([targets] * tasks),
                "restart": np.full(tasks, number % self.life == 0),
            }
            for inputs, _, tasks in self.groups
        ]
        return (tuple(batches),)


def fit(model, numbers, **kwargs):
    batches = Batches(numbers, model.groups, **kwargs)
    return model.fit(batches, shuffle=False, verbose=0).history


def mean_objective(model, base, batch):
    """The meta-objective over an unroll, by a loop; and the base model."""
    losses = []
    for inputs in batch["inputs"]:
        base = model.rule.step(base, inputs)
        features = kf.run_base(
            base, np.concatenate([batch["support"], batch["query"]], 1)
        )[0][-1]
        loss, _ = model.probe.objective(
            (features[:, :6], batch["support_targets"]),
            (features[:, 6:], batch["query_targets"]),
        )
        losses.append(to_numpy(loss))
    return np.mean(losses, 0), base


def base_of(model, group):
    values = [keras.ops.copy(v.value) for v in model.bases[group]]
    count = len(values) // 3
    return kf.BaseWeights(
        values[:count], values[count : 2 * count], values[2 * count :]
    )


@pytest.mark.one_backend
def test_a_step_goes_on_where_the_last_one_ended(backpropagating):
    model = at(backpropagating, 0.0)
    fit(model, [0])
    expected = []
    for group in range(2):
        batch = Batches([1])[0][0][group]
        expected.append(mean_objective(model, base_of(model, group), batch))
    loss = fit(model, [1])["loss"][0]
    total = sum(losses.sum() for losses, _ in expected)
    assert loss == pytest.approx(total / 3, rel=1e-4)
    for group, (_, base) in enumerate(expected):
        for a, b in zip(
            keras.tree.flatten(base), model.bases[group], strict=True
        ):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-4)


@pytest.mark.one_backend
def test_a_restart_forgets_what_was_learned(backpropagating):
    model = at(backpropagating, 0.0)
    fit(model, [0, 1])
    learned = [np.array(to_numpy(v)) for v in model.bases[0]]
    for variable in model.bases[0]:
        variable.assign(np.full(variable.shape, np.nan, "float32"))
    fit(model, [2])
    for variable, old in zip(model.bases[0], learned, strict=True):
        value = to_numpy(variable)
        assert np.all(np.isfinite(value))
        assert np.any(value != old)


def test_the_gradient_is_that_of_finite_differences(backpropagating):
    step = 1e-2
    model = at(backpropagating, 1.0)
    start = [np.array(x) for x in model.get_weights()]
    state = np.array(to_numpy(model.seed_generator.state))
    names = [v.path for v in model.weights]
    place = next(i for i, n in enumerate(names) if n.endswith("coefficients"))
    fit(model, [0])
    gradient = start[place] - model.get_weights()[place]

    def loss_at(offset):
        moved = [x.copy() for x in start]
        moved[place] += offset
        model.set_weights(moved)
        model.seed_generator.state.assign(state)
        return fit(model, [0])["loss"][0]

    direction = gradient / np.linalg.norm(gradient)
    slope = (loss_at(step * direction) - loss_at(-step * direction)) / 2 / step
    assert slope == pytest.approx(np.sum(gradient * direction), rel=0.1)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["backpropagating", "evolving"])
def test_a_saved_training_goes_on_as_the_other_would(tmp_path, name, request):
    model = at(request.getfixturevalue(name), 1e-3)
    fit(model, [0])
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert twin.groups[0].num_tasks == model.groups[0].num_tasks
    assert int(twin.optimizer.iterations) == int(model.optimizer.iterations)
    count = len(model.metrics_variables)
    assert count == len(twin.metrics_variables)
    for a, b in zip(kept(model), kept(twin), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
def test_evolution_estimates_from_the_whole_life(evolving):
    """Two batches of one life, against unrolls by a loop."""
    model = at(evolving, 1.0)
    totals = [0.0 for _ in model.rule.weights]
    for number in (0, 1):
        start = [to_numpy(v) for v in model.rule.weights]
        before = base_of(model, 0)
        fit(model, [number])
        gradients = [
            a - to_numpy(v)
            for a, v in zip(start, model.rule.weights, strict=True)
        ]
        sums = [to_numpy(v) for v in model.accumulated[0]]
        noise = [s - t for s, t in zip(sums, totals, strict=True)]
        totals = sums
        if number == 0:
            continue
        losses = []
        batch = Batches([number], model.groups)[0][0][0]
        for sign, half in ((1, slice(0, 2)), (-1, slice(2, 4))):
            for variable, a, x in zip(
                model.rule.weights, start, noise, strict=True
            ):
                variable.assign(a + sign * x[0])
            base = keras.tree.map_structure(lambda x, h=half: x[h], before)
            losses.append(mean_objective(model, base, batch)[0])
        slope = (losses[0] - losses[1]) / (2 * 0.05**2)
        for gradient, total in zip(gradients, sums, strict=True):
            expected = np.tensordot(slope, total, 1) / 2
            np.testing.assert_allclose(gradient, expected, atol=2e-3)


def test_batches_of_other_shapes_are_refused(backpropagating):
    model = at(backpropagating, 0.0)
    (batches,) = Batches([0])[0]

    def refused(batches, message):
        with pytest.raises(ValueError, match=message):
            model.compute_losses((batches,), training=False)

    refused(batches[:1], "Received: 1 of them")
    refused(batches[::-1], r"Received: shape \(2, 1, 5, 6\)")
    narrow = {**batches[0], "query": batches[0]["query"][..., :5]}
    refused((narrow, batches[1]), r"`query` of group 0 .* \(2, 6, 5\)")
    lacking = {k: v for k, v in batches[1].items() if k != "restart"}
    refused((batches[0], lacking), r"group 1 must have .*'restart'")


def test_bad_arguments_are_refused():
    rule = kf.LocalUpdateRule(units=(4,), top_units=(3,), embedding_dim=8)
    with pytest.raises(ValueError, match="Received: an embedding of 7"):
        kf.MetaTraining(rule, GROUPS[1:])
    with pytest.raises(ValueError, match="Received: estimator='genetic'"):
        kf.MetaTraining(rule, [(6, (8,), 1)], estimator="genetic")
    with pytest.raises(TypeError, match="Received: rule='slim'"):
        kf.MetaTraining("slim", GROUPS)
    for wrong, message in (
        ({"groups": []}, r"groups=\[\]"),
        ({"groups": [(6, (8,), 0)]}, "num_tasks=0"),
        ({"groups": [(0, (8,), 1)]}, "input_dim=0"),
        ({"deviation": 0.0}, "deviation=0.0"),
        ({"penalty": -1.0}, "penalty=-1.0"),
    ):
        given = {"groups": [(6, (8,), 1)], **wrong}
        with pytest.raises(ValueError, match=f"Received: {message}"):
            kf.MetaTraining(rule, **given)
