"""A model of video from its settings: trained, evaluated and sampled from."""

import types

import numpy as np
import pytest

import keras_fivo as kf
from recipes.training.evaluation import evaluate_bounds
from recipes.video import moving_digits
from recipes.video.data import load
from recipes.video.recipe import Video
from tests.reference.examples import numpy

RECIPE = Video()
TINY = {"side": 8, "num_frames": 4, "train_sequences": 4, "latent_dim": 2}
TINY |= {"units": 3, "blocks": (2,), "convolutions": 1, "encoding_dim": 3}
TINY |= {"num_layers": 1, "batch_size": 2, "normalization": None}


@pytest.fixture
def few_digits(monkeypatch):
    digits = np.random.default_rng(0).random((3, 8, 8))
    monkeypatch.setattr(
        moving_digits,
        "_images",
        lambda path: dict.fromkeys(("train", "valid", "test"), digits),
    )
    monkeypatch.setattr(moving_digits, "_HELD_OUT", {"valid": 1, "test": 2})


def test_it_is_trained_evaluated_and_sampled_from(few_digits, tmp_path):
    settings = RECIPE.fit_settings("moving_digits", **TINY)
    data = RECIPE.load(settings)
    train = RECIPE.train_batches(data, settings)
    model = RECIPE.build_model(settings, data, train)
    assert model.cell.posterior is not None
    model.fit(train, epochs=1, verbose=0)
    sequences = data.split("test")
    bounds = evaluate_bounds(
        model,
        RECIPE.evaluation_batches(sequences, 2, 2),
        2,
        settings,
        0,
        lambda *_, **__: None,
    )
    assert bounds["elbo"]["bound_per_step"] < 0
    assert RECIPE.baseline(data, "test")[1] < 0
    pytest.importorskip("PIL")
    trained = types.SimpleNamespace(
        model=model, folder=tmp_path, sequences=data
    )
    chosen = RECIPE.sample_settings.changed(
        prefix_length=2, sample_length=2, num_particles=2, magnify=1
    )
    paths = RECIPE.sample(trained, chosen)
    assert all(path.stat().st_size for path in paths)
    with np.load(paths[0]) as found:
        assert found["prefixes"].shape == (2, 2, 8, 8, 1)
        assert found["samples"].shape == (2, 2, 2, 8, 8, 1)


def test_refinements_and_emissions_are_settings(few_digits):
    settings = RECIPE.fit_settings(
        "moving_digits",
        **TINY,
        proposal="iterative",
        update_reads="encoding",
        objective="em",
        emission="quantized_normal",
        grey=True,
    )
    data = RECIPE.load(settings)
    model = RECIPE.build_model(
        settings, data, RECIPE.train_batches(data, settings)
    )
    cell = model.cell
    assert cell.posterior is None
    assert isinstance(cell.proposal, kf.IterativeProposal)
    assert cell.proposal.objective == "em"
    assert cell.proposal.update.reads == "encoding"
    assert isinstance(cell.emission, kf.QuantizedNormalHead)
    # Means lie within [0, 1], and levels have probabilities.
    outputs = np.array([[40.0, 1.0], [-40.0, 1.0]], "float32")
    density = cell.emission.parametrize(outputs)
    np.testing.assert_allclose(numpy(density.mean), [[1], [0]], atol=1e-6)
    assert cell.emission.width == 1 / 255
    assert numpy(density.scale).min() >= np.exp(-5)


def test_a_refined_filtering_proposal_reads_the_frames_up_to_the_step(
    few_digits,
):
    settings = RECIPE.fit_settings(
        "moving_digits", **TINY, proposal="iterative", start="filtering"
    )
    data = RECIPE.load(settings)
    train = RECIPE.train_batches(data, settings)
    cell = RECIPE.build_model(settings, data, train).cell
    assert cell.posterior is not None
    assert isinstance(cell.proposal.start, kf.FilteringProposal)
    assert cell.proposal.update.hidden_units == [256]


def test_prepared_files_are_read_and_others_refused(tmp_path):
    path = tmp_path / "kth.npz"
    frames = np.arange(4 * 64, dtype="uint8").reshape(4, 8, 8)
    content = {split: frames for split in ("train", "valid", "test")}
    content |= {f"{split}_lengths": np.array([3, 1]) for split in content}
    np.savez(path, **content)
    settings = RECIPE.fit_settings("kth", data_path=str(path))
    data = load(settings)
    np.testing.assert_allclose(
        data.split("valid")[0][..., 0] * 255, frames[:3], rtol=1e-6
    )
    np.savez(path, **{**content, "test_lengths": np.array([3])})
    with pytest.raises(ValueError, match=r"with test of shape \(4, 8, 8\)"):
        load(settings)
    with pytest.raises(FileNotFoundError, match="recipes prepare video"):
        load(settings.changed(data_path=str(tmp_path / "none.npz")))
