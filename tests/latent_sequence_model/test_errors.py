"""Bad input: clear errors, before anything runs."""

import re

import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import (
    Batches,
    assert_same,
    model,
    weights,
)
from tests.reference.examples import CONTROLS, FEATURES, data, vrnn

X = data(controls=False)["observations"]


def _with(value, where=(1, 2, 0)):
    changed = X.copy()
    changed[where] = value
    return changed


BAD = {
    "rank": (X[0], "observations of shape (6, 3)"),
    "features": (X[..., :2], "observations of shape (3, 6, 2)"),
    "NaN": (_with(np.nan), "observations[1, 2, 0]=nan"),
    "infinite": (_with(np.inf), "observations[1, 2, 0]=inf"),
    "above one": (_with(1.5), ""),
    "below zero": (_with(-0.5), ""),
    "no sequence": (X[:0], "observations of shape (0, 6, 3)"),
    "no step": (X[:, :0], "observations of shape (3, 0, 3)"),
    "key": ({"observations": X, "masks": X}, "keys ['masks', 'observations']"),
    "no observations": ({"mask": X}, "keys ['mask']"),
    "mask": ({"observations": X, "mask": X[:, :2]}, "mask of shape (3, 2, 3)"),
    "too long": (
        {"observations": X, "lengths": [6, 7, 1]},
        "lengths=[6, 7, 1]",
    ),
    "negative": (
        {"observations": X, "lengths": [6, -1, 1]},
        "lengths=[6, -1, 1]",
    ),
    "fractions": (
        {"observations": X, "lengths": [6, 1.5, 1]},
        "lengths=[6.0, 1.5, 1.0]",
    ),
    "lengths": ({"observations": X, "lengths": [6]}, "lengths of shape (1,)"),
    "controls": (
        {"observations": X, "controls": np.zeros((3, 6, 1))},
        "controls of shape (3, 6, 1)",
    ),
}


@pytest.fixture(scope="module")
def made():
    return model()


@pytest.mark.parametrize("name", BAD)
def test_bad_observations_are_refused_before_training(made, name):
    bad, received = BAD[name]
    match = re.escape(f"Received: {received}")
    before = weights(made)
    for verb in (made.fit, made.evaluate, made.predict, made.filter):
        with pytest.raises(ValueError, match=match):
            verb(bad)
    with pytest.raises(ValueError, match=match):
        made.fit(X, validation_data=bad, verbose=0)
    with pytest.raises(ValueError, match=match):
        made.fit(Batches([bad]), verbose=0)
    with pytest.raises(ValueError, match=match):
        made.sample(2, prefix=bad)
    assert_same(weights(made), before, 0)


def test_what_a_mask_or_a_length_hides_may_be_anything(made):
    mask = np.ones((3, 6), bool)
    mask[1, 2] = False
    for bad in (_with(np.nan), _with(7.0)):
        result = made.filter({"observations": bad, "mask": mask})
        assert np.isfinite(np.asarray(result.log_evidence)).all()


def test_a_list_of_sequences_is_refused(made):
    with pytest.raises(TypeError, match="Received: a list of length 3"):
        made.fit(list(X))


def test_the_batch_that_builds_a_model_is_checked():
    cell = kf.VRNNCell(2, units=3, emission="bernoulli")
    bare = kf.LatentSequenceModel(cell, kf.ELBO(), seed=0)
    bare.compile("sgd", jit_compile=False)
    for verb in (bare.train_on_batch, bare.test_on_batch):
        with pytest.raises(ValueError, match=r"observations\[1, 2, 0\]=nan"):
            verb(_with(np.nan))
        with pytest.raises(ValueError, match="Received: y of type"):
            verb(X, X)
    logs = bare.train_on_batch(X, return_dict=True)
    assert np.isfinite(logs["loss"])


def test_a_data_set_is_no_batch(made):
    for verb in (made.filter, made.log_evidence, made.smooth):
        with pytest.raises(TypeError, match=r"Received: .* of type Batches"):
            verb(Batches([X]))


def test_data_without_a_batch_are_refused(made):
    with pytest.raises(ValueError, match="Received: Batches that yields"):
        made.fit(Batches([]))
    with pytest.raises(ValueError, match="Received: generator that yields"):
        made.fit(x for x in [])


def test_controls_are_not_left_out_of_a_model_that_has_them():
    made = model(controls=True)
    for verb in (made.fit, made.evaluate, made.predict, made.filter):
        with pytest.raises(ValueError, match="Received: controls=None"):
            verb(X)
    bad = np.zeros((3, 6, CONTROLS), "float32")
    bad[0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="Received: controls with 1 NaN"):
        made.fit({"observations": X, "controls": bad})
    for shape in ((3, 5, CONTROLS), (3, CONTROLS)):
        with pytest.raises(ValueError, match="Received: controls of shape"):
            made.fit({"observations": X, "controls": np.zeros(shape)})
    with pytest.raises(ValueError, match="Received: controls=None"):
        made.sample(
            2, prefix={"observations": X, "controls": np.ones_like(bad)}
        )


@pytest.mark.parametrize("weighting", [np.ones(2), np.array([1, -1, np.nan])])
def test_bad_sample_weights_are_refused(made, weighting):
    with pytest.raises(ValueError, match="Received: sample_weight"):
        made.fit(X, sample_weight=weighting)
    with pytest.raises(ValueError, match="Received: sample_weight"):
        made.evaluate(X, sample_weight=weighting)
    with pytest.raises(ValueError, match="Received: sample_weight with x of"):
        made.fit(Batches([X]), sample_weight=weighting)


def test_sequences_have_no_classes(made):
    with pytest.raises(ValueError, match="Received: class_weight"):
        made.fit(X, class_weight={0: 1.0})


def test_a_model_without_an_optimizer_says_so():
    bare = kf.LatentSequenceModel(vrnn(controls=False))
    for verb in (bare.fit, bare.evaluate):
        with pytest.raises(ValueError, match="a model without optimizer"):
            verb(X)


@pytest.mark.parametrize("number", [0, -1, 1.5, "a", None])
def test_numbers_of_particles_must_be_counts(number):
    for bound in (kf.ELBO, kf.IWAE, kf.FIVO):
        with pytest.raises(ValueError, match="Received: num_particles="):
            bound(number)


def test_unknown_names_are_told_with_the_known_ones():
    cell = vrnn(controls=False)
    for build, received in (
        (lambda: kf.FIVO(scheme="best"), "'systematic'.*scheme='best'"),
        (lambda: kf.FIVO(criterion="now"), "'always'.*criterion='now'"),
        (lambda: kf.LatentSequenceModel(cell, "vi"), "'fivo'.*bound='vi'"),
        (
            lambda: kf.LatentSequenceModel(cell, evaluation_bound="vi"),
            "'fivo'.*evaluation_bound='vi'",
        ),
        (lambda: kf.VRNNCell(2, proposal="x"), "'smoothing'.*proposal='x'"),
        (lambda: kf.VRNNCell(2, emission="x"), "'bernoulli'.*emission='x'"),
        (
            lambda: kf.LatentSequenceModel(cell, loss_per="day"),
            "'step'.*loss_per='day'",
        ),
    ):
        with pytest.raises(ValueError, match=received):
            build()


def test_wrong_kinds_are_told():
    cell = vrnn(controls=False)
    for build, received in (
        (lambda: kf.LatentSequenceModel("vrnn"), "cell='vrnn'"),
        (lambda: kf.LatentSequenceModel(cell, 3), "bound=3"),
        (lambda: kf.LatentSequenceModel(cell, seed=1.5), "seed=1.5"),
        (
            lambda: kf.LatentSequenceModel(cell, evaluation_seed="a"),
            "evaluation_seed='a'",
        ),
    ):
        with pytest.raises(TypeError, match=f"Received: {received}"):
            build()


def test_a_bound_cannot_be_replaced_by_something_else(made):
    with pytest.raises(ValueError, match="Received: bound='vi'"):
        made.bound = "vi"
    with pytest.raises(TypeError, match="Received: evaluation_bound=3"):
        made.evaluation_bound = 3
    assert made.bound.num_particles == 2


def test_noise_of_another_shape_is_refused(made):
    good = made.bound.draw(made.cell, 6, 3, seed=0)
    expected = {"latent": "(3, 6, 2, 2)", "resampling": "(3, 6, 1)"}
    for name, shape in expected.items():
        for bad in ({**good, name: good[name][:, :4]}, dict(good)):
            if bad[name] is good[name]:
                del bad[name]
            with pytest.raises(
                ValueError,
                match=re.escape(f"{name!r} of shape {shape}. Received: "),
            ):
                made.filter(X, noise=bad)


@pytest.mark.parametrize("argument", ["num_steps", "num_samples"])
@pytest.mark.parametrize("value", [0, 1.5, "a"])
def test_numbers_of_steps_and_samples_must_be_counts(made, argument, value):
    arguments = {"num_steps": 2, "num_samples": 2, argument: value}
    match = f"Received: {argument}={value!r}"
    with pytest.raises(ValueError, match=match):
        made.sample(**arguments)
    with pytest.raises(ValueError, match=match):
        made.forecast(X, **arguments)


def test_bad_quantiles_are_refused(made):
    with pytest.raises(ValueError, match=r"Received: quantiles=\(0.0, 0.5\)"):
        made.forecast(X, 2, quantiles=(0.0, 0.5))


def test_a_model_without_weights_cannot_sample():
    made = kf.LatentSequenceModel(kf.VRNNCell(2))
    with pytest.raises(ValueError, match="Received: a model without weights"):
        made.sample(3)


def test_nothing_to_adapt_to_is_refused():
    made = model(nan_is_missing=True)
    nothing = X.copy()
    nothing[..., 1] = np.nan
    with pytest.raises(ValueError, match=r"Received: .* observed entries"):
        made.adapt(nothing)


def test_rows_cannot_have_other_features():
    made = kf.LatentSequenceModel(
        kf.VRNNCell(2, emission=kf.BernoulliHead(FEATURES + 1))
    )
    with pytest.raises(ValueError, match="Received: observations of shape"):
        made.adapt(X)
