"""Autoregressions whose regime is a Markov chain."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats

import keras_fivo as kf
from keras_fivo.testing import check_cell
from tests.reference.examples import numpy, randomize
from tests.reference.gradients import gradients

RNG = np.random.default_rng(0)
BATCH, STEPS, FEATURES, CONTROLS = 3, 5, 2, 2
LENGTHS = np.array([5, 3, 5], "int32")


def built(num_regimes=3, order=2, controls=True, **options):
    """A cell with random weights, centre and scale."""
    cell = kf.SwitchingCell(num_regimes, order, **options)
    shapes = {"observations": (None, None, FEATURES)}
    if controls:
        shapes["controls"] = (None, None, CONTROLS)
    cell.build(shapes)
    randomize(cell)
    cell.adapt(np.float32([0.5, -1.0]), np.float32([2.0, 0.7]))
    return cell


def irregular(controls=True):
    """Unequal lengths, and missing steps and entries that are NaN."""
    x = RNG.standard_normal((BATCH, STEPS, FEATURES)).astype("float32")
    mask = np.ones(x.shape, bool)
    mask[0, 1] = mask[2, 0, 1] = mask[2, 4, 0] = False
    found = {"observations": np.where(mask, x, np.nan), "mask": mask}
    found["lengths"] = LENGTHS
    if controls:
        shape = (BATCH, STEPS, CONTROLS)
        found["controls"] = RNG.standard_normal(shape).astype("float32")
    return found


def enumerated(cell, inputs):
    """Log evidence and smoothed probabilities: a sum over all paths."""
    known = cell.parameters()
    count, log_evidence, smoothed = cell.num_regimes, [], []
    for row, length in enumerate(LENGTHS):
        mask = inputs["mask"][row, :length]
        x = np.where(mask, inputs["observations"][row, :length], cell.center)
        before = np.repeat(numpy(cell.center)[None], cell.order, axis=0)
        whole = np.concatenate([before, x])
        joint = {}
        for path in itertools.product(range(count), repeat=int(length)):
            total = np.log(known["initial"][path[0]])
            for a, b in itertools.pairwise(path):
                total += np.log(known["transition"][a, b])
            for t, regime in enumerate(path):
                loc = known["intercept"][regime]
                for lag in range(cell.order):
                    past = whole[t + cell.order - 1 - lag]
                    loc = loc + known["coefficients"][regime, lag] * past
                if "controls" in inputs:
                    loc = loc + inputs["controls"][row, t] @ known["controls"]
                scale = known["scale"][regime]
                density = scipy.stats.norm.logpdf(x[t], loc, scale)
                total += density[mask[t]].sum()
            joint[path] = total
        log_evidence.append(scipy.special.logsumexp(list(joint.values())))
        marginal = np.zeros((length, count))
        for path, value in joint.items():
            for t, regime in enumerate(path):
                marginal[t, regime] += np.exp(value - log_evidence[-1])
        smoothed.append(marginal)
    return np.array(log_evidence), smoothed


@pytest.mark.parametrize(
    ("order", "controls"),
    [pytest.param(0, False, marks=pytest.mark.one_backend), (2, True)],
)
def test_exact_answers_are_those_of_a_sum_over_all_paths(order, controls):
    cell, inputs = built(order=order, controls=controls), irregular(controls)
    found = cell.exact(inputs)
    log_evidence, smoothed = enumerated(cell, inputs)
    np.testing.assert_allclose(
        numpy(found.log_evidence), log_evidence, 1e-4, 1e-4
    )
    for mine, theirs, length in zip(
        numpy(found.smoothed), smoothed, LENGTHS, strict=True
    ):
        np.testing.assert_allclose(mine[:length], theirs, 1e-3, 1e-4)
    # At the last step both know the same.
    np.testing.assert_allclose(
        numpy(found.filtered)[0, -1], smoothed[0][-1], 1e-3, 1e-4
    )


@pytest.mark.parametrize(
    "bound",
    [kf.ELBO(), pytest.param(kf.IWAE(2), marks=pytest.mark.one_backend)],
)
def test_without_resampling_bounds_are_exact_with_the_smoothing_proposal(bound):
    cell, inputs = built(proposal="exact_smoothing"), irregular()
    exact = numpy(cell.exact(inputs).log_evidence)
    inputs["observations"] = np.nan_to_num(inputs["observations"])
    for seed in (0, 1):
        found = bound(cell, **inputs, seed=seed)
        np.testing.assert_allclose(numpy(found.log_evidence), exact, 1e-4, 1e-4)
    if isinstance(bound, kf.ELBO):
        pairs = [
            gradients(lambda of=of: keras.ops.sum(of()), cell.trainable_weights)
            for of in (
                lambda: bound(cell, **inputs, seed=3).log_evidence,
                lambda: cell.exact(inputs).log_evidence,
            )
        ]
        for mine, theirs in zip(*pairs, strict=True):
            np.testing.assert_allclose(mine, theirs, 2e-3, 2e-4)


def test_the_filter_is_unbiased_and_its_weights_do_not_move_with_the_draw():
    """The same sequence many times; standard errors of their mean."""
    cell, inputs = built(), irregular()
    inputs["observations"] = np.nan_to_num(inputs["observations"])
    exact = numpy(cell.exact(inputs).log_evidence)[0]
    many = {k: np.repeat(x[:1], 2000, axis=0) for k, x in inputs.items()}
    found = kf.FIVO(4)(cell, **many, seed=0)
    first = numpy(found.log_weights)[:, 0]
    np.testing.assert_allclose(first, first[0, 0], 1e-4, 1e-4)
    ratios = np.exp(numpy(found.log_evidence) - exact)
    error = ratios.std() / np.sqrt(len(ratios))
    assert 1e-4 < error and abs(ratios.mean() - 1) < 4 * error
    gap = exact - numpy(found.log_evidence).mean()
    closer = exact - numpy(kf.FIVO(32)(cell, **many, seed=0).log_evidence)
    assert 0 < closer.mean() < 0.5 * gap


@pytest.mark.one_backend
def test_smoothing_gives_the_probabilities_of_regimes():
    cell, inputs = built(), irregular()
    exact = numpy(cell.exact(inputs).smoothed)
    model = kf.LatentSequenceModel(cell, kf.FIVO(2), seed=0)
    model.build({name: x.shape for name, x in inputs.items()})
    inputs["observations"] = np.nan_to_num(inputs["observations"])
    found = model.smooth(inputs, "backward", num_particles=1000, seed=0)
    means, samples = numpy(found.means), numpy(found.samples)
    assert set(np.unique(samples)) == {0.0, 1.0}
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(
            means[row, :length], exact[row, :length], atol=0.08
        )
    to_come = np.zeros((BATCH, 4, CONTROLS), "float32")
    forecast = model.forecast(inputs, 4, controls=to_come, seed=0)
    assert np.isfinite(numpy(forecast.samples)).all()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "options", [{"order": 0}, {"order": 2, "proposal": "exact_smoothing"}]
)
def test_the_cell_holds_to_the_contract(options):
    check_cell(
        kf.SwitchingCell(2, **options), RNG.standard_normal((2, 5, FEATURES))
    )


def test_one_hot_classes_are_drawn_by_their_probabilities():
    logits = np.log(np.float32([0.2, 0.0001, 0.7, 0.0999]))
    tensor = keras.ops.convert_to_tensor
    density = kf.OneHotCategorical(tensor(np.tile(logits, (1000, 1))))
    uniforms = (np.arange(1000, dtype="float32")[:, None] + 0.5) / 1000
    drawn = numpy(density.sample(tensor(uniforms)))
    assert np.array_equal(drawn.sum(1), np.ones(1000))
    np.testing.assert_allclose(drawn.mean(0), np.exp(logits), atol=2e-3)
    picked = (drawn * logits).sum(1)
    found = numpy(density.log_prob(tensor(drawn)))
    np.testing.assert_allclose(found, picked, 1e-5)
    np.testing.assert_allclose(numpy(density.mean)[0], np.exp(logits), 1e-5)
    assert numpy(density.mode)[0].tolist() == [0, 0, 1, 0]
    other = kf.OneHotCategorical(tensor(np.zeros((1000, 4), "float32")))
    expected = scipy.stats.entropy(np.exp(logits), np.full(4, 0.25))
    assert numpy(density.kl(other))[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"num_regimes": 0}, "num_regimes=0"),
        ({"order": -1}, "order=-1"),
        ({"persistence": 1.0}, "persistence=1.0"),
        ({"proposal": "smoothing"}, "proposal='smoothing'"),
    ],
)
def test_what_cannot_be_is_refused(options, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        kf.SwitchingCell(**options)
