import pickle

import numpy as np
import pytest

from recipes.pose import data
from recipes.pose.data import independent_baseline, load
from recipes.pose.files import read_splits
from recipes.pose.poses import SPLITS, Poses
from recipes.pose.recipe import Pose


def content(**changes):
    """What a file holds: two sequences a split, and a mean of its own."""
    generator = np.random.default_rng(0)
    found = {
        split: [generator.normal(size=(steps, 64)) for steps in (3, 2)]
        for split in SPLITS
    }
    found["train_mean"] = generator.normal(size=64)
    return {k: v for k, v in (found | changes).items() if v is not None}


def write_pickle(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def assert_same(found, expected):
    for split in SPLITS:
        assert len(found[split]) == len(expected[split])
        for one, other in zip(found[split], expected[split], strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, other.astype("float32"))


def test_the_pickle_of_the_original_is_read_as_there(shared_dir, golden):
    # 4 values a step instead of 64, and only a train split.
    path = shared_dir / "golden" / "synthetic_pose.pkl"
    found = read_splits(path, splits=("train",), num_features=4)
    expected = golden("datasets")
    assert len(found["train"]) == 3
    for index, sequence in enumerate(found["train"]):
        raw = expected[f"pose/raw{index}"].astype("float32")
        np.testing.assert_array_equal(sequence, raw)
    np.testing.assert_array_equal(found["given_mean"], expected["pose/mean"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_come_back_equal(tmp_path, protocol):
    expected = content()
    found = read_splits(write_pickle(tmp_path / "a.pkl", expected, protocol))
    assert_same(found, expected)
    mean = expected["train_mean"].astype("float32")
    np.testing.assert_array_equal(found["given_mean"], mean)


def test_a_sequence_may_be_a_list_of_steps(tmp_path):
    expected = content()
    listed = {
        split: [sequence.tolist() for sequence in expected[split]]
        for split in SPLITS
    }
    listed["train_mean"] = expected["train_mean"].tolist()
    found = read_splits(write_pickle(tmp_path / "a.pkl", listed))
    assert_same(found, expected)


def test_the_mean_of_the_file_goes_before_that_of_the_train_split(tmp_path):
    given = content()
    poses = load("pose", write_pickle(tmp_path / "with.pkl", given))
    np.testing.assert_allclose(poses.train_mean, given["train_mean"], 1e-6)
    path = write_pickle(tmp_path / "without.pkl", content(train_mean=None))
    without = load("pose", data_path=path)
    mean = np.concatenate(given["train"]).mean(axis=0)
    np.testing.assert_allclose(without.train_mean, mean, 1e-5)
    assert poses.digest() != without.digest()
    assert poses.digest() == load("pose", tmp_path / "with.pkl").digest()


STEPS = np.zeros((3, 64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": None}, r"without valid"),
        ({"test": []}, r"split 'test' of .* with none"),
        ({"train": 3}, r"split 'train' of .*, a int"),
        ({"train": [np.zeros((3, 32))]}, r"with shape=\(3, 32\)"),
        ({"train": [STEPS, np.zeros(64)]}, r"sequence 1 .* shape=\(64,\)"),
        ({"train": STEPS}, r"shape=\(3, 64\)"),
        ({"train": np.zeros((9, 0, 64))}, r"shape=\(9, 0, 64\)"),
        ({"train": [STEPS[:0]]}, r"with steps=0"),
        ({"train": [STEPS + np.nan]}, r"nan at step=0, feature=0"),
        ({"valid": [STEPS + 1e300]}, r"inf at step=0"),
        ({"train": [[[0.0, 1.0], [0.0]]]}, r"sequence 0 .*which is not"),
        ({"train": ["poses"]}, r"sequence 0 .*which is not"),
        ({"train": [["x" * 64, [0.0] * 64]]}, r"sequence 0 .*which is not"),
        ({"train": [[[2**70] * 64]]}, r"sequence 0 .*which is not"),
        ({"train": [[]]}, r"sequence 0 .*which is not"),
        ({"train_mean": np.zeros(32)}, r"shape=\(32,\)"),
        ({"train_mean": np.full(64, np.nan)}, r"shape=\(64,\)"),
    ],
)
def test_what_is_not_of_poses_is_refused(tmp_path, changes, message):
    path = write_pickle(tmp_path / "poses.pkl", content(**changes))
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        load("pose", path)


class Opens:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path):
    trace = tmp_path / "trace"
    hostile = content(train=[Opens(trace)])
    path = write_pickle(tmp_path / "poses.pkl", hostile)
    with pytest.raises(ValueError, match=r"open.*Received: path="):
        load("pose", path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())["train"][0].close()
    assert trace.exists()  # any other reader would have run it


def test_damaged_and_other_files_are_refused(tmp_path):
    names = {
        "cut.pkl": pickle.dumps(content(), 2)[:500],
        "list.pkl": pickle.dumps([1, 2], 2),
        "words.txt": b"32 x values",
    }
    for name, damaged in names.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"Received: path=.*{name}"):
            load("pose", tmp_path / name)


def test_names_and_paths_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: name='poses'"):
        load("poses")
    with pytest.raises(ValueError, match="data_path=FILE"):
        load("pose")
    with pytest.raises(FileNotFoundError, match="Received: path="):
        load("pose", tmp_path / "poses.pkl")
    with pytest.raises(ValueError, match="Received: split='all'"):
        Poses("pose", [STEPS], [STEPS], [STEPS]).split("all")


def test_the_baseline_is_that_of_scipy():
    from scipy.stats import norm

    generator = np.random.default_rng(1)
    scale = generator.uniform(0.5, 2, 64)
    train, test = (generator.normal(0, scale, (7, 64)) for _ in range(2))
    poses = Poses("pose", [train[:3], train[3:]], [train], [test])
    expected = norm(train.mean(0), train.std(0)).logpdf(test).sum(1).mean()
    np.testing.assert_allclose(independent_baseline(poses), expected)


def test_what_is_declared_twice_is_the_same():
    known = [one.settings.data for one in Pose().data_sets]
    assert tuple(known) == data.NAMES
