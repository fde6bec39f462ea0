"""The filter, whole, in parts, and one observation at a time."""

import re

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import assert_same, model
from tests.reference.examples import BATCH, LENGTHS, STEPS, data, numpy

BOUNDS = {
    "ELBO": kf.ELBO(2),
    "IWAE": kf.IWAE(3),
    "FIVO": kf.FIVO(3, "multinomial"),
}


# Nothing here trains: two models, whose steps are compiled once, serve most.
@pytest.fixture(scope="module")
def made():
    return model(evaluation_bound=BOUNDS["FIVO"])


@pytest.fixture(scope="module")
def controlled():
    return model(controls=True, evaluation_bound=BOUNDS["FIVO"])


def at_steps(noise, start, stop):
    """The part of the noise for some steps."""
    return {name: value[:, start:stop] for name, value in noise.items()}


def part(sequences, start, stop):
    """Some steps of sequences whose mask tells their lengths."""
    return {name: value[:, start:stop] for name, value in sequences.items()}


def stepwise(made, sequences, noise, state=None, start=0, stop=STEPS):
    """Results of steps, and the last state."""
    results = []
    for t in range(start, stop):
        x_t = {name: value[:, t] for name, value in sequences.items()}
        state, result = made.step(x_t, state, at_steps(noise, t, t + 1))
        results.append(numpy(result.log_evidence))
        assert result.log_weights.shape[1] == 1
    return state, results


@pytest.mark.parametrize("name", BOUNDS)
def test_filtering_is_the_bound_itself(name, controlled):
    made, bound = controlled, BOUNDS[name]
    sequences = data(mask="entries")
    noise = bound.draw(made.cell, STEPS, BATCH, seed=1)
    found = made.filter(sequences, bound=bound, noise=noise)
    expected = bound(made.cell, noise=noise, **sequences)
    assert_same(
        [numpy(found.log_evidence), numpy(found.log_weights)],
        [numpy(expected.log_evidence), numpy(expected.log_weights)],
        1e-5,
    )
    assert found.latents.shape == (BATCH, STEPS, bound.num_particles, 2)
    np.testing.assert_array_equal(numpy(found.lengths), LENGTHS)
    np.testing.assert_array_equal(
        numpy(found.active), np.arange(STEPS) < LENGTHS[:, None]
    )


def test_log_evidence_takes_any_bound_and_new_noise_each_time(made):
    sequences = data(controls=False)
    for bound in ("elbo", kf.IWAE(3), None):
        found = [
            numpy(made.log_evidence(sequences, bound=bound)) for _ in range(2)
        ]
        assert found[0].shape == (BATCH,)
        assert not np.array_equal(*found)


def test_steps_give_the_same_as_the_whole(controlled):
    made = controlled
    sequences = data(mask="entries", lengths=False)
    sequences["mask"][:, -1, 0] = True
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    whole = made.filter(sequences, noise=noise)
    state, found = stepwise(made, sequences, noise)
    assert_same(found[-1], numpy(whole.log_evidence), 1e-5)
    for a, b in zip(
        keras.tree.flatten(numpy(state)),
        keras.tree.flatten(numpy(whole.state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, 1e-5, 1e-5)


def test_a_streamed_step_reads_nothing_back_and_serializes_nothing(
    monkeypatch, made
):
    x = keras.ops.convert_to_tensor(data(controls=False)["observations"])
    state, _ = made.step(x[:, 0])
    state, _ = made.step(x[:, 1], state)

    def refused(*arguments, **options):
        raise AssertionError("a round trip")

    with monkeypatch.context() as patched:
        patched.setattr(keras.ops, "convert_to_numpy", refused)
        patched.setattr(keras.saving, "serialize_keras_object", refused)
        _, result = made.step(x[:, 2], state)
        # The state of another stream is looked into.
        with pytest.raises(AssertionError, match="a round trip"):
            made.step(x[:, 2], {**state, "left_out": state["left_out"] + 0})
    assert np.isfinite(numpy(result.log_evidence)).all()


def test_a_saved_state_goes_on_where_it_was(tmp_path, made):
    sequences = {"observations": data(controls=False)["observations"]}
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    whole = made.filter(sequences, noise=noise)
    state, _ = stepwise(made, sequences, noise, stop=2)
    path = str(tmp_path / "state.npz")
    kf.save_state(path, state)
    loaded = kf.load_state(path)
    keras.tree.assert_same_structure(loaded, state)
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
    # In one piece, then in steps.
    middle = made.filter(
        part(sequences, 2, 4), noise=at_steps(noise, 2, 4), state=loaded
    )
    _, found = stepwise(made, sequences, noise, middle.state, 4)
    assert_same(found[-1], numpy(whole.log_evidence), 1e-5)


@pytest.mark.parametrize("nan_is_missing", [False, True])
def test_steps_that_end_a_part_must_be_counted_or_it_cannot_go_on(
    nan_is_missing, made
):
    if nan_is_missing:
        made = model(nan_is_missing=True, evaluation_bound=BOUNDS["FIVO"])
    observations = data(controls=False)["observations"]
    mask = np.ones((BATCH, STEPS), bool)
    mask[1, 2] = mask[2, 1:] = False
    sequences = {"observations": observations, "mask": mask}
    if nan_is_missing:
        missing = np.where(mask[..., None], observations, np.float32(np.nan))
        sequences = {"observations": missing}
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    whole = made.filter(sequences, noise=noise)
    first, last = part(sequences, 0, 3), part(sequences, 3, STEPS)
    noises = at_steps(noise, 0, 3), at_steps(noise, 3, STEPS)
    left_out = made.filter(first, noise=noises[0]).state
    assert numpy(left_out["left_out"]).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"Received: .*left_out=\[0, 1, 2\]"):
        made.filter(last, noise=noises[1], state=left_out)
    with pytest.raises(ValueError, match="Pass `lengths`"):
        made.step(observations[:, 3], left_out)
    first["lengths"] = np.array([3, 3, 1])
    state = made.filter(first, noise=noises[0]).state
    assert numpy(state["left_out"]).tolist() == [0, 0, 0]
    found = made.filter(last, noise=noises[1], state=state)
    np.testing.assert_allclose(
        numpy(found.log_evidence), numpy(whole.log_evidence), 1e-5
    )


def test_what_is_left_out_of_a_sequence_that_ends_was_padding(made):
    sequences = {
        "observations": data(controls=False)["observations"],
        "mask": np.arange(STEPS) < LENGTHS[:, None],
    }
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    whole = made.filter(sequences, noise=noise)
    state = None
    for start in (0, 2, 4):
        found = made.filter(
            part(sequences, start, start + 2),
            noise=at_steps(noise, start, start + 2),
            state=state,
        )
        state = found.state
    np.testing.assert_allclose(
        numpy(found.log_evidence), numpy(whole.log_evidence), 1e-5
    )
    assert numpy(state["left_out"]).tolist() == [0, 3, 1]


def test_a_state_of_other_sizes_is_refused(made):
    observations = data(controls=False)["observations"]
    state, _ = made.step(observations[:, 0])
    for other in (kf.FIVO(2), kf.ELBO(1)):
        with pytest.raises(ValueError, match="`state` must come from"):
            made.filter(observations, bound=other, state=state)
    with pytest.raises(ValueError, match="Received: state with"):
        made.step(observations[:2, 1], state)
    with pytest.raises(ValueError, match="Received: state with"):
        made.step(observations[:, 1], {"log_weights": np.zeros((3, 3))})


def test_a_state_of_other_types_is_refused_before_the_scan(made):
    observations = data(controls=False)["observations"]
    state, _ = made.step(observations[:, 0])
    for name, dtype in (("log_weights", "float16"), ("step", "int16")):
        other = {**state, name: keras.ops.cast(state[name], dtype)}
        with pytest.raises(ValueError, match=f"Received: .*'{name}' .*{dtype}"):
            made.step(observations[:, 1], other)


def test_a_step_without_observation_drops_its_part_alone(made):
    x_t = data(controls=False)["observations"][:, 0]
    noise = made.evaluation_bound.draw(made.cell, 1, BATCH, seed=1)
    blind = {"observations": x_t * np.nan, "mask": np.zeros(BATCH, bool)}
    state, result = made.step(blind, noise=noise)
    assert np.isfinite(numpy(result.log_evidence)).all()
    np.testing.assert_array_equal(numpy(state["step"]), np.ones(BATCH))


@pytest.mark.parametrize("shape", [(3,), (2, 1, 3)])
def test_a_step_has_no_axis_of_time(shape):
    match = rf"\(batch, features\).* of shape {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=match):
        model().step(np.zeros(shape, "float32"))


def test_a_proposal_that_looks_ahead_cannot_stream():
    made = model(cell={"proposal": "smoothing"})
    observations = data(controls=False)["observations"]
    with pytest.raises(ValueError, match="Received: proposal="):
        made.step(observations[:, 0])
    assert numpy(made.log_evidence(observations)).shape == (BATCH,)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_a_step_refuses_values_that_cannot_be(value, made):
    observations = data(controls=False)["observations"][:, 0]
    observations[0, 0] = value
    for given in (observations, observations.tolist()):
        with pytest.raises(ValueError, match="Received: "):
            made.step(given)
