"""The Keras model that a rule trains."""

import keras
import numpy as np
import pytest

import keras_fivo as kf

to_numpy = keras.ops.convert_to_numpy


def rule(**changes):
    sizes = dict(units=(6,), top_units=(5,), delta_dim=3, rank=2)
    sizes |= {"embedding_dim": None, "learning_rate": 0.05}
    return kf.LocalUpdateRule(**{**sizes, **changes})


def without_xla(*arguments, **options):
    """A model whose step XLA, on TensorFlow, does not compile for seconds."""
    made = kf.LearnedRuleModel(*arguments, **options)
    if keras.backend.backend() == "tensorflow":
        made.compile(jit_compile=False)
    return made


def images(count=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(count, 3, 3)).astype("float32")


def test_fit_is_the_rule_batch_by_batch():
    model = kf.LearnedRuleModel(rule(), units=(7, 5), seed=0)
    x = images()
    model.build(x.shape)
    base = keras.tree.map_structure(keras.ops.copy, model.base)
    before = [to_numpy(w) for w in model.rule.weights]
    model.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for batch in [x[:8], x[8:16], x[16:]] * 2:
        base = model.rule.step(base, batch.reshape(8, -1))
    for a, b in zip(
        keras.tree.flatten(model.base), keras.tree.flatten(base), strict=True
    ):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)
    for a, b in zip(before, model.rule.weights, strict=True):
        np.testing.assert_array_equal(a, to_numpy(b))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (images(16)[8 * index : 8 * index + 8],)


def test_fit_takes_a_data_set():
    by_array = without_xla(rule(), units=(7, 5), seed=0)
    by_batches = without_xla(by_array.rule, units=(7, 5), seed=0)
    x = images(16)
    by_array.fit(x, batch_size=8, shuffle=False, verbose=0)
    by_batches.fit(Batches(), shuffle=False, verbose=0)
    np.testing.assert_allclose(
        by_array.predict(x), by_batches.predict(x), atol=1e-5
    )


def test_the_verbs_take_what_those_of_keras_take():
    model = without_xla(rule(), units=(7, 5), seed=0)
    x = images(16)
    history = model.fit(x.tolist(), None, 8, 3, verbose=0).history
    assert len(history["change"]) == 3
    assert model.predict(x, 16, verbose=0).shape == (16, 5)
    np.testing.assert_array_equal(model.predict(x.tolist()), model.predict(x))


@pytest.mark.parametrize(
    ("name", "function"),
    [("relu", lambda z: np.maximum(z, 0.0)), ("tanh", np.tanh)],
)
def test_predict_is_the_perceptron_with_its_activation(name, function):
    model = without_xla(rule(), (7, 5), activation=name, seed=0)
    model.fit(images(), batch_size=8, verbose=0)
    expected = images(10, seed=1).reshape(10, -1)
    for kernel, bias in zip(model.base.kernels, model.base.biases, strict=True):
        z = expected @ to_numpy(kernel)
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-6)
        expected = function(z + to_numpy(bias))
    found = model.predict(images(10, seed=1))
    np.testing.assert_allclose(found, expected, atol=1e-4)


class Fixed(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


class Kept(kf.LearnedRuleModel):
    """Keeps what `compute_losses` gave last."""

    def compute_losses(self, data, training):
        self.last = super().compute_losses(data, training)
        return self.last


def test_fit_records_nothing_for_gradients():
    model = Kept(rule(), (7, 5), seed=0)
    model.fit(images(), batch_size=8, verbose=0)
    # PyTorch alone would record operations without being asked.
    assert not getattr(model.last[0]["change"], "requires_grad", False)


def test_a_saved_model_gives_the_same_embeddings(tmp_path):
    model = without_xla(rule(), (7, 5), activation="tanh", seed=0)
    model.fit(images(), batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    x = images(10, seed=1)
    assert model.predict(x).shape == (10, 5)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))
    twin.fit(x, batch_size=5, verbose=0)
    assert np.any(twin.predict(x) != model.predict(x))


def test_a_preset_hands_out_the_rule_for_another_base_model(tmp_path):
    model = kf.LearnedRuleModel(rule(embedding_dim=5), (7, 5))
    model.build((None, 3, 3))
    model.save_to_preset(tmp_path / "preset")
    twin = kf.LearnedRuleModel.from_preset(tmp_path / "preset", (4, 6, 5))
    for a, b in zip(model.rule.weights, twin.rule.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
    twin.fit(images(8), verbose=0)
    with pytest.raises(ValueError, match="Received: an embedding of 6"):
        kf.LearnedRuleModel.from_preset(tmp_path / "preset", (7, 6))
    with pytest.raises(ValueError, match="Received: 'nowhere'"):
        kf.LearnedRuleModel.from_preset("nowhere")


def test_evaluate_and_the_callback_tell_the_few_shot_accuracy():
    x, y = images(60), np.repeat(np.arange(3), 20)
    model = without_xla(rule(), (7, 5), seed=0)
    settings = dict(ways=3, shots=2, trials=4)
    probe = kf.FewShotProbe(x, y, every=2, **settings)
    history = model.fit(
        images(), batch_size=12, epochs=4, verbose=0, callbacks=[probe]
    ).history
    assert len(history["change"]) == 4
    assert min(history["change"]) > 0
    assert len(history["few_shot_accuracy"]) == 2
    result = model.evaluate(x, y, **settings)
    assert history["few_shot_accuracy"][-1] == result.accuracy


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.fit(images(), np.zeros(24)), ValueError, "y of type"),
        (lambda m: m.fit(images()[:, :2]), ValueError, r"shape \(2, 3\)"),
        (lambda m: m.predict(images()[:, :2]), ValueError, r"shape \(2, 3\)"),
        (lambda m: m(images()[:, :2]), ValueError, r"shape \(2, 3\)"),
        # Twice as many numbers would be twice as many images.
        (
            lambda m: m(np.zeros((4, 6, 3))),
            ValueError,
            r"shape \(6, 3\)",
        ),
        (
            lambda m: m.fit(Fixed((images(), np.zeros(24))), verbose=0),
            ValueError,
            "y of type",
        ),
        (
            lambda m: m.evaluate(images(6), np.arange(6) % 3, ways=3, shots=2),
            ValueError,
            "a class of 2 examples",
        ),
        (lambda m: m.evaluate(images(6)), ValueError, "6 examples in x and 1"),
        (lambda m: m.fit(images() + np.inf), ValueError, "216 NaN or inf"),
        (lambda m: m.predict(images() * np.nan), ValueError, "216 NaN"),
        (lambda m: m.predict(Batches()), TypeError, "x of type Batches"),
        (lambda m: m.fit(images()[:0]), ValueError, r"shape \(0, 3, 3\)"),
        (
            lambda m: m.fit(images(), validation_data=(images(), np.ones(24))),
            ValueError,
            "validation_data",
        ),
        (
            lambda m: m.fit(images(), sample_weight=np.ones(24)),
            ValueError,
            "sample_weight",
        ),
        (
            lambda m: m.fit(images(), validation_split=0.2),
            ValueError,
            "validation_split",
        ),
    ],
)
def test_bad_input_is_refused(call, error, message):
    model = kf.LearnedRuleModel(rule(), units=(7, 5))
    model.build((None, 3, 3))
    with pytest.raises(error, match=f"Received: .*{message}"):
        call(model)


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="Received: rule='slim'"):
        kf.LearnedRuleModel("slim", (7, 5))
    with pytest.raises(ValueError, match=r"Received: units=\(\)"):
        kf.LearnedRuleModel(rule(), ())
    with pytest.raises(ValueError, match="Received: an embedding of 5"):
        kf.LearnedRuleModel(rule(embedding_dim=8), (7, 5))
    with pytest.raises(ValueError, match="Received: every=0"):
        kf.FewShotProbe(images(), np.zeros(24), every=0)


@pytest.mark.one_backend
def test_the_shipped_rule_learns_digits_better_than_chance_did():
    """One label a class, against the base model that it began with."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    model = kf.LearnedRuleModel.from_preset("learned-rule-slim", (64,), seed=0)
    settings = dict(shots=1, trials=60, probe=kf.RidgeProbe(30.0))
    before = model.evaluate(x[400:], y[400:], **settings)
    model.fit(x[:320], batch_size=64, shuffle=False, verbose=0)
    after = model.evaluate(x[400:], y[400:], **settings)
    gain = after.trials - before.trials
    assert gain.mean() > 3 * gain.std() / np.sqrt(60)
