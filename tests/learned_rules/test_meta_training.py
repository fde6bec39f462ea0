"""Training a rule: gradients, lives of base models, resuming."""

import keras
import numpy as np
import pytest

import keras_fivo as kf

to_numpy = keras.ops.convert_to_numpy
GROUPS = (kf.TaskGroup(6, (5, 4), 2), kf.TaskGroup(6, (7,), 1))

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="data sets of TensorFlow do not take the lists of a task yet",
)


def new_model(seed=0, optimizer=None, groups=GROUPS, **changes):
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
    model.compile(optimizer or keras.optimizers.Adam(1e-2, clipnorm=1.0))
    return model


class Batches(keras.utils.PyDataset):
    """A batch by its number; base models live for two of them."""

    def __init__(self, numbers, groups=GROUPS, unroll=3, life=2):
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
        return (
            [
                {
                    "inputs": draw(self.unroll, tasks, 5, inputs),
                    "support": draw(tasks, 6, inputs),
                    "query": draw(tasks, 6, inputs),
                    "support_targets": np.stack([targets] * tasks),
                    "query_targets": np.stack([targets] * tasks),
                    "restart": np.full(tasks, number % self.life == 0),
                }
                for inputs, _, tasks in self.groups
            ],
        )


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


def test_a_step_goes_on_where_the_last_one_ended():
    model = new_model(optimizer=keras.optimizers.SGD(0.0))
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


def test_a_restart_forgets_what_was_learned():
    model = new_model(optimizer=keras.optimizers.SGD(0.0))
    fit(model, [0, 1])
    learned = [to_numpy(v) for v in model.bases[0]]
    for variable in model.bases[0]:
        variable.assign(np.full(variable.shape, np.nan, "float32"))
    fit(model, [2])
    for variable, old in zip(model.bases[0], learned, strict=True):
        value = to_numpy(variable)
        assert np.all(np.isfinite(value))
        assert np.any(value != old)


def test_the_gradient_is_that_of_finite_differences():
    step = 1e-2
    model = new_model(optimizer=keras.optimizers.SGD(1.0))
    start = model.get_weights()
    state = to_numpy(model.seed_generator.state)
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


def test_training_lowers_the_meta_objective():
    model = new_model(groups=GROUPS[1:], optimizer=keras.optimizers.Adam(0.1))
    losses = [fit(model, [0, 1] * 5)["loss"][0] for _ in range(5)]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("estimator", ["backpropagation", "evolution"])
def test_training_that_was_killed_ends_as_one_that_was_not(tmp_path, estimator):
    whole = new_model(estimator=estimator)
    fit(whole, [0, 1, 2, 3, 4, 5])
    part = new_model(estimator=estimator)
    fit(part, [0, 1, 2])
    part.save(tmp_path / "part.keras")
    other = keras.saving.load_model(tmp_path / "part.keras")
    assert int(other.optimizer.iterations) == 3
    fit(other, [3, 4, 5])
    for a, b in zip(whole.weights, other.weights, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-6)


def test_evolution_estimates_from_the_whole_life():
    """Two batches of one life, against unrolls by a loop."""
    group = (kf.TaskGroup(6, (5,), 2),)
    model = new_model(
        groups=group,
        optimizer=keras.optimizers.SGD(1.0),
        estimator="evolution",
        deviation=0.05,
    )
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
        batch = Batches([number], group)[0][0][0]
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


def test_bad_arguments_are_refused():
    rule = kf.LocalUpdateRule(units=(4,), top_units=(3,), embedding_dim=8)
    with pytest.raises(ValueError, match="Received: an embedding of 7"):
        kf.MetaTraining(rule, GROUPS[1:])
    with pytest.raises(ValueError, match="Received: estimator='genetic'"):
        kf.MetaTraining(rule, [(6, (8,), 1)], estimator="genetic")
    with pytest.raises(TypeError, match="Received: rule='slim'"):
        kf.MetaTraining("slim", GROUPS)
