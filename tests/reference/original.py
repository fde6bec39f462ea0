"""Weights and noise of the original implementation, in this one's form."""

import keras
import numpy as np

import keras_fivo as kf
from keras_fivo.inputs import prepare_inputs


def split_gates(block):
    """From gates i, j, f, o side by side to Keras' i, f, c, o."""
    enter, change, forget, leave = np.split(block, 4, axis=-1)
    return np.concatenate([enter, forget, change, leave], axis=-1)


def _assign_lstm(cell, kernel, bias, forget_bias):
    inputs = cell.kernel.shape[0]
    units = cell.units
    bias = split_gates(bias).copy()
    bias[units : 2 * units] += forget_bias
    cell.kernel.assign(split_gates(kernel[:inputs]))
    cell.recurrent_kernel.assign(split_gates(kernel[inputs:]))
    cell.bias.assign(bias)


def variable_names(cell):
    """Networks of the cell by their names in the original."""
    names = {
        "data_encoder": cell.data_encoder,
        "latent_encoder": cell.latent_encoder,
        "prior_fcnet": cell.transition.network,
        "generative_fcnet": cell.emission.network,
    }
    if hasattr(cell.proposal, "head"):
        names["approximate_posterior_fcnet"] = cell.proposal.head.network
    if cell.twist is not None:
        names["tilt_fcnet"] = cell.twist.head.network
    return names


def vrnn_from(file):
    """A `VRNNCell` with the settings and the weights of a file."""
    return _cell_from(file, kf.VRNNCell, "lstm_cell", "rnn/lstm_cell")


def srnn_from(file):
    """An `SRNNCell` with the settings and the weights of a file."""
    names = "forward_rnn/lstm_cell", "reverse_rnn/lstm_cell"
    return _cell_from(file, kf.SRNNCell, *names)


def _cell_from(file, cell_class, forward, backward):
    config = {k[4:]: file[k] for k in file.files if k.startswith("cfg/")}
    hidden = [int(x) for x in config["hidden"]]
    bernoulli = str(config["emission"]) == "bernoulli"
    emission = (
        kf.BernoulliHead(int(config["D"]), hidden)
        if bernoulli
        else kf.NormalHead(
            int(config["D"]), hidden, min_scale=0.0, scale_bias=0.25
        )
    )
    proposal = {"prior": "transition"}.get(
        str(config["proposal"]), str(config["proposal"])
    )
    cell = cell_class(
        int(config["L"]),
        units=int(config["R"]),
        emission=emission,
        proposal=proposal,
        hidden_units=hidden,
        data_encoding_dim=int(config["ED"]),
        latent_encoding_dim=int(config["EL"]),
        min_scale=float(config["sigma_min"]),
        scale_bias=float(config["raw_sigma_bias"]),
        center_present=False,
        twist="one_step"
        if str(config.get("tilt", False)).lower() in ("true", "1")
        else None,
    )
    cell.build((None, None, int(config["D"])))
    cell.center.assign(file["in/data_mean"])
    if bernoulli:
        for part in (cell.emission, getattr(cell.twist, "head", None)):
            if part is not None:
                part.initial_bias.assign(config["emission_bias_init"])
    for name, network in variable_names(cell).items():
        for i, layer in enumerate(network.dense):
            layer.kernel.assign(file[f"w/{name}/linear_{i}/w"])
            layer.bias.assign(file[f"w/{name}/linear_{i}/b"])
    forget_bias = float(config["forget_bias"])
    _assign_lstm(
        cell.recurrence.cell,
        file[f"w/{forward}/kernel"],
        file[f"w/{forward}/bias"],
        forget_bias,
    )
    if hasattr(cell.proposal, "backward"):
        _assign_lstm(
            cell.proposal.backward.cell,
            file[f"w/{backward}/kernel"],
            file[f"w/{backward}/bias"],
            forget_bias,
        )
    return cell


def gradients(file, bound, cell):
    """The file's gradients by id of the cell's trainable variables."""
    found = {}

    def read(name):
        return file[f"{bound}/grad/{name}"]

    for name, network in variable_names(cell).items():
        for i, layer in enumerate(network.dense):
            found[id(layer.kernel)] = read(f"{name}/linear_{i}/w")
            found[id(layer.bias)] = read(f"{name}/linear_{i}/b")
    cells = {"lstm_cell": cell.recurrence.cell}
    if hasattr(cell.proposal, "backward"):
        cells["rnn/lstm_cell"] = cell.proposal.backward.cell
    for name, lstm in cells.items():
        kernel = split_gates(read(f"{name}/kernel"))
        inputs = lstm.kernel.shape[0]
        found[id(lstm.kernel)] = kernel[:inputs]
        found[id(lstm.recurrent_kernel)] = kernel[inputs:]
        found[id(lstm.bias)] = split_gates(read(f"{name}/bias"))
    return found


def by_sequence(rows, batch):
    """`(time, particles * batch, ...)` to `(batch, time, particles, ...)`."""
    time, count = rows.shape[0], rows.shape[1] // batch
    parted = rows.reshape(time, count, batch, *rows.shape[2:])
    return np.moveaxis(parted, 2, 0)


def run(file, name, cell):
    """The bound `name` of a file, on its inputs, noise and ancestors.

    Returns:
        The `FilterResult`.
    """
    inputs = prepare(file)
    bound, noise = bound_and_noise(file, name)
    return bound(cell, noise=noise, **inputs)


def prepare(file):
    """Observations and lengths, batch first."""
    return {
        "observations": np.moveaxis(file["in/targets"], 0, 1).astype("float32"),
        "lengths": file["in/lengths"],
    }


def prepared(file, cell):
    """The same in the form that the cell reads."""
    return prepare_inputs(prepare(file), cell.center)


def bound_and_noise(file, name):
    """The bound of that name, and the file's noise in its form."""
    batch = int(file["cfg/B"])
    eps = file["in/eps"]
    if name == "elbo":
        return kf.ELBO(), {"latent": by_sequence(eps[:, :batch], batch)}
    noise = {"latent": by_sequence(eps, batch)}
    if name in ("iwae4", "fivo4_never"):
        return kf.IWAE(4), noise
    kind, criterion = name.split("4_")
    criterion = {"ess": "effective_sample_size"}.get(criterion, criterion)
    if kind == "relaxed":
        gumbel = file["in/gumbel"]  # (time, new, batch, old)
        noise["resampling"] = np.moveaxis(gumbel, 2, 0)
        scheme = kf.Relaxed(float(file["cfg/relaxed_temperature"]))
    else:
        noise["resampling"] = np.moveaxis(file[f"{name}/ancestors"], 2, 0)
        scheme = kf.Replay()
    return kf.FIVO(4, scheme, criterion), noise


def numpy(x):
    """A NumPy copy of a tensor."""
    return keras.ops.convert_to_numpy(x)
