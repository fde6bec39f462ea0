"""A proposal that is refined by the gradient of its free energy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo import backend
from keras_fivo.inputs import prepare_inputs
from keras_fivo.noise import Noise
from keras_fivo.proposals.updates import layer_normalized
from tests.reference.examples import randomize
from tests.reference.gaussian_chain import GaussianChain, ProposingChain
from tests.reference.gradients import gradients, value_and_gradients
from tests.reference.numpy_filter import normal_log_prob

DECAY, STEP, WEIGHT, NOISE = 0.8, 0.7, 1.5, 0.6  # of the chain, variances
STEPS, BATCH, PARTICLES = 4, 3, 2
LENGTHS = np.array([4, 2, 4], "int32")
numpy = keras.ops.convert_to_numpy


def chain(proposal="iterative", fixed=True):
    cell = kf.GHMMCell(DECAY, STEP, WEIGHT, NOISE, fixed, proposal)
    cell.build((None, None, 1))
    return cell


def data(seed=0):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((BATCH, STEPS, 1)).astype("float32")
    mask = np.ones((BATCH, STEPS), bool)
    mask[0, 1] = False
    return {"observations": x, "mask": mask, "lengths": LENGTHS}


def numpy_energy(mean, log_variance, prior, x, noise, weight):
    """The free energy of a step, and its gradient, from the equations."""
    scale = np.exp(0.5 * log_variance)
    z = mean + scale * noise
    kl = 0.5 * (
        np.exp(log_variance) / STEP
        + (mean - prior) ** 2 / STEP
        - 1
        - log_variance
        + np.log(STEP)
    )
    slope = -weight * (x - weight * z) / NOISE
    of_mean = slope + (mean - prior) / STEP
    of_log = 0.5 * (slope * scale * noise + np.exp(log_variance) / STEP - 1)
    energy = kl - normal_log_prob(x, weight * z, np.sqrt(NOISE))
    return energy, of_mean, of_log


def numpy_filter(x, mask, lengths, noise, rates, weight=WEIGHT):
    """IWAE whose proposal takes gradient steps; all in float64."""
    latent, inner = noise["latent"][..., 0], noise["proposal"][..., 0]
    log_weights = np.zeros((BATCH, PARTICLES))
    energies = np.zeros((BATCH, STEPS, PARTICLES, inner.shape[3]))
    for b in range(BATCH):
        z = np.zeros(PARTICLES)
        for t in range(lengths[b]):
            prior = DECAY * z if t else np.zeros(PARTICLES)
            mean, log_variance = prior, np.full(PARTICLES, np.log(STEP))
            value = x[b, t, 0]
            for k in range(inner.shape[3] if mask[b, t] else 0):
                energies[b, t, :, k], *slopes = numpy_energy(
                    mean, log_variance, prior, value, inner[b, t, :, k], weight
                )
                if k < inner.shape[3] - 1:
                    mean = mean - rates[0] * slopes[0]
                    log_variance = log_variance - rates[1] * slopes[1]
            scale = np.exp(0.5 * log_variance)
            z = mean + scale * latent[b, t]
            log_weights[b] += normal_log_prob(z, prior, np.sqrt(STEP))
            log_weights[b] -= normal_log_prob(z, mean, scale)
            if mask[b, t]:
                log_weights[b] += normal_log_prob(
                    value, weight * z, np.sqrt(NOISE)
                )
    return np.log(np.mean(np.exp(log_weights), -1)), energies


def float64(tree):
    return keras.tree.map_structure(lambda x: numpy(x).astype("float64"), tree)


@pytest.mark.parametrize("iterations", [1, 2])
def test_gradient_steps_equal_the_equations(iterations):
    update = kf.GradientUpdate(0.2)
    cell = chain(kf.IterativeProposal(iterations, update))
    bound, given = kf.IWAE(PARTICLES), data()
    noise = bound.draw(cell, STEPS, BATCH, seed=1)
    assert noise["proposal"].shape[2:] == (PARTICLES, iterations + 1, 1)
    result = bound(cell, noise=noise, **given)
    x, mask = given["observations"].astype("float64"), given["mask"]
    expected = numpy_filter(x, mask, LENGTHS, float64(noise), (0.2, 0.2))
    np.testing.assert_allclose(numpy(result.log_evidence), expected[0], 1e-4)
    np.testing.assert_allclose(
        numpy(result.free_energies), expected[1], 1e-4, 1e-5
    )


def test_learned_steps_start_as_plain_ones():
    """What random offsets would do to large gradients grows with each step."""
    rate = float(ops.sigmoid(-1.0)) * 0.5
    bound, given, found = kf.IWAE(PARTICLES), data(), []
    learned = kf.LearnedSGDUpdate([4], gate_bias=-1.0, gradient_scale=0.5)
    for update in (learned, kf.GradientUpdate(rate)):
        cell = chain(kf.IterativeProposal(2, update))
        noise = bound.draw(cell, STEPS, BATCH, seed=1)
        found.append(bound(cell, noise=noise, **given).free_energies)
    np.testing.assert_allclose(*map(numpy, found), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("second_order", [True, False])
def test_gradients_of_the_bound_flow_through_refinements(second_order):
    update = kf.GradientUpdate(0.2, learned=True)
    proposal = kf.IterativeProposal(2, update, second_order=second_order)
    cell = chain(proposal, fixed=())
    bound, given = kf.IWAE(PARTICLES), data()
    noise = bound.draw(cell, STEPS, BATCH, seed=1)
    (emission,) = [
        v for v in cell.trainable_variables if "emission_matrix" in v.path
    ]

    def loss():
        return ops.sum(bound(cell, noise=noise, **given).log_evidence)

    found = gradients(loss, [update.log_rates, emission])
    x, mask, size = given["observations"].astype("float64"), given["mask"], 1e-5

    def moved(rate=0.0, log_rate=0.0, weight=0.0):
        rates = 0.2 * np.exp([rate, log_rate])
        return numpy_filter(
            x, mask, LENGTHS, float64(noise), rates, WEIGHT + weight
        )[0].sum()

    slopes = [
        (moved(**{name: size}) - moved(**{name: -size})) / (2 * size)
        for name in ("rate", "log_rate", "weight")
    ]
    whole = np.allclose(found[1].ravel(), slopes[2], 1e-3)
    assert whole == second_order
    if second_order:
        np.testing.assert_allclose(found[0], slopes[:2], 1e-3)


def estimates(reuse, repeats=1500, particles=16):
    """Estimated over exact evidence of one sequence, many times."""
    limits = (-1.0, 1.5)  # for estimates whose variance is small
    proposal = kf.IterativeProposal(
        1, kf.HighwayUpdate([8]), log_variance_range=limits
    )
    cell = chain(proposal)
    randomize(cell, seed=3, size=0.3)
    x = np.array([[[1.5], [-0.4], [2.0], [0.3]]], "float32")
    bound = kf.FIVO(particles, scheme="multinomial")
    noise = numpy_tree(bound.draw(cell, STEPS, repeats, seed=2))
    if reuse:
        noise["latent"] = noise["proposal"][:, :, :, 0]
    many = np.repeat(x, repeats, axis=0)
    # Past the check of noise, which refuses what is reused.
    result = unchecked(bound, cell, many, noise)
    exact = numpy(cell.exact(x).log_evidence)
    return np.exp(numpy(result.log_evidence).astype("float64") - exact)


def numpy_tree(tree):
    return keras.tree.map_structure(lambda x: np.array(numpy(x)), tree)


def unchecked(bound, cell, x, noise):
    inputs = prepare_inputs(x, cell.center)
    return bound.run(cell, inputs, Noise.from_arrays(noise))


def test_the_evidence_is_unbiased_with_fresh_noise_alone():
    ratios = estimates(reuse=False)
    error = ratios.std() / np.sqrt(len(ratios))
    assert error < 0.02
    assert abs(ratios.mean() - 1) < 4 * error
    reused = estimates(reuse=True)
    error = reused.std() / np.sqrt(len(reused))
    assert abs(reused.mean() - 1) > 8 * error


CELLS = {
    "vrnn": lambda p: kf.VRNNCell(2, 3, proposal=p),
    "srnn": lambda p: kf.SRNNCell(2, 3, proposal=p),
    "linear": lambda p: kf.LinearGaussianCell(2, proposal=p),
    "user": lambda p: GaussianChain(1, proposal=p),
}
FORMS = {
    "joint": {"num_iterations": 2},
    "second": {"second_order": True, "update": "learned_sgd"},
    "em": {"objective": "em"},
}
EXAMPLES = [
    ("vrnn", "second"),
    ("srnn", "em"),
    pytest.param("user", "joint", marks=pytest.mark.one_backend),
]


def model_of(cell, form="joint", **options):
    proposal = kf.IterativeProposal(**FORMS[form])
    model = kf.LatentSequenceModel(CELLS[cell](proposal), seed=0, **options)
    model.compile(keras.optimizers.SGD(0.01))
    return model


def batch_of(cell, seed=0):
    generator = np.random.default_rng(seed)
    size = 1 if cell == "user" else 3
    x = (generator.random((2, 4, size)) < 0.5).astype("float32")
    mask = generator.random((2, 4, size)) < 0.7
    mask[0, 1] = False
    return {"observations": x, "mask": mask, "lengths": np.array([4, 3])}


@pytest.mark.parametrize(
    "emission", ["categorical", "autoregressive_bernoulli"]
)
def test_emissions_whose_samples_have_no_gradient_are_refined(emission):
    update = kf.GradientUpdate(0.1)
    proposal = kf.IterativeProposal(2, update)
    head = (
        kf.CategoricalHead(num_classes=3)
        if emission == "categorical"
        else emission
    )
    cell = kf.VRNNCell(2, 3, emission=head, proposal=proposal)
    x = batch_of("vrnn")["observations"]
    x = x[..., :1] if emission == "categorical" else x
    cell.build(x.shape)
    randomize(cell)
    bound = kf.IWAE(2)
    noise = numpy_tree(bound.draw(cell, 4, 2, seed=1))
    # On one noise for all evaluations small steps go down for certain.
    noise["proposal"] = np.repeat(noise["proposal"][:, :, :, :1], 3, axis=3)
    energies = numpy(bound(cell, x, noise=noise).free_energies)
    assert np.diff(energies).sum((0, 1, 2)).max() < -1e-4


@pytest.mark.parametrize(("cell", "form"), EXAMPLES)
def test_every_cell_trains_evaluates_and_filters(cell, form, tmp_path):
    bound = kf.ELBO(analytic_kl=True) if form == "em" else kf.FIVO(2)
    model, given = model_of(cell, form, bound=bound), batch_of(cell)
    history = model.fit(given, verbose=0).history
    assert history["skipped_updates"] == [0]
    assert np.isfinite(history["loss"]).all()
    logs = model.evaluate(given, verbose=0, return_dict=True)
    assert np.isfinite(logs["free_energy_1"])
    if cell != "srnn":
        return
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    noise = bound.draw(model.cell, 4, 2, seed=1)
    first, second = (
        m.filter(given, noise=noise, bound=bound) for m in (model, loaded)
    )
    for field in ("log_evidence", "free_energies", "latents"):
        np.testing.assert_allclose(
            numpy(getattr(first, field)), numpy(getattr(second, field)), 1e-6
        )


def test_steps_in_a_stream_equal_the_whole():
    model = model_of("vrnn", bound=kf.FIVO(3))
    x = batch_of("vrnn")["observations"]
    model.build(x.shape)
    noise = numpy_tree(model.bound.draw(model.cell, 4, 2, seed=1))
    whole = model.filter(x, noise=noise)
    state, energies = None, []
    for t in range(4):
        now = {name: value[:, t : t + 1] for name, value in noise.items()}
        state, result = model.step(x[:, t], state, now)
        energies.append(numpy(result.free_energies)[:, 0])
    np.testing.assert_allclose(
        numpy(result.log_evidence), numpy(whole.log_evidence), 1e-5
    )
    np.testing.assert_allclose(
        np.stack(energies, 1), numpy(whole.free_energies), 1e-4, 1e-5
    )


def test_missing_steps_leave_it_at_the_transition():
    # Latents of two entries, whose transition has a full covariance.
    model = model_of("linear", bound=kf.FIVO(3))
    given = batch_of("linear")
    given["mask"] = np.zeros((2, 4), bool)
    model.build(given["observations"].shape)
    randomize(model.cell)
    result = model.filter(given)
    np.testing.assert_allclose(numpy(result.log_evidence), 0.0, atol=1e-5)
    np.testing.assert_allclose(numpy(result.kl), 0.0, atol=1e-5)
    assert not numpy(result.free_energies).any()


def test_inputs_without_deviation_give_no_gradient():
    weights = ops.convert_to_tensor([1.0, 5.0, -2.0])

    def total(x):
        return ops.sum(layer_normalized(x) * weights)

    equal, other = (
        backend.value_and_grad(total, ops.convert_to_tensor([x]))
        for x in ([0.3, 0.3, 0.3], [1.0, 2.0, 6.0])
    )
    assert float(numpy(equal[0])) == 0
    assert not numpy(equal[1]).any()
    expected = np.array([-2, -1, 3]) / np.std([1, 2, 6], ddof=1)
    np.testing.assert_allclose(
        numpy(other[0]), expected @ [1, 5, -2], rtol=1e-5
    )
    assert numpy(other[1]).any()


def test_each_particle_refines_its_own():
    model = model_of("srnn", bound=kf.IWAE(3))
    given = batch_of("srnn")
    model.build(given["observations"].shape)
    noise = numpy_tree(model.bound.draw(model.cell, 4, 2, seed=1))
    whole = numpy(model.filter(given, noise=noise).latents)
    single = {name: value[:, :, 1:2] for name, value in noise.items()}
    alone = model.filter(given, noise=single, bound=kf.IWAE(1))
    np.testing.assert_allclose(
        numpy(alone.latents)[:, :, 0], whole[:, :, 1], 1e-4, 1e-5
    )


def test_every_weight_gets_a_gradient():
    update = kf.HighwayUpdate(
        [4], reads="observation", normalize_mean=True, gate_bias=1.0
    )
    proposal = kf.IterativeProposal(2, update, start="filtering")
    cell = kf.SRNNCell(3, 4, proposal=proposal)
    given = batch_of("srnn")
    cell.build(given["observations"].shape)
    randomize(cell)
    bound = kf.IWAE(2)
    noise = bound.draw(cell, 4, 2, seed=1)

    def loss():
        return ops.sum(bound(cell, noise=noise, **given).log_evidence)

    variables = cell.trainable_variables
    for variable, found in zip(
        variables, gradients(loss, variables), strict=True
    ):
        assert np.any(found), variable.path


def test_the_weight_of_kl_divergences_grows():
    weight = kf.KLWarmUp(6, power=2, every=2)
    found = [float(weight(n)) for n in range(8)]
    expected = [0, 0, 1 / 9, 1 / 9, 4 / 9, 4 / 9, 1, 1]
    np.testing.assert_allclose(found, expected, 1e-6)
    cell, given = chain("exact_filtering"), data()
    for analytic in (True, False):
        bound = kf.ELBO(2, analytic_kl=analytic)
        inputs = [
            unweighted(bound, cell, given, w) for w in (None, 1.0, 0.5, 0.0)
        ]
        np.testing.assert_allclose(inputs[0], inputs[1], 1e-5)
        np.testing.assert_allclose(
            inputs[2], (inputs[1] + inputs[3]) / 2, 1e-4, 1e-5
        )


def unweighted(bound, cell, given, weight):
    inputs = prepare_inputs(given, cell.center)
    found = bound.run(cell, inputs, seed=3, kl_weight=weight)
    return numpy(found.log_evidence)


def test_settings_survive_their_configuration():
    update = kf.LearnedSGDUpdate([3, 4], "tanh", False, "encoding", 2.0)
    proposal = kf.IterativeProposal(
        3, update, "filtering", "em", log_variance_range=(-3, 2)
    )
    copy = kf.IterativeProposal.from_config(proposal.get_config())
    assert copy.get_config() == proposal.get_config()
    assert isinstance(copy.start, kf.FilteringProposal)
    assert copy.update.reads == "encoding"


@pytest.mark.parametrize("reused", ["noise", "seed"])
def test_noise_that_would_be_used_twice_is_refused(reused):
    cell, bound, given = chain(), kf.IWAE(PARTICLES), data()
    noise, seed = numpy_tree(bound.draw(cell, STEPS, BATCH, seed=1)), None
    if reused == "noise":
        noise["latent"] = noise["proposal"][:, :, :, 1]
    else:
        seed = 3
    with pytest.raises(ValueError, match=r"apart from|seed=3"):
        bound(cell, noise=noise, seed=seed, **given)


class LaplaceChain(GaussianChain):
    def transition_distribution(self, context):
        return kf.Laplace(context, ops.ones_like(context))

    def initial_distribution(self, past):
        return None


class ProposingLaplace(LaplaceChain, ProposingChain):
    """A transition and a proposal without a divergence in closed form."""


def test_an_elbo_in_closed_form_needs_normals():
    cell = ProposingLaplace(1)
    cell.build((None, None, 1))
    bound = kf.ELBO(analytic_kl=True)
    with pytest.raises(TypeError, match="closed form between Normals"):
        bound(cell, np.zeros((1, 2, 1), "float32"), seed=0)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: kf.IterativeProposal(0), ValueError, "num_iterations=0"),
        (lambda: kf.IterativeProposal(1, "adam"), ValueError, "update='adam'"),
        (lambda: kf.GradientUpdate(-1.0), ValueError, "rate=-1.0"),
        (
            lambda: kf.IterativeProposal(start=kf.IterativeProposal()),
            ValueError,
            "not iterative",
        ),
        (
            lambda: kf.IterativeProposal(objective="elbo"),
            ValueError,
            "objective='elbo'",
        ),
        (
            lambda: kf.IterativeProposal(objective="em", second_order=True),
            ValueError,
            "second_order=True",
        ),
        (
            lambda: kf.IterativeProposal(log_variance_range=(5, -15)),
            ValueError,
            "increasing",
        ),
        (lambda: kf.HighwayUpdate(reads="past"), ValueError, "reads='past'"),
        (lambda: kf.KLWarmUp(0), ValueError, "num_updates=0"),
        (
            lambda: kf.VRNNCell(
                2,
                recurrent=keras.layers.StackedRNNCells(
                    [keras.layers.GRUCell(2)]
                ),
                learned_initial_state=True,
            ).build((None, None, 1)),
            ValueError,
            "takes the first state",
        ),
        (
            lambda: kf.SRNNCell(2, transition="normal"),
            TypeError,
            "transition='normal'",
        ),
        (
            lambda: kf.LatentSequenceModel(chain(), kl_weight=-1.0),
            ValueError,
            "kl_weight=-1.0",
        ),
        (
            lambda: kf.LatentSequenceModel(
                LaplaceChain(1, proposal="iterative")
            ).filter(np.zeros((1, 2, 1))),
            TypeError,
            "of class Laplace",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    "cell_class",
    [pytest.param(kf.SRNNCell, marks=pytest.mark.one_backend), kf.VRNNCell],
)
def test_cells_with_parts_of_their_own_are_saved(cell_class, tmp_path):
    encoder = None
    if cell_class is kf.VRNNCell:
        encoder = kf.Network([3], kf.clipped_leaky_relu, True, name="own")
    transition = kf.NormalHead(
        hidden_units=[5],
        activation=kf.clipped_leaky_relu,
        scale_form="log_variance",
        max_scale=2.0,
        adaptive=False,
        name="transition",
    )
    cell = cell_class(
        2,
        3,
        proposal=kf.IterativeProposal(1, kf.HighwayUpdate([4])),
        data_encoder=encoder or False,
        latent_encoder=False,
        transition=transition,
        learned_initial_state=True,
    )
    model = kf.LatentSequenceModel(cell, kf.FIVO(2), seed=0)
    given = batch_of("srnn")
    model.build(given["observations"].shape)
    randomize(model.cell)
    noise = model.bound.draw(cell, 4, 2, seed=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    first, second = (m.filter(given, noise=noise) for m in (model, loaded))
    np.testing.assert_allclose(
        numpy(first.log_evidence), numpy(second.log_evidence), 1e-6
    )
    assert loaded.cell.get_config() == cell.get_config()


def numpy_adam(weights, slots, gradient, rate, count):
    """One step of Adam on lists of arrays, by its Algorithm 1."""
    moved = []
    for i, (weight, slope) in enumerate(zip(weights, gradient, strict=True)):
        slots[i][0] = 0.9 * slots[i][0] + 0.1 * slope
        slots[i][1] = 0.999 * slots[i][1] + 0.001 * slope**2
        mean = slots[i][0] / (1 - 0.9**count)
        spread = slots[i][1] / (1 - 0.999**count)
        moved.append(weight - rate * mean / (np.sqrt(spread) + 1e-8))
    return moved


def learning_chain(online):
    update = kf.LearnedSGDUpdate([3], reads="observation", gradient_scale=0.3)
    proposal = kf.IterativeProposal(
        2, update, objective="em", online=online, name="proposal"
    )
    cell = chain(proposal, fixed=())
    generator = np.random.default_rng(0)
    for variable in update.variables:
        value = 0.3 * generator.standard_normal(variable.shape)
        variable.assign(value.astype("float32"))
    return cell


def written_out_training_step(cell, given, noise, rate):
    """What online updates are: one filter for each time step, and Adam."""
    bound, update = kf.ELBO(PARTICLES), cell.proposal.update
    state, count, energies = bound.initial_state(cell, BATCH), 0, []
    moving = list(update.variables)
    ids = {id(v) for v in moving}
    others = [v for v in cell.trainable_variables if id(v) not in ids]
    weights = [numpy(v).astype("float64") for v in moving]
    slots = [[np.zeros(w.shape), np.zeros(w.shape)] for w in weights]
    generative = [np.zeros(v.shape) for v in others]

    def run(now, part, state):
        inputs = prepare_inputs(now, cell.center)
        return bound.run(cell, inputs, Noise.from_arrays(part), state)

    def own(*arguments):
        energies = run(*arguments).free_energies
        return ops.sum(cell.proposal.own_free_energy(energies))

    def loss(*arguments):
        # Each step's evidence is that of all steps so far.
        lengths = ops.cast(given["lengths"], "float32")
        return -ops.mean(run(*arguments).log_evidence / lengths)

    # What changes between steps must be an argument of what is compiled.
    everything = [*moving, *others]
    of_own = value_and_gradients(own, everything)
    of_loss = value_and_gradients(loss, everything)
    for t in range(STEPS):
        now = {
            "observations": given["observations"][:, t : t + 1],
            "mask": given["mask"][:, t : t + 1],
            "lengths": (t < given["lengths"]).astype("int32"),
        }
        part = {name: x[:, t : t + 1] for name, x in noise.items()}
        seen = (now["mask"][:, 0] & (now["lengths"] > 0)).sum()
        result = bound(cell, noise=part, state=state, **now)
        arguments = keras.tree.map_structure(
            ops.convert_to_tensor, (now, part, state)
        )
        slopes = of_own(*arguments)[1][: len(moving)]
        found = [x / (PARTICLES * max(seen, 1)) for x in slopes]
        for i, slope in enumerate(of_loss(*arguments)[1][len(moving) :]):
            generative[i] += slope
        energies.append(numpy(result.free_energies))
        state = keras.tree.map_structure(
            lambda x: ops.convert_to_tensor(numpy(x)), result.state
        )
        if seen:
            count += 1
            weights = numpy_adam(weights, slots, found, rate, count)
        for variable, weight in zip(moving, weights, strict=True):
            variable.assign(weight.astype("float32"))
    bounds = numpy(result.log_evidence) / given["lengths"]
    return weights, slots, generative, -bounds.mean(), energies


def test_online_updates_equal_those_written_out():
    """Unequal lengths, a step of no observations at all, two particles."""
    given, rate = data(), 0.05
    given["mask"][:, 2] = False
    cell = learning_chain(online=False)
    noise = kf.ELBO(PARTICLES).draw(cell, STEPS, BATCH, seed=1)
    model = kf.LatentSequenceModel(
        learning_chain(online=True), kf.ELBO(PARTICLES), seed=0
    )
    model.build((None, None, 1))
    model.compile(keras.optimizers.SGD(rate))
    online = model.cell
    before = [numpy(v) for v in online.trainable_variables]
    run = kf.ELBO.run

    def with_noise(self, cell, inputs, *_, **options):
        return run(self, cell, inputs, Noise.from_arrays(noise), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kf.ELBO, "run", with_noise)
        history = model.fit(
            given, batch_size=BATCH, shuffle=False, verbose=0
        ).history
    weights, slots, generative, loss, energies = written_out_training_step(
        cell, given, noise, rate
    )
    optimizer = online.proposal.optimizer
    for variable, weight in zip(
        online.proposal.update.variables, weights, strict=True
    ):
        np.testing.assert_allclose(numpy(variable), weight, 1e-3, 1e-4)
    moments = [numpy(x) for x in optimizer.moments]
    for found, slot in zip(moments[: len(slots)], slots, strict=True):
        np.testing.assert_allclose(found, slot[0], 1e-3, 1e-5)
    assert int(numpy(optimizer.count)) == 3
    np.testing.assert_allclose(history["loss"][0], loss, 1e-4)
    assert len(before) == len(generative) > 0
    for variable, old, slope in zip(
        online.trainable_variables, before, generative, strict=True
    ):
        np.testing.assert_allclose(
            numpy(variable), old - rate * slope, 1e-4, 1e-5
        )
        assert np.abs(slope).max() > 0
    first = np.concatenate(energies, axis=1)[..., 0].sum() / (
        given["lengths"].sum() * PARTICLES
    )
    np.testing.assert_allclose(history["free_energy_0"][0], first, 1e-4)


@pytest.mark.one_backend
def test_what_learns_online_is_saved_and_goes_on(tmp_path):
    model = kf.LatentSequenceModel(learning_chain(True), kf.ELBO(), seed=0)
    model.build((None, None, 1))
    model.compile(keras.optimizers.Adam(0.01))
    given = data()
    model.fit(given, batch_size=BATCH, verbose=0)
    update = model.cell.proposal.update
    assert not update.trainable_variables and update.variables
    moved = [numpy(v) for v in update.variables]
    model.evaluate(given, batch_size=BATCH, verbose=0)
    model.filter(given)
    for variable, old in zip(update.variables, moved, strict=True):
        np.testing.assert_array_equal(numpy(variable), old)
    model.save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    assert other.cell.proposal.online
    for one in (model, other):
        one.fit(given, batch_size=BATCH, shuffle=False, verbose=0)
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, 1e-5, 1e-6)
    assert int(numpy(other.cell.proposal.optimizer.count)) == 2 * STEPS


@pytest.mark.parametrize(
    ("settings", "received"),
    [
        ({"objective": "joint"}, "objective='joint'"),
        ({"start": "filtering"}, "start="),
    ],
)
def test_online_updates_are_refused_where_steps_have_no_gradient(
    settings, received
):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        kf.IterativeProposal(**{"objective": "em", "online": True} | settings)


def test_online_updates_need_weights_and_no_sample_weights():
    proposal = kf.IterativeProposal(1, "gradient", objective="em", online=True)
    with pytest.raises(ValueError, match=r"update with weights\. Received"):
        chain(proposal)
    model = kf.LatentSequenceModel(learning_chain(True), kf.ELBO(), seed=0)
    model.build((None, None, 1))
    model.compile(keras.optimizers.Adam(0.01))
    weighted = {**data(), "sample_weight": np.ones(BATCH, "float32")}
    with pytest.raises(ValueError, match="Received: sample_weight"):
        model.fit(weighted, batch_size=BATCH, verbose=0)
