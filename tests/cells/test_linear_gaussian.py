"""Linear Gaussian cells against exact answers."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from tests.reference.dense_gaussian import Dense, parameters
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

STEPS, BATCH, SIZE, FEATURES, CONTROLS = 6, 3, 2, 3, 2
LENGTHS = np.array([6, 4, 1], "int32")


def cell_of(per_step=True, controls=False, size=SIZE, **options):
    """A built cell, with the parameters of its chain."""
    values = parameters(STEPS, size, FEATURES, per_step)
    shapes = {"observations": (None, None, FEATURES)}
    if controls:
        generator = np.random.default_rng(6)
        for name, rows in (("transition", size), ("emission", FEATURES)):
            pushes = generator.standard_normal((rows, CONTROLS))
            values[f"{name}_controls"] = pushes
        shapes["controls"] = (None, None, CONTROLS)
    cell = kf.LinearGaussianCell(size, values, **options)
    cell.build(shapes)
    return cell, values


def data(controls=False, batch=BATCH):
    """Unequal lengths, missing steps and entries, junk where missing."""
    generator = np.random.default_rng(1)
    shape = (batch, STEPS, FEATURES)
    lengths = np.resize(LENGTHS, batch)
    mask = np.arange(STEPS)[:, None] < lengths[:, None, None]
    mask = np.repeat(mask, FEATURES, -1)
    mask[0, [1, 2]] = False
    mask[0, 4, 0] = mask[1, 0, -1] = False
    found = {
        "observations": generator.standard_normal(shape).astype("float32"),
        "mask": mask,
        "lengths": lengths,
    }
    found["observations"][~mask] = 1e3
    if controls:
        found["controls"] = generator.standard_normal(
            (batch, STEPS, CONTROLS)
        ).astype("float32")
    return found


def dense_of(values, controls=None):
    values = dict(values)
    for name in ("transition", "emission"):
        pushes = values.pop(f"{name}_controls", None)
        if pushes is not None:
            pushed = controls @ pushes.T
            pushed = pushed[1:] if name == "transition" else pushed
            key = f"{name}_offset"
            values[key] = values[key] + pushed
    return Dense(values, STEPS)


@pytest.mark.parametrize("controls", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
def test_its_exact_answers_are_those_of_one_big_normal(per_step, controls):
    cell, values = cell_of(per_step, controls)
    arguments = data(controls)
    found = cell.exact(arguments)
    for b in range(BATCH):
        dense = dense_of(values, arguments.get("controls", [None] * 3)[b])
        x, mask = arguments["observations"][b], arguments["mask"][b]
        np.testing.assert_allclose(
            numpy(found.log_evidence)[b], dense.log_evidence(x, mask), rtol=1e-5
        )
        means, covs = dense.marginals(*dense.posterior(x, mask))
        np.testing.assert_allclose(
            numpy(found.smoothed_means)[b], means, rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            numpy(found.smoothed_covariances)[b], covs, rtol=1e-4, atol=1e-4
        )
        means, covs = dense.marginals(*dense.posterior(x, mask, 3))
        np.testing.assert_allclose(
            numpy(found.filtered_means)[b, 2], means[2], rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            numpy(found.filtered_covariances)[b, 2],
            covs[2],
            rtol=1e-4,
            atol=1e-4,
        )


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("per_step", "controls", "size", "bound"),
    [
        (True, True, 2, kf.IWAE(3)),
        (False, False, 2, kf.ELBO()),
        (True, False, 1, kf.IWAE(2)),
        (False, True, 4, kf.ELBO(3)),
    ],
)
def test_exact_smoothing_gives_the_log_evidence(
    per_step, controls, size, bound
):
    """Whatever the noise, each weight is the evidence itself."""
    cell, _ = cell_of(per_step, controls, size=size, proposal="exact_smoothing")
    arguments = data(controls)
    expected = numpy(cell.exact(arguments).log_evidence)
    result = bound(cell, seed=1, **arguments)
    np.testing.assert_allclose(
        numpy(result.log_evidence), expected, rtol=1e-4, atol=1e-4
    )
    last = numpy(result.log_weights)[:, -1]
    np.testing.assert_allclose(
        last, np.repeat(expected[:, None], last.shape[1], 1), rtol=1e-4
    )
    assert np.isfinite(numpy(result.kl)).all()


def test_its_gradient_under_exact_smoothing_is_that_of_the_log_evidence():
    cell, _ = cell_of(True, True, proposal="exact_smoothing")
    arguments = data(True)
    bound = kf.IWAE(2)
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    variables = cell.trainable_variables
    assert len(variables) == 10
    by_bound = gradients(
        lambda: ops.sum(bound(cell, noise=noise, **arguments).log_evidence),
        variables,
    )
    exact = gradients(
        lambda: ops.sum(cell.exact(arguments).log_evidence), variables
    )
    for variable, mine, right in zip(variables, by_bound, exact, strict=True):
        assert np.abs(right).max() > 1e-4, variable.path
        np.testing.assert_allclose(
            mine, right, rtol=1e-2, atol=1e-3, err_msg=variable.path
        )


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("bound", "proposal"),
    [
        (kf.ELBO(), "transition"),
        (kf.IWAE(4), "transition"),
        (kf.FIVO(4, "multinomial"), "transition"),
        (kf.FIVO(8), "exact_filtering"),
        (kf.FIVO(4, "stratified", "always"), "filtering"),
    ],
)
def test_bounds_lie_below_the_evidence_and_their_estimates_are_unbiased(
    bound, proposal
):
    """Means over 3,000 noises of one sequence with missing entries."""
    count = 3000
    if proposal == "filtering":
        proposal = kf.FilteringProposal([], min_scale=1.5)
    cell, _ = cell_of(proposal=proposal)
    for weight in cell.proposal.trainable_variables:
        # Near the transition, and wider: no weight is large.
        weight.assign(0.1 * weight)
    arguments = {name: x[:1] for name, x in data().items()}
    exact = numpy(cell.exact(arguments).log_evidence)[0]
    arguments = {
        name: np.repeat(x, count, axis=0) for name, x in arguments.items()
    }
    gaps = numpy(bound(cell, seed=5, **arguments).log_evidence) - exact
    assert gaps.mean() <= 3 * gaps.std() / count**0.5
    assert gaps.mean() < -0.005
    if not isinstance(bound, kf.ELBO):
        ratios = np.exp(gaps)
        assert abs(ratios.mean() - 1) < 4 * ratios.std() / count**0.5


@pytest.mark.one_backend
@pytest.mark.slow
def test_more_particles_close_the_gap():
    cell, _ = cell_of()
    arguments = {name: np.repeat(x[:1], 300, 0) for name, x in data().items()}
    exact = numpy(cell.exact(arguments).log_evidence)
    gaps = []
    for particles in (1, 4, 16, 64):
        result = kf.FIVO(particles)(cell, seed=2, **arguments)
        gaps.append((exact - numpy(result.log_evidence)).mean())
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 8 * gaps[3] > 0


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "proposal",
    ["transition", "exact_filtering", "linear_filtering", "linear_smoothing"],
)
def test_pieces_give_the_same_as_the_whole(proposal):
    """Steps count from where the sequence began, in every sequence."""
    if proposal == "linear_filtering":
        proposal = kf.LinearFilteringProposal(STEPS)
    elif proposal == "linear_smoothing":
        proposal = kf.LinearSmoothingProposal(STEPS)
    cell, _ = cell_of(True, True, proposal=proposal)
    if isinstance(proposal, kf.LinearSmoothingProposal):
        # What it reads of later pieces no piece has.
        piece = np.array([0, 1, 1, 1, 2, 2])
        same = piece[:, None] == piece[None, :]
        kernel = cell.proposal.data_kernel
        seen = same[np.triu(np.ones_like(same))][:, None, None]
        kernel.assign(numpy(kernel.value) * seen)
    arguments, bound = data(True), kf.FIVO(4)
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    whole = bound(cell, noise=noise, **arguments)
    state = None
    for start, end in ((0, 1), (1, 4), (4, 6)):
        lengths = np.clip(LENGTHS, start, end) - start
        part = {
            name: lengths if name == "lengths" else x[:, start:end]
            for name, x in arguments.items()
        }
        own = {name: x[:, start:end] for name, x in noise.items()}
        result = bound(cell, noise=own, state=state, **part)
        state = result.state
    np.testing.assert_allclose(
        numpy(result.log_evidence), numpy(whole.log_evidence), rtol=1e-4
    )


@pytest.mark.parametrize("per_step", [False, True])
def test_generated_steps_are_those_of_the_chain(per_step):
    cell, _ = cell_of(per_step, True)
    generator = np.random.default_rng(2)
    controls, latent, emission = (
        ops.convert_to_tensor(
            generator.standard_normal((BATCH, STEPS, size)).astype("float32")
        )
        for size in (CONTROLS, SIZE, FEATURES)
    )
    expected = kf.linear_gaussian.sample_prior(
        cell.chain(controls), latent[:, :, None], emission[:, :, None]
    )
    states = cell.get_initial_state(BATCH)
    for t in range(STEPS):
        past = cell.past_features({}, controls[:, t])
        noise = {"latent": latent[:, t], "emission": emission[:, t]}
        step = ops.full((BATCH,), t, "int32")
        found, states = cell.generate(states, past, step, noise)
        for name, right in zip(
            ("latents", "observations"), expected, strict=True
        ):
            np.testing.assert_allclose(
                numpy(found[name]),
                numpy(right)[:, t, 0],
                rtol=1e-4,
                atol=1e-4,
            )


PROPOSALS = {
    "filtering": "filtering",
    "smoothing": "smoothing",
    "linear filtering": kf.LinearFilteringProposal(STEPS),
    "linear smoothing": kf.LinearSmoothingProposal(STEPS),
}


@pytest.mark.parametrize("name", PROPOSALS)
def test_learned_proposals_have_a_gradient_to_every_weight(name):
    config = keras.saving.serialize_keras_object(PROPOSALS[name])
    proposal = keras.saving.deserialize_keras_object(config)
    cell, _ = cell_of(proposal=proposal, fixed=True)
    arguments, bound = data(), kf.FIVO(4)
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    variables = cell.trainable_variables
    found = gradients(
        lambda: ops.sum(bound(cell, noise=noise, **arguments).log_evidence),
        variables,
    )
    assert len(variables) == {"filtering": 4, "smoothing": 7}.get(name, 4)
    for variable, gradient in zip(variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 1e-4, variable.path


@pytest.mark.parametrize("future", [False, True])
def test_linear_proposals_are_linear_in_what_they_may_see(future):
    kind = kf.LinearSmoothingProposal if future else kf.LinearFilteringProposal
    cell, _ = cell_of(proposal=kind(STEPS))
    proposal = cell.proposal
    generator = np.random.default_rng(8)
    for weight in proposal.weights:
        weight.assign(0.5 * generator.standard_normal(weight.shape))
    arguments, bound = data(), kf.ELBO()
    noise = bound.draw(cell, STEPS, BATCH, seed=3)
    found = numpy(bound(cell, noise=noise, **arguments).latents)[:, :, 0]
    seen = np.where(arguments["mask"], arguments["observations"], 0.0)
    weights = {w.name: numpy(w.value) for w in proposal.weights}
    eps = numpy(noise["latent"])[:, :, 0]
    for b, length in enumerate(LENGTHS):
        pairs = iter(weights["data_kernel"])
        for t in range(length):
            mean = weights["bias"][t].copy()
            if future:
                kernels = [next(pairs) for _ in range(t, STEPS)]
                for s, kernel in zip(range(t, length), kernels, strict=False):
                    mean += seen[b, s] @ kernel
            else:
                mean += seen[b, t] @ weights["data_kernel"][t]
            if t:
                mean += found[b, t - 1] @ weights["latent_kernel"][t - 1]
            spread = np.exp(0.5 * weights["log_variance"][t])
            np.testing.assert_allclose(
                found[b, t], mean + spread * eps[b, t], rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize(
    "make",
    [
        lambda: cell_of(True, True, proposal="exact_filtering")[0],
        lambda: cell_of(False, fixed=["transition_matrix"], min_scale=0.01)[0],
        lambda: built(kf.GHMMCell([0.5, 0.7], [1, 2, 3], 1.5, 0.1), 1),
        lambda: built(kf.GHMMCell(fixed=(), proposal="smoothing"), 1),
    ],
)
def test_its_configuration_rebuilds_it(make):
    cell = make()
    config = keras.saving.serialize_keras_object(cell)
    twin = keras.saving.deserialize_keras_object(config)
    assert keras.saving.serialize_keras_object(twin) == config
    shapes = {"observations": (None, None, cell.observation_dim)}
    if cell.control_dim:
        shapes["controls"] = (None, None, cell.control_dim)
    twin.build(shapes)
    chain_only = cell.chain_weights.weights, twin.chain_weights.weights
    for mine, theirs in zip(*chain_only, strict=True):
        assert mine.trainable == theirs.trainable
        if "emission_matrix" in cell.get_config().get("parameters", ()):
            np.testing.assert_array_equal(
                numpy(mine.value), numpy(theirs.value)
            )


def built(cell, features):
    cell.build((None, None, features))
    return cell


def test_steps_beyond_the_parameters_take_the_last_ones():
    long = built(kf.GHMMCell([0.5] + [0.7] * 4, 1.0, 1.0, [1.0] + [2.0] * 5), 1)
    short = built(kf.GHMMCell([0.5, 0.7], 1.0, 1.0, [1.0, 2.0]), 1)
    x = np.random.default_rng(0).standard_normal((2, 6, 1)).astype("float32")
    bound = kf.IWAE(3)
    noise = bound.draw(long, 6, 2, seed=1)
    for found in (
        [numpy(cell.exact(x).log_evidence) for cell in (long, short)],
        [
            numpy(bound(cell, x, noise=noise).log_evidence)
            for cell in (long, short)
        ],
    ):
        np.testing.assert_allclose(*found, rtol=1e-6)


def test_wrong_settings_are_refused():
    def make(*arguments, features=1, **options):
        kf.LinearGaussianCell(*arguments, **options).build(
            (None, None, features)
        )

    for settings, options, received in (
        ((1, {"matrix": 1}), {}, r"Received: parameters with \['matrix'\]"),
        ((1,), {"fixed": ["all"]}, r"Received: fixed with \['all'\]"),
        ((2, {"initial_mean": [1.0]}), {}, r"Received: shape=\(1,\)"),
        (
            (1, {"emission_covariance": [[-1.0]]}),
            {},
            r"Received: emission_covariance=\[\[-1",
        ),
        (
            (1, {"emission_covariance": [[1e-8]]}),
            {},
            r"Received: min_scale=0.001",
        ),
        (
            (1, {"emission_controls": [[1.0]]}),
            {},
            "Received: data without",
        ),
    ):
        with pytest.raises(ValueError, match=received):
            make(*settings, **options)
    with pytest.raises(TypeError, match="Received: parameters=3"):
        make(1, 3)
    with pytest.raises(ValueError, match="Received: transition_variance=0"):
        kf.GHMMCell(transition_variance=0)
    with pytest.raises(ValueError, match="Received: num_steps=0"):
        kf.LinearFilteringProposal(0)


@pytest.mark.one_backend
def test_proposals_refuse_cells_that_are_not_theirs():
    x = np.zeros((1, 3, 2), "float32")
    cell = kf.SRNNCell(2, proposal="exact_filtering")
    cell.build((None, None, 2))
    with pytest.raises(TypeError, match="Received: a cell whose past has"):
        kf.ELBO()(cell, x)
    cell = kf.SRNNCell(2, proposal=kf.LinearFilteringProposal(3))
    with pytest.raises(ValueError, match="Received: context of sizes"):
        cell.build((None, None, 2))
    cell = built(kf.GHMMCell(proposal=kf.LinearSmoothingProposal(2)), 1)
    with pytest.raises(ValueError, match="Received: sequences of 3 steps"):
        kf.ELBO()(cell, x[:, :, :1])
    model = kf.LatentSequenceModel(cell)
    state = model.filter(x[:, :2, :1]).state
    with pytest.raises(ValueError, match="Received: sequences of 3 steps"):
        model.filter(x[:, 2:, :1], state=state)
