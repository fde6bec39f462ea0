import pathlib
import types

import numpy as np
import pytest

from recipes.data.sequence_dataset import SequenceDataset
from recipes.errors import RecipeError
from recipes.pose import figures
from recipes.pose.animation import write_animation
from recipes.pose.drawing import Strip
from recipes.pose.files import read_splits
from recipes.pose.plots import plot_strips
from recipes.pose.poses import Poses
from recipes.pose.recipe import Pose

RECIPE = Pose()
SMALL = RECIPE.fit_settings("figures", latent_dim=2, units=4, batch_size=2)
SIZES = {"train": 2, "valid": 1, "test": 2}


@pytest.fixture(scope="module")
def poses():
    splits = figures.make_splits(sizes=SIZES)
    short = {split: [x[:6] for x in found] for split, found in splits.items()}
    return Poses("figures", **short, given_mean=np.full(64, 0.5, "float32"))


@pytest.fixture(scope="module")
def trained(poses, tmp_path_factory):
    settings = SMALL
    train = RECIPE.train_batches(poses, settings)
    model = RECIPE.build_model(settings, poses, train)
    folder = tmp_path_factory.mktemp("run")
    return types.SimpleNamespace(model=model, folder=folder, sequences=poses)


def test_inputs_are_those_of_the_original(golden, shared_dir):
    # Shifted by one step, less the mean that the file gives, zero where
    # padded; 4 values a step instead of 64.
    path = shared_dir / "golden" / "synthetic_pose.pkl"
    found = read_splits(path, splits=("train",), num_features=4)
    poses = types.SimpleNamespace(train_mean=found["given_mean"])
    batches = SequenceDataset(
        found["train"], 2, shuffle=False, bucket_boundaries=[5], pad_batch=False
    )
    model = RECIPE.build_model(SMALL, poses, batches)
    expected = golden("datasets")
    for index in range(2):
        name = f"pose/bs2/batch{index}"
        batch = batches[index]
        observations = np.swapaxes(batch["observations"], 0, 1)
        mask = np.swapaxes(batch["mask"], 0, 1)
        steps = len(expected[f"{name}/targets"])
        lengths = mask.sum(axis=0)
        np.testing.assert_array_equal(lengths, expected[f"{name}/lengths"])
        np.testing.assert_array_equal(
            observations[:steps], expected[f"{name}/targets"]
        )
        centred = np.asarray(model.cell.standardize(observations))
        inputs = np.concatenate([np.zeros_like(centred[:1]), centred[:-1]])
        inputs = (inputs * mask[..., None])[:steps]
        np.testing.assert_allclose(inputs, expected[f"{name}/inputs"], 1e-6)


@pytest.mark.slow  # compiles the training step
def test_a_model_learns_and_is_judged(poses, trained):
    train = RECIPE.train_batches(poses, SMALL)
    history = trained.model.fit(train, epochs=4, shuffle=False, verbose=0)
    bounds = history.history["bound_per_step"]
    assert np.isfinite(bounds).all() and bounds[-1] > bounds[0]
    batches = RECIPE.evaluation_batches(poses.test, 3, 2)
    found = trained.model.evaluate(batches, return_dict=True, verbose=0)
    assert found["bound_per_step"] > bounds[0]
    label, value = RECIPE.baseline(poses, "test")
    assert label == "independent Normals" and np.isfinite(value)


@pytest.mark.parametrize("name", RECIPE.choices["emission"])
def test_each_emission_has_the_least_scale_of_the_settings(poses, name):
    head = RECIPE.emission(SMALL.changed(emission=name, min_scale=0.25), poses)
    assert name.replace("_", "") == type(head).__name__.lower()[: -len("head")]
    assert head.min_scale == 0.25


@pytest.mark.parametrize("prefix_length", [3, 0])
def test_samples_are_written_as_arrays_picture_and_animation(
    trained, tmp_path, prefix_length
):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    settings = RECIPE.sample_settings.changed(
        prefix_length=prefix_length,
        sample_length=4,
        num_samples=2,
        num_particles=3,
        output=str(tmp_path / "out"),
    )
    written = RECIPE.sample(trained, settings)
    names = [pathlib.Path(path).name for path in written]
    assert names == ["samples.npz", "figures.png", "figures.gif"]
    assert sorted(names) == sorted(p.name for p in tmp_path.glob("out/*"))
    found = np.load(written[0])
    count = 2 if prefix_length else 1
    assert found["samples"].shape == (count, 2, 4, 64)
    assert found["prefixes"].shape == (count, prefix_length, 64)
    for index in range(count if prefix_length else 0):
        whole = trained.sequences.test[index]
        np.testing.assert_array_equal(found["prefixes"][index], whole[:3])
    with image.open(written[2]) as animation:
        assert animation.n_frames == prefix_length + 4
        assert animation.info["duration"] == 80


def test_a_prefix_that_no_sequence_has_is_refused(trained, tmp_path):
    settings = RECIPE.sample_settings.changed(
        prefix_length=7, output=str(tmp_path / "out")
    )
    with pytest.raises(RecipeError, match="Received: prefix_length=7"):
        RECIPE.sample(trained, settings)
    assert list(tmp_path.iterdir()) == []


def test_pictures_show_given_recorded_and_sampled_steps(poses, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    steps = np.concatenate([poses.test[0]] * 2)
    data = Strip(steps[:8], 4, "data", recorded=True)
    columns = [[data, Strip(steps, 4, "sample")]]
    plot_strips(tmp_path / "a.png", columns)
    plot_strips(tmp_path / "b.png", columns, y_down=True)
    up, down = (
        np.asarray(image.open(tmp_path / f"{name}.png"), "int32")[..., :3]
        for name in "ab"
    )
    assert up.shape == down.shape and (up != down).any()
    below = up[len(up) // 8 :]  # without the legend
    for colour in ((0x47, 0x59, 0x7A), (0x8A, 0x90, 0x99), (0xD9, 0x57, 0x2B)):
        near = np.abs(below - np.array(colour)).max(axis=-1) < 4
        assert near.sum() > 40
    write_animation(tmp_path / "a.gif", columns, 10.0, y_down=True)
    with image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 12


def test_nothing_to_draw_is_refused_and_leaves_no_file(tmp_path):
    for draw in (plot_strips, lambda *args: write_animation(*args, 10.0)):
        with pytest.raises(ValueError, match="Received: none"):
            draw(tmp_path / "none", [])
    with pytest.raises(ValueError, match=r"Received: steps with shape=\(0, 64"):
        Strip(np.zeros((0, 64)), 0, "empty")
    assert list(tmp_path.iterdir()) == []
