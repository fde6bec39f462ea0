"""The Gaussian chain gives the numbers of the original."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

CHAINS = [
    "T2_unit",
    "T3_var0.1",
    "T5_vector",
    "T10_vector",
    "T4_unittest",
    "T20_var0.1",
]
SOME = ["T2_unit", "T5_vector", "T10_var0.1", "T4_unittest"]
BOUNDED = ["T5_var0.1", "T5_vector", "T10_var0.1", "T4_unittest", "T2_unit"]
CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def chain(file, name, proposal="transition"):
    """A built `GHMMCell` with the parameters of a chain, and their number."""
    steps = int(file[f"{name}/num_timesteps"])
    cell = kf.GHMMCell(
        file[f"{name}/transition_weights"],
        file[f"{name}/transition_variances"],
        file[f"{name}/emission_weights"],
        file[f"{name}/emission_variances"],
        proposal=proposal(steps) if callable(proposal) else proposal,
    )
    cell.build((None, None, 1))
    return cell, steps


def batch_first(x):
    """`(time, batch)` to `(batch, time, 1)`."""
    return np.moveaxis(x, 0, 1)[..., None].astype("float32")


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_is_that_of_the_original(golden, name):
    """Log evidence, and means and covariances of all latents and data."""
    file = golden("ghmm_exact")
    cell, steps = chain(file, name)
    found = cell.exact(batch_first(file[f"{name}/xs"]))
    np.testing.assert_allclose(
        numpy(found.log_evidence), file[f"{name}/log_likelihood"], rtol=2e-5
    )
    noise = np.eye(2 * steps, dtype="float32").reshape(-1, steps, 2)
    noise = noise.swapaxes(0, 1)[None]
    latents, data = kf.linear_gaussian.sample_prior(
        cell.chain(), noise[..., :1], noise[..., 1:]
    )
    latents = numpy(latents)[0, :, :, 0]
    data = numpy(data)[0, :, :, 0]
    for left, right, own in (
        (latents, latents, "sigma_z"),
        (data, data, "sigma_x"),
        (latents, data, "sigma_zx"),
    ):
        np.testing.assert_allclose(
            left @ right.T, file[f"{name}/{own}"], **CLOSE
        )


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("kind", ["filtering", "smoothing"])
def test_exact_proposals_are_those_of_the_original(golden, name, kind):
    file = golden("ghmm_exact")
    cell, _ = chain(file, name, f"exact_{kind}")
    found = proposals_at(cell, file[f"{name}/xs"], file[f"{name}/z_prev"])
    for field, value in zip(("mean", "var"), found, strict=True):
        np.testing.assert_allclose(
            value, file[f"{name}/{kind}_{field}"], **CLOSE
        )


def proposals_at(cell, xs, previous):
    """Mean and variance of q(z_t | z_prev, ...), `(time, batch)` each."""
    steps, batch = xs.shape
    inputs = {
        "observations": xs[..., None].astype("float32"),
        "observed": np.ones((steps, batch), bool),
        "active": np.ones((steps, batch), bool),
    }
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    past, present, _ = cell.encode(inputs, {})
    times = np.repeat(np.arange(steps, dtype="int32")[:, None], batch, 1)
    past = {**past, "step": ops.convert_to_tensor(times)}
    ahead = cell.look_ahead(past, present, inputs)
    latent = ops.convert_to_tensor(previous[:, None].astype("float32"))
    means, variances = [], []
    for t in range(steps):
        now = keras.tree.map_structure(lambda x, t=t: x[t], ahead)
        q = cell.proposal.distribution([latent], now, None)
        means.append(numpy(q.loc)[:, 0])
        variances.append(numpy(q.scale)[:, 0] ** 2)
    return np.array(means), np.array(variances)


@pytest.mark.parametrize("name", SOME)
def test_messages_of_the_future_are_those_of_the_original(golden, name):
    """log p(x_k:T | z_{k-1}), and the messages into z_k as Normals."""
    file = golden("ghmm_exact")
    cell, steps = chain(file, name)
    xs = ops.convert_to_tensor(file[f"{name}/xs"].astype("float32"))[..., None]
    parameters = cell.chain().steps(steps)
    seen = kf.linear_gaussian.observation_messages(
        parameters, xs, ops.ones_like(xs, dtype="bool")
    )
    _, future = numpy(kf.linear_gaussian.backward_messages(parameters, seen))
    z = file[f"{name}/z_prev"]
    for k in range(1, steps):
        root = future["root"][k - 1, ..., 0]
        residual = root * z[:, None] - future["target"][k - 1]
        log_density = future["log_constant"][k - 1] - 0.5 * np.sum(
            residual**2, -1
        )
        np.testing.assert_allclose(
            log_density, file[f"{name}/lookahead_t{k}_logprob"], rtol=1e-4
        )


def bound_of(file, name, bound):
    eps = np.moveaxis(file[f"{name}/eps"], 0, 1)
    steps = eps.shape[1]
    # Particle-major columns: particle n of sequence b is n * 3 + b.
    parted = np.moveaxis(eps.reshape(4, 3, steps), 0, 2)[..., None]
    if bound == "elbo":
        return kf.ELBO(), {"latent": parted[:, :, :1]}
    if bound == "iwae4":
        return kf.IWAE(4), {"latent": parted}
    criterion = bound.removeprefix("fivo4_")
    criterion = {"ess": "effective_sample_size"}.get(criterion, criterion)
    ancestors = np.moveaxis(file[f"{name}/{bound}/ancestors"], 2, 0)
    return kf.FIVO(4, kf.Replay(), criterion), {
        "latent": parted,
        "resampling": ancestors,
    }


BOUNDS = ["elbo", "iwae4", "fivo4_ess", "fivo4_always"]
PROPOSALS = {
    "prior": "transition",
    "true-filtering": "exact_filtering",
    "filtering": kf.LinearFilteringProposal,
}


CASES = [("T5_vector", bound) for bound in BOUNDS]
CASES += [(name, "fivo4_ess") for name in BOUNDED if name != "T5_vector"]


@pytest.mark.parametrize(("name", "bound"), CASES)
@pytest.mark.parametrize("proposal", PROPOSALS)
def test_bounds_equal_the_original(golden, proposal, name, bound):
    file = golden(f"ghmm_bounds_{proposal}")
    cell, _ = chain(golden("ghmm_exact"), name, PROPOSALS[proposal])
    if proposal == "filtering":
        for attribute, value in from_file(file, f"{name}/w").items():
            getattr(cell.proposal, attribute).assign(value)
    setting, noise = bound_of(file, name, bound)
    observations = np.moveaxis(file[f"{name}/observations"], 0, 1)
    result = setting(cell, observations, noise=noise)
    np.testing.assert_allclose(
        numpy(result.log_evidence), file[f"{name}/{bound}/log_p_hat"], **CLOSE
    )
    np.testing.assert_allclose(
        np.moveaxis(numpy(result.log_weights), 0, 1),
        file[f"{name}/{bound}/log_weights"],
        **CLOSE,
    )
    if bound.startswith("fivo"):
        np.testing.assert_array_equal(
            numpy(result.resampled).T, file[f"{name}/{bound}/resampled"]
        )


def from_file(file, path):
    """Weights of the learned proposal, or their gradients, by attribute."""
    steps = sum(key.startswith(f"{path}/proposal_b_") for key in file.files)
    kernels = [file[f"{path}/proposal_w_{t}"] for t in range(steps)]
    found = {
        "data_kernel": np.stack([kernel[-1:] for kernel in kernels]),
        "latent_kernel": np.stack([kernel[:1] for kernel in kernels[1:]]),
    }
    for mine, theirs in (("bias", "b"), ("log_variance", "log_variance")):
        values = [file[f"{path}/proposal_{theirs}_{t}"] for t in range(steps)]
        found[mine] = np.stack(values)
    return found


@pytest.mark.parametrize("bound", BOUNDS)
def test_gradients_of_the_learned_proposal_equal_the_original(golden, bound):
    file, name = golden("ghmm_bounds_filtering"), "T5_vector"
    cell, steps = chain(golden("ghmm_exact"), name, kf.LinearFilteringProposal)
    for attribute, value in from_file(file, f"{name}/w").items():
        getattr(cell.proposal, attribute).assign(value)
    setting, noise = bound_of(file, name, bound)
    observations = np.moveaxis(file[f"{name}/observations"], 0, 1)
    expected = from_file(file, f"{name}/{bound}/grad")
    found = gradients(
        lambda: (
            -ops.mean(
                setting(cell, observations, noise=noise).log_evidence / steps
            )
        ),
        [getattr(cell.proposal, attribute) for attribute in expected],
    )
    for right, gradient in zip(expected.values(), found, strict=True):
        np.testing.assert_allclose(gradient, right, **CLOSE)
