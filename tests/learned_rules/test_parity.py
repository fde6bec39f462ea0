"""Numbers of the published code.

Its variables by ours, below `MoreLocalWeightUpdateProcess`:

| ours | published |
|---|---|
| `top_0` | `compute_top_delta/conv_1d`, `batch_norm` |
| `mixing_0`, `mixing_1` | `compute_top_delta/conv_1d_1`, `_2`, and norms |
| `top_1`, `top_2`, ... | `compute_top_delta/conv_1d_3`, ..., and norms |
| `top_delta` | the last `compute_top_delta/conv_1d_*`, with its bias |
| `offset` | `batch_norm` |
| `block_i/along_batch` | `conv_1d` or `conv_1d_i`, `batch_norm_(i + 1)` |
| `block_i/along_units_j` | `ConcatUnitConv` or `_i`, `/conv_1d` or `_j` |
| `to_delta`, `to_bias` | `linear`, `bias_readout` |
| `kernel_change` | `forwardweight_readout_*`, `forwardlin_*`, ... |
| `kernel_change/coefficients`, `constant` | `forward_weight_readout_coeffs` |
| `backward_change` | the same with `backward` for `forward` |

Biases of convolutions that a batch norm follows change nothing; ours have
none. `_w` of a readout lies among the columns of `upper_kernel` or
`lower_kernel` in the order of `UPPER_READOUTS` and `LOWER_READOUTS`.
"""

import json
import pathlib

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo import backend
from keras_fivo.learned_rules import blocks
from keras_fivo.learned_rules.terms import (
    LOWER_READOUTS,
    TERMS,
    UPPER_READOUTS,
)

PROCESS = "theta/MoreLocalWeightUpdateProcess"
LEARNER = "phi/LocalWeightUpdateWLearner"
FOLDER = pathlib.Path(__file__).parents[3] / "shared/golden/lul"
FILES = sorted(path.stem for path in FOLDER.glob("*.npz"))
to_numpy = keras.ops.convert_to_numpy


def numbered(name, i):
    return f"{name}_{i}" if i else name


def readout_name(name):
    """`0_order/top` is `weight_readout_0_top`, `lin_x/top` is `lin_x_top`."""
    term, side = name.split("/")
    first = {"0_order": "0", "rbf": "rbf", "1_order": "1"}
    term = f"weight_readout_{first[term]}" if term in first else term
    return f"{term}_{side}"


def variables(rule, scope):
    """Our variables, each with the value that it has in the file."""
    pairs = []

    def convolution(layer, name, norm):
        pairs.append((layer.kernel, scope[f"{name}/w:0"]))
        if norm is None:
            pairs.append((layer.offset, scope[f"{name}/b:0"]))
        else:
            pairs.append((layer.offset, scope[f"{norm}/beta:0"].ravel()))

    def linear(kernel, bias, name):
        pairs.append((kernel, scope[f"{name}/w:0"]))
        pairs.append((bias, scope[f"{name}/b:0"]))

    top = [rule.top[0], *rule.mixing, *rule.top[1:], rule.top_delta]
    for i, layer in enumerate(top):
        norm = numbered("compute_top_delta/batch_norm", i)
        convolution(
            layer,
            numbered("compute_top_delta/conv_1d", i),
            None if layer is rule.top_delta else norm,
        )
    pairs.append((rule.offset, scope["batch_norm/beta:0"].ravel()))
    for i, block in enumerate(rule.blocks):
        convolution(
            block.along_batch,
            numbered("conv_1d", i),
            numbered("batch_norm", i + 1),
        )
        for j, layer in enumerate(block.along_units):
            unit = numbered("ConcatUnitConv", i)
            convolution(
                layer,
                f"{unit}/{numbered('conv_1d', j)}",
                f"{unit}/{numbered('batch_norm', j)}",
            )
    linear(rule.to_delta.kernel, rule.to_delta.bias, "linear")
    linear(rule.to_bias.kernel, rule.to_bias.bias, "bias_readout")
    changes = {"forward": rule.kernel_change}
    if not rule.identical_updates:
        changes["backward"] = rule.backward_change
    for prefix, change in changes.items():
        for side, names in (
            ("upper", UPPER_READOUTS),
            ("lower", LOWER_READOUTS),
        ):
            parts = [f"{prefix}{readout_name(n)}/linear" for n in names]
            for ours, theirs in (("kernel", "w"), ("bias", "b")):
                value = [scope[f"{part}/{theirs}:0"] for part in parts]
                pairs.append(
                    (
                        getattr(change, f"{side}_{ours}"),
                        np.concatenate(value, -1),
                    )
                )
        merge = f"{prefix}_weight_readout_coeffs"
        pairs.append((change.coefficients, scope[f"{merge}/w:0"].ravel()))
        pairs.append((change.constant, scope[f"{merge}/b:0"].reshape(())))
    return pairs


def rule_from(file):
    """A rule with the sizes and the weights of a file."""
    meta = json.loads(str(file["meta_json"]))
    sizes = meta["process"]
    hidden, top = sizes["compute_h_size"], sizes["top_delta_size"]
    rule = kf.LocalUpdateRule(
        units=[hidden] * (1 + sizes["compute_h_layers"]),
        top_units=[top] * (1 + sizes["top_delta_layers"]),
        delta_dim=sizes["delta_dim"],
        rank=sizes["num_grad_channels"],
        embedding_dim=meta["out"],
        identical_updates=meta["identical_updates"],
    )
    scope = {
        name.removeprefix(PROCESS + "/"): file[name]
        for name in file.files
        if name.startswith(PROCESS)
    }
    pairs = variables(rule, scope)
    assert {id(v) for v, _ in pairs} == {id(v) for v in rule.weights}
    for variable, value in pairs:
        variable.assign(value)
    return rule


def base_from(file, step):
    """The base model before an update."""
    count = json.loads(str(file["meta_json"]))["n_layers"] + 1

    def read(name, layers):
        return [
            file[f"s{step}/{LEARNER}/{numbered('LinearBatchNorm', i)}/{name}"]
            for i in layers
        ]

    forward, back = range(count), range(count, 2 * count)
    tensor = keras.ops.convert_to_tensor
    return kf.BaseWeights(
        [tensor(x) for x in read("linear/w:0", forward)],
        [tensor(x.ravel()) for x in read("b:0", forward)],
        [tensor(x) for x in read("linear/w:0", back)],
    )


def images(file, name, step=0):
    flat = file[name].reshape(len(file[name]), -1)
    return flat[:, file[f"s{step}/{LEARNER}/shuffle_ind:0"]]


def assert_close(ours, theirs, tolerance=1e-4):
    """Equal to a fraction of the largest number."""
    ours = np.asarray(to_numpy(ours))
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.fixture(params=FILES or ["lul_tiny_identical"])
def file(golden, request):
    return golden(f"lul/{request.param}")


@pytest.mark.parametrize(
    "fewest", [blocks._MANY, pytest.param(1, marks=pytest.mark.one_backend)]
)
def test_the_parts_of_an_update_are_the_published_ones(
    file, fewest, monkeypatch
):
    # With few channels too: by fewer multiplications.
    monkeypatch.setattr(blocks, "_MANY", fewest)
    monkeypatch.setattr(backend, "FUSES", True)
    rule, inputs = rule_from(file), images(file, "image")
    steps = json.loads(str(file["meta_json"]))["steps"]
    for step in range(steps):
        base = base_from(file, step)
        xs, zs = kf.run_base(base, inputs)
        change = rule.changes(base, inputs)
        for i, (x, z) in enumerate(zip(xs[1:], zs, strict=True), 1):
            assert_close(x, file[f"s{step}/act/x{i}"])
            assert_close(z, file[f"s{step}/act/z{i}"])
        for i, (h, d) in enumerate(
            zip(change.hidden[::-1], change.deltas[::-1], strict=True)
        ):
            assert_close(np.swapaxes(to_numpy(h), 0, 1), file[f"s{step}/h{i}"])
            assert_close(np.swapaxes(to_numpy(d), 0, 1), file[f"s{step}/d{i}"])


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_term_is_the_published_one(file, direction):
    rule, inputs = rule_from(file), images(file, "image")
    base = base_from(file, 0)
    if f"s0/change_w/{direction}l0/hebb" not in file.files:
        pytest.skip(f"the file has no terms of the {direction} matrices")
    change = rule.changes(base, inputs)
    xs, _ = kf.run_base(base, inputs)
    forward = direction == "forward"
    layer = rule.kernel_change if forward else rule.backward_change
    matrices = base.kernels if forward else base.backward
    for j in range(len(matrices)):
        i = len(matrices) - 1 - j
        terms = layer.terms(
            matrices[i],
            (xs[i], change.hidden[i]),
            (xs[i + 1], change.hidden[i + 1]),
        )
        prefix = f"s0/change_w/{direction}l{j}"
        assert set(terms) == set(TERMS)
        for name, term in terms.items():
            assert_close(term, file[f"{prefix}/{name}"])
        assert_close(layer.merge(terms), file[f"{prefix}/__merged"])


def test_three_updates_end_where_the_published_ones_do(file):
    rule, inputs = rule_from(file), images(file, "image")
    start = base = base_from(file, 0)
    for step in range(1, 4):
        base = rule.step(base, inputs)
        expected = base_from(file, step)
        for new, old, first in zip(
            *(keras.tree.flatten(x) for x in (base, expected, start)),
            strict=True,
        ):
            new, old, first = (to_numpy(x) for x in (new, old, first))
            # The change is a thousandth of the weights: float32 can tell it
            # to that many times its own precision.
            assert_close(new - first, old - first, 1e-3)
            assert_close(new, old, 1e-5)


def test_the_meta_objective_is_the_published_one(file):
    probe = kf.RidgeProbe(0.1)
    for step in range(4):
        base = base_from(file, step)
        sides = [images(file, f"{s}_image") for s in ("support", "query")]
        xs, _ = kf.run_base(base, np.concatenate(sides))
        features = np.split(to_numpy(xs[-1]), 2)
        targets = [
            np.eye(3, dtype="float32")[file[f"{s}_label"]]
            for s in ("support", "query")
        ]
        loss, predicted = probe.objective(
            (features[0], targets[0]), (features[1], targets[1])
        )
        assert_close(loss, file[f"s{step}/J"])
        right = to_numpy(predicted).argmax(-1) == file["query_label"]
        assert right.mean() == pytest.approx(
            float(file[f"s{step}/meta/accuracy_test"])
        )
