"""Weights, noise and settings of the published code of amortized variational
filtering, in this library's form."""

import json
import math

import keras
import numpy as np

import keras_fivo as kf

WINDOW, FLOOR = 0.0018190742, 1e-6
LATENT_LIMITS = (-15.0, 5.0)
LEVEL = "latent_levels.0"


def settings(file):
    """The file's `meta`, flat."""
    meta = json.loads(str(file["meta"]))
    return {**meta.pop("model_config"), **meta}


def limits(low, high=None):
    """Arguments of a head for a clamped log-variance."""
    return {
        "scale_form": "log_variance",
        "scale_bias": 0.0,
        "min_scale": math.exp(low / 2),
        "max_scale": None if high is None else math.exp(high / 2),
    }


def sizes(file, name):
    """Sizes of the layers of a network."""
    found, i = [], 0
    while f"w/{name}.layers.{i}.linear.weight" in file.files:
        found.append(len(file[f"w/{name}.layers.{i}.linear.weight"]))
        i += 1
    return found


def proposal_of(file, objective="em"):
    """The proposal with the settings of a file."""
    config = settings(file)
    if config["inference_procedure"] == "direct":
        hidden = sizes(file, "inference_model")
        return kf.FilteringProposal(hidden, residual=False)
    update = {"highway": kf.HighwayUpdate, "learned_sgd": kf.LearnedSGDUpdate}[
        config["update_type"]
    ]
    return kf.IterativeProposal(
        config["n_iter"],
        update(
            sizes(file, inference_name(file)),
            normalize_inputs=config["input_normalization"] == "layer",
            reads="observation" if config["concat_observation"] else None,
            normalize_mean=config["normalize_latent_samples"],
            gradient_scale=1.0 / config["B"],
        ),
        objective=objective,
        online=objective == "em" and bool(config.get("online")),
        log_variance_range=LATENT_LIMITS,
    )


def inference_name(file):
    """Where the inference network's weights are."""
    whole = f"w/{LEVEL}.inference_model.layers.0.linear.weight"
    name = "inference_model"
    return f"{LEVEL}.{name}" if whole in file.files else name


def cell_from(file, objective="em"):
    """A cell with the settings and the weights of a file."""
    config = settings(file)
    recurrent = config["architecture"] == "vrnn"
    features = file["x"].shape[-1]
    latent_dim = len(file["w/" + f"{LEVEL}.latent.prior_mean.linear.bias"])
    activation = "relu" if recurrent else kf.clipped_leaky_relu
    decoder = {
        "hidden_units": sizes(file, "decoder_model"),
        "activation": activation,
    }
    if "w/output_log_var.linear.bias" in file.files:
        clamp = limits(-20.0, 5.0) if recurrent else limits(-10.0)
        window = {"width": WINDOW, "centered": False, "floor": FLOOR}
        emission = kf.QuantizedNormalHead(**decoder, **window, **clamp)
    else:
        emission = kf.BernoulliHead(**decoder)
    transition = kf.NormalHead(
        hidden_units=sizes(file, f"{LEVEL}.generative_model"),
        activation=activation,
        adaptive=False,
        name="transition",
        **limits(*LATENT_LIMITS),
    )

    def encoder(name):
        if not recurrent:
            return False
        return kf.Network(
            sizes(file, name), "relu", True, name=f"{name[0]}_encoder"
        )

    cell = (kf.VRNNCell if recurrent else kf.SRNNCell)(
        latent_dim,
        units=file["w/lstm.layers.0.initial_hidden"].shape[-1],
        emission=emission,
        transition=transition,
        proposal=proposal_of(file, objective),
        activation=activation,
        data_encoder=encoder("x_model"),
        latent_encoder=encoder("z_model"),
        learned_initial_state=True,
    )
    cell.build((None, None, features))
    for variable, value in pairs(file, cell, "w"):
        variable.assign(value.astype(keras.config.floatx()))
    if not recurrent:
        initial = file["w/_initial_z"][None]
        cell.initial_latent.assign(initial.astype(keras.config.floatx()))
    return cell


def pairs(file, cell, kind):
    """Variables of the cell, each with its array of a kind.

    Args:
        file: Reference file.
        cell: As from `cell_from`.
        kind: `"w"` of weights, `"grad_gen"`, `"grad_inf"` or `"w_after"`:
            variables that the file has none of are left out.
    """
    found = [*_generative(file, cell, kind), *_inference(file, cell, kind)]
    return [(v, value) for v, value in found if value is not None]


def _read(file, kind, *names, swap=None):
    """Kernel and bias of linear layers side by side."""
    names = [f"{kind}/{name}.linear" for name in names]
    if f"{names[0]}.weight" not in file.files:
        return None, None
    kernel = np.concatenate([file[f"{x}.weight"].T for x in names], -1)
    bias = np.concatenate([file[f"{x}.bias"] for x in names], -1)
    if swap is not None:
        kernel = np.concatenate([kernel[swap:], kernel[:swap]])
    return kernel, bias


def _layers(file, kind, dense, name, last, swap=None):
    """Pairs of a network whose last layer is several in the file."""
    found = []
    for i, layer in enumerate(dense):
        names = [f"{name}.layers.{i}"]
        if last and i == len(dense) - 1:
            names = last
        kernel, bias = _read(file, kind, *names, swap=swap if i == 0 else None)
        found += [(layer.kernel, kernel), (layer.bias, bias)]
    return found


def _generative(file, cell, kind):
    recurrent = isinstance(cell, kf.VRNNCell)
    lstm, prefix = cell.recurrence.cell, f"{kind}/lstm.layers.0"
    outputs = ["output_mean"]
    if "w/output_log_var.linear.bias" in file.files:
        outputs.append("output_log_var")
    prior = [f"{LEVEL}.latent.prior_{x}" for x in ("mean", "log_var")]
    found = _layers(
        file,
        kind,
        cell.transition.network.dense,
        f"{LEVEL}.generative_model",
        prior,
    )
    # The SRNN's decoder reads [h, z], the emission [z, h].
    found += _layers(
        file,
        kind,
        cell.emission.network.dense,
        "decoder_model",
        outputs,
        None if recurrent else lstm.units,
    )
    if recurrent:
        for encoder, name in (
            (cell.data_encoder, "x_model"),
            (cell.latent_encoder, "z_model"),
        ):
            found += _layers(file, kind, encoder.dense, name, None)
    if f"{prefix}.lstm.weight_ih" not in file.files:
        return found
    bias = file[f"{prefix}.lstm.bias_ih"]
    if not kind.startswith("grad"):
        # Of its two biases each moves; the one here as one of them.
        bias = bias + file["w/lstm.layers.0.lstm.bias_hh"]
    return [
        *found,
        (lstm.kernel, file[f"{prefix}.lstm.weight_ih"].T),
        (lstm.recurrent_kernel, file[f"{prefix}.lstm.weight_hh"].T),
        (lstm.bias, bias),
        (cell.initial_states[0], file[f"{prefix}.initial_hidden"]),
        (cell.initial_states[1], file[f"{prefix}.initial_cell"]),
    ]


def _inference(file, cell, kind):
    name = inference_name(file)
    offsets = [f"{LEVEL}.latent.inf_{x}_output" for x in ("mean", "log_var")]
    if isinstance(cell.proposal, kf.FilteringProposal):
        dense = cell.proposal.head.network.dense
        found = _layers(file, kind, dense, name, offsets)
        if found[0][1] is None:
            return []
        # The file's reads [x, h]; the proposal [h, z, x], of z nothing.
        kernel, features = found[0][1], file["x"].shape[-1]
        nothing = np.zeros((cell.latent_dim, kernel.shape[-1]))
        parts = [kernel[features:], nothing, kernel[:features]]
        return [(dense[0].kernel, np.concatenate(parts)), *found[1:]]
    network = cell.proposal.update.network
    gates = [
        f"{LEVEL}.latent.approx_post_{x}_gate" for x in ("mean", "log_var")
    ]
    layers = [
        (network.linear[0], [f"{name}.initial_fc"]),
        (cell.proposal.update.head, [*offsets, *gates]),
    ]
    for i in range(len(network.units)):
        layers.append((network.dense[i], [f"{name}.layers.{i}"]))
        layers.append((network.gates[i], [f"{name}.gates.{i}"]))
    found = []
    for layer, names in layers:
        kernel, bias = _read(file, kind, *names)
        found += [(layer.kernel, kernel), (layer.bias, bias)]
    return found


def arguments(file, cell, bound):
    """What runs a bound as the file was made: observations, noise, state."""
    x, eps = file["x"], file["eps"]
    batch = x.shape[1]
    # (time, evaluations, batch, 1, size) -> (batch, time, 1, ...)
    eps = np.moveaxis(eps, 2, 0).astype(keras.config.floatx())
    noise = {"latent": eps[:, :, -1]}
    if cell.proposal.num_evaluations:
        noise["proposal"] = np.moveaxis(eps[:, :, :-1], 2, 3)
    state = bound.initial_state(cell, batch)
    observed = dict(state["observed"])
    observed["previous"] = x[0].astype(keras.config.floatx())
    return {
        "observations": np.moveaxis(x[1:], 0, 1).astype(keras.config.floatx()),
        "noise": noise,
        "state": {**state, "observed": observed},
    }


def kl_weight(file):
    """The weight of the KL divergence in a file's epoch."""
    epoch = settings(file)["kl_epoch"]
    return 1.0 if epoch is None else min(1.0, (epoch / 50) ** 2)
