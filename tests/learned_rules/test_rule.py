"""The rule: what it keeps to, at sizes that are not the published ones."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo import backend
from keras_fivo.learned_rules.blocks import BATCH, UNITS, convolve

to_numpy = keras.ops.convert_to_numpy
SLIM = dict(units=(6,), top_units=(5,), delta_dim=3, rank=2)


def slim_rule(**changes):
    return kf.LocalUpdateRule(**{**SLIM, "embedding_dim": None, **changes})


def examples(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype("float32")


def leaves(base):
    return [to_numpy(x) for x in keras.tree.flatten(base)]


@pytest.mark.parametrize("axis", [BATCH, UNITS])
@pytest.mark.parametrize(
    ("width", "size", "channels", "filters"),
    [(1, 6, 3, 5), (3, 6, 3, 5), (5, 6, 3, 5)]
    # Many channels, and sizes that are and that are not whole tiles.
    + [(3, size, 34, 32) for size in (1, 3, 4, 9)],
)
def test_products_of_matrices_are_a_convolution(
    axis, width, size, channels, filters, monkeypatch
):
    monkeypatch.setattr(backend, "FUSES", True)
    shape = (2, 5, size) if axis == BATCH else (2, size, 5)
    x = examples(*shape, channels)
    kernel = examples(width, channels, filters, seed=1) / channels**0.5
    moved = np.moveaxis(x, axis, -2)
    expected = np.zeros((*moved.shape[:-1], filters), "float32")
    for place in range(size):
        for tap in range(width):
            seen = place + tap - width // 2
            if 0 <= seen < size:
                expected[..., place, :] += moved[..., seen, :] @ kernel[tap]
    found = convolve(
        keras.ops.convert_to_tensor(x),
        keras.ops.convert_to_tensor(kernel),
        axis,
    )
    np.testing.assert_allclose(
        to_numpy(found), np.moveaxis(expected, -2, axis), atol=1e-5
    )


@pytest.mark.one_backend
@pytest.mark.parametrize("units", [(4,), (7, 3), (5, 6, 4, 9)])
def test_one_rule_trains_any_width_and_depth(units):
    rule = slim_rule(identical_updates=False)
    base = kf.initial_base(8, units, seed=0)
    new = rule.step(base, examples(6, 8))
    for old, value in zip(leaves(base), leaves(new), strict=True):
        assert value.shape == old.shape
        assert np.all(np.isfinite(value))
        assert np.any(value != old)


@pytest.mark.one_backend
def test_several_base_models_learn_as_each_alone():
    rule = slim_rule(learning_rate=0.1)
    several = kf.initial_base(8, (7, 5), seed=0, num_models=3)
    x = examples(3, 6, 8)
    together = rule.step(several, x)
    for i in range(3):
        one = keras.tree.map_structure(lambda v, i=i: v[i], several)
        alone = rule.step(one, x[i])
        for a, b in zip(leaves(together), leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-6)


@pytest.mark.one_backend
def test_the_backward_matrices_move_as_the_kernels_or_by_themselves():
    base, x = kf.initial_base(8, (7, 5), seed=0), examples(6, 8)
    same = slim_rule().changes(base, x).base
    for kernel, backward in zip(same.kernels, same.backward, strict=True):
        np.testing.assert_array_equal(to_numpy(kernel), to_numpy(backward))
    rule = slim_rule(identical_updates=False)
    own = rule.changes(base, x).base
    for layer in range(2):
        assert np.any(
            to_numpy(own.kernels[layer]) != to_numpy(own.backward[layer])
        )
    # With the kernels and the readouts of the other, a matrix moves alike.
    for mine, theirs in zip(
        rule.backward_change.weights, rule.kernel_change.weights, strict=True
    ):
        mine.assign(theirs)
    twin = base._replace(backward=base.kernels)
    own = rule.changes(twin, x).base
    for kernel, backward in zip(own.kernels, own.backward, strict=True):
        np.testing.assert_allclose(
            to_numpy(kernel), to_numpy(backward), atol=1e-6
        )


def test_the_order_of_a_batch_matters():
    base, x = kf.initial_base(8, (7,), seed=0), examples(6, 8)
    rule = slim_rule()
    first = rule.changes(base, x).base.kernels[0]
    order = [3, 1, 5, 0, 2, 4]
    other = rule.changes(base, x[order]).base.kernels[0]
    assert np.abs(to_numpy(first) - to_numpy(other)).max() > 1e-5


def test_a_rule_is_rebuilt_from_its_config():
    rule = slim_rule(learning_rate=0.3, identical_updates=False)
    config = keras.saving.serialize_keras_object(rule)
    twin = keras.saving.deserialize_keras_object(config)
    assert [v.shape for v in twin.weights] == [v.shape for v in rule.weights]
    twin.set_weights(rule.get_weights())
    base, x = kf.initial_base(8, (7, 5), seed=0), examples(6, 8)
    for a, b in zip(
        leaves(rule.step(base, x)), leaves(twin.step(base, x)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
def test_a_rule_that_mixes_units_refuses_other_embeddings():
    rule = slim_rule(embedding_dim=4)
    x = examples(6, 8)
    rule.step(kf.initial_base(8, (7, 4)), x)
    with pytest.raises(ValueError, match="Received: an embedding of 5"):
        rule.step(kf.initial_base(8, (7, 5)), x)


@pytest.mark.parametrize(
    ("name", "value", "received"),
    [
        ("units", (), r"\(\)"),
        ("top_units", (0,), r"\(0,\)"),
        ("delta_dim", 0, "0"),
        ("rank", 1.5, "1.5"),
        ("embedding_dim", 0, "0"),
        ("learning_rate", 0.0, "0.0"),
    ],
)
def test_sizes_and_the_rate_must_be_positive(name, value, received):
    with pytest.raises(ValueError, match=f"Received: {name}={received}"):
        slim_rule(**{name: value})
