"""The same numbers as the original, from its weights and noise."""

import pathlib

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference import original
from tests.reference.gradients import gradients

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared" / "golden"
FILES = ["vrnn_bernoulli_filtering", "vrnn_normal_prior"]
# Files of further settings, where they are.
FILES += sorted(
    path.stem for path in SHARED.glob("vrnn_*.npz") if path.stem not in FILES
)
BOUNDS = [
    "elbo",
    "iwae4",
    "fivo4_never",
    "fivo4_ess",
    "fivo4_always",
    "relaxed4_ess",
    "relaxed4_always",
]
numpy = original.numpy
every_file = pytest.mark.parametrize("name", FILES)
every_bound = pytest.mark.parametrize("bound", BOUNDS)


def close(mine, theirs, rtol=2e-5, atol=1e-5):
    np.testing.assert_allclose(numpy(mine), theirs, rtol=rtol, atol=atol)


@every_bound
@every_file
def test_bound_weights_and_decisions_equal_the_original(golden, name, bound):
    file = golden(name)
    result = original.run(file, bound, original.vrnn_from(file))
    close(result.log_evidence, file[f"{bound}/log_p_hat"], atol=0)
    steps, batch = file["in/inputs"].shape[:2]
    active = np.arange(steps)[:, None] < file["in/lengths"]
    resampled = file[f"{bound}/resampled"].astype(bool) & active
    np.testing.assert_array_equal(numpy(result.resampled).T, resampled)
    log_weights, ess = result.log_weights, result.effective_sample_size
    if result.log_twist is not None:  # the original leaves it in
        log_weights = log_weights + result.log_twist
        ess = kf.effective_sample_size(log_weights)
    log_weights = np.moveaxis(numpy(log_weights), 0, 1)
    close(log_weights[active], file[f"{bound}/log_weights"][active])
    close(
        np.log(numpy(ess).T[active]),
        file[f"{bound}/log_ess"][active],
        rtol=1e-4,
    )
    close(result.kl, file[f"{bound}/kl"], rtol=1e-4)
    latents = original.by_sequence(file[f"{bound}/step/z"], batch)
    close(numpy(result.latents)[active.T], latents[active.T])
    hidden, memory = result.state["particles"]["recurrent"]
    # The original runs on in the padding: the last states of full length.
    full = np.flatnonzero(file["in/lengths"] == steps)
    for mine, theirs in (
        (hidden, "rnn_h"),
        (memory, "rnn_c"),
        (result.state["particles"]["latent"], "latent_encoded"),
    ):
        final = original.by_sequence(
            file[f"{bound}/final/{theirs}"][None], batch
        )
        mine = numpy(mine).reshape(batch, *final.shape[2:])
        close(mine[full], final[full, 0])


@pytest.mark.parametrize(
    "bound", ["elbo", "iwae4", "fivo4_ess", "fivo4_always", "relaxed4_ess"]
)
@every_file
def test_gradients_equal_the_original(golden, name, bound):
    file = golden(name)
    cell = original.vrnn_from(file)
    variables = cell.trainable_variables
    lengths = keras.ops.convert_to_tensor(file["in/lengths"], "float32")

    def loss_per_step():
        evidence = original.run(file, bound, cell).log_evidence
        return -keras.ops.mean(evidence / lengths)

    close(loss_per_step(), file[f"{bound}/loss_per_t"], atol=0)
    found = dict(
        zip(
            (id(v) for v in variables),
            gradients(loss_per_step, variables),
            strict=True,
        )
    )
    expected = original.gradients(file, bound, cell)
    assert set(expected) == set(found)
    for variable in variables:
        theirs = expected[id(variable)]
        # Relative to the variable's largest: single entries may be near 0.
        np.testing.assert_allclose(
            found[id(variable)],
            theirs,
            rtol=1e-3,
            atol=max(1e-4 * np.abs(theirs).max(), 1e-6),
            err_msg=variable.path,
        )


def states_from(hidden, memory, latent):
    convert = keras.ops.convert_to_tensor
    return {
        "recurrent": [convert(hidden), convert(memory)],
        "latent": convert(latent),
    }


def step_inputs(file, cell, start, stop, copies, noise):
    """Inputs of the steps from `start` to `stop` as rows, time first.

    Rows of a step are in the file's order: particle by particle.
    """
    inputs = original.prepared(file, cell)
    past, present, _ = cell.encode(
        inputs, cell.initial_observed_state(len(file["in/lengths"]))
    )
    now = {
        "past": past,
        "present": cell.look_ahead(past, present, inputs),
        "observations": keras.ops.convert_to_tensor(file["in/targets"]),
        "observed": keras.ops.ones(file["in/targets"].shape[:2], "bool"),
    }

    def rows(x):
        x = numpy(x)[start:stop]
        x = np.concatenate([x] * copies, axis=1)
        return keras.ops.convert_to_tensor(x.reshape(-1, *x.shape[2:]))

    now = keras.tree.map_structure(rows, now)
    number = len(now["observed"])
    now["step"] = keras.ops.ones((number,), "int32")
    now["noise"] = keras.ops.convert_to_tensor(noise.reshape(number, -1))
    return now


def check_step(file, prefix, cell, now, states, keep=slice(None)):
    """Every quantity of one step, all rows at once."""
    result, after = cell.call(now, states)
    context = cell.recur(states, now["past"])
    transition = cell.transition_distribution(context)
    proposal = cell.proposal_distribution(context, now["present"], transition)
    emission = cell.emission_distribution(context, cell.embed(result.latent))
    found = {
        "z": result.latent,
        "log_q_z": result.log_proposal,
        "log_p_z": result.log_transition,
        "log_p_x_given_z": result.log_emission,
        "kl": result.kl,
        "prior_mu": transition.loc,
        "prior_sigma": transition.scale,
        "q_mu": proposal.loc,
        "q_sigma": proposal.scale,
        "rnn_h": after["recurrent"][0],
        "rnn_c": after["recurrent"][1],
        "rnn_out": context["hidden"],
        "latent_encoded": after["latent"],
    }
    if isinstance(emission, kf.Bernoulli):
        found["px_logits"] = emission.logits
    else:
        found["px_mu"], found["px_sigma"] = emission.loc, emission.scale
    for name, mine in found.items():
        x = file[f"{prefix}/{name}"]
        x = x.reshape(mine.shape)
        np.testing.assert_allclose(
            numpy(mine)[keep], x[keep], rtol=1e-4, atol=2e-5, err_msg=name
        )


@pytest.mark.parametrize("bound", ["elbo", "fivo4_always", "fivo4_ess"])
@every_file
def test_each_step_of_the_cell_equals_the_original(golden, name, bound):
    file = golden(name)
    cell = original.vrnn_from(file)
    steps, batch = file["in/inputs"].shape[:2]
    copies = file[f"{bound}/step/z"].shape[1] // batch
    noise = file["in/eps"][:, : copies * batch]
    now = step_inputs(file, cell, 0, steps, copies, noise)
    before = []
    for part in ("rnn_h", "rnn_c", "latent_encoded"):
        after = file[f"{bound}/step/{part}"].copy()
        if f"{bound}/ancestors" in file.files:
            parents = file[f"{bound}/ancestors"] * batch + np.arange(batch)
            parents = parents.reshape(steps, -1, 1)
            after = np.take_along_axis(after, parents, 1)
        start = np.zeros_like(after[:1])
        rows = np.concatenate([start, after[:-1]])
        before.append(rows.reshape(-1, rows.shape[-1]))
    active = np.arange(steps)[:, None] < np.tile(file["in/lengths"], copies)
    check_step(
        file,
        f"{bound}/step",
        cell,
        now,
        states_from(*before),
        active.reshape(-1),
    )


@pytest.mark.parametrize(("case", "step"), [("zero_t0", 0), ("random_t2", 2)])
@every_file
def test_one_step_equals_the_original(golden, name, case, step):
    file = golden(name)
    cell = original.vrnn_from(file)
    batch = len(file["in/lengths"])
    noise = file["in/eps"][step, :batch]
    now = step_inputs(file, cell, step, step + 1, 1, noise)
    states = cell.get_initial_state(batch)
    if case == "random_t2":
        states = random_state(file)
    check_step(file, f"one_step/{case}", cell, now, states)


def random_state(file):
    names = ("rnn_h", "rnn_c", "latent_encoded")
    return states_from(*(file[f"one_step/random_state/{n}"] for n in names))


@every_file
def test_generating_a_step_equals_the_original(golden, name):
    file = golden(name)
    cell = original.vrnn_from(file)
    batch = len(file["in/lengths"])
    emission = {"bernoulli": "u_x", "normal": "eps_x"}
    noise = {
        "latent": file["sample_step/eps_z"],
        "emission": file[f"sample_step/{emission[str(file['cfg/emission'])]}"],
    }
    # Its inputs are the centred previous observations.
    previous = keras.ops.convert_to_tensor(file["in/inputs"][2])
    sampled, states = cell.generate(
        random_state(file),
        cell.past_features({"previous": previous}),
        keras.ops.ones((batch,), "int32"),
        keras.tree.map_structure(keras.ops.convert_to_tensor, noise),
    )
    close(sampled["latents"], file["sample_step/z"], rtol=1e-4)
    close(sampled["observations"], file["sample_step/x"], rtol=1e-4)
    close(states["recurrent"][0], file["sample_step/new_rnn_h"], rtol=1e-4)
    close(states["recurrent"][1], file["sample_step/new_rnn_c"], rtol=1e-4)
    close(states["latent"], file["sample_step/new_latent_encoded"], rtol=1e-4)
    if "sample_step/px_logits" in file.files:
        logits = file["sample_step/px_logits"]
        close(sampled["means"], 1 / (1 + np.exp(-logits)), rtol=1e-4)
    else:
        close(sampled["means"], file["sample_step/px_mu"], rtol=1e-4)


@every_file
def test_inputs_and_encodings_equal_the_original(golden, name):
    file = golden(name)
    cell = original.vrnn_from(file)
    inputs = original.prepared(file, cell)
    steps, batch = file["in/inputs"].shape[:2]
    _, present, observed = cell.encode(
        inputs, cell.initial_observed_state(batch)
    )
    active = np.arange(steps)[:, None] < file["in/lengths"]
    encoded = file["aux/targets_encoded"]
    close(numpy(present)[active], encoded[active], rtol=1e-4)
    last = file["in/lengths"] - 1
    centred = file["in/targets"][last, np.arange(batch)] - file["in/data_mean"]
    close(observed["previous"], centred)
    if hasattr(cell.proposal, "backward"):
        outputs = cell.proposal.backward.run(present, inputs["active"], True)
        expected = file["aux/reverse_rnn_out"]
        close(numpy(outputs)[active], expected[active], rtol=1e-4)
