import itertools

import numpy as np
import pytest

from recipes.video import moving_digits
from recipes.video.baselines import last_frame_repeated
from recipes.video.clips import Clips, VideoData, stored
from recipes.video.recipe import Video

SMALL = {"side": 16, "num_frames": 30, "train_sequences": 12}


@pytest.fixture
def digits(monkeypatch):
    """Digits that are all white, of another size in each split."""

    def images(path):
        return {"train": np.ones((3, 8, 8)), "valid": np.ones((3, 8, 8))} | {
            "test": np.ones((3, 8, 8))
        }

    monkeypatch.setattr(moving_digits, "_images", images)
    return lambda **given: moving_digits.load_moving_digits(
        Video().fit_settings("moving_digits", **{**SMALL, **given})
    )


def test_sequences_are_the_same_each_time_and_differ_from_each_other(digits):
    data, again = digits(), digits()
    assert data.digest() == again.digest() != digits(num_digits=1).digest()
    clips = data.split("train")
    assert len(clips) == 12 and clips.features == (16, 16, 1)
    np.testing.assert_array_equal(clips[3], again.split("train")[3])
    seen = {clip.tobytes() for split in data.splits.values() for clip in split}
    assert len(seen) == sum(map(len, data.splits.values()))


def test_frames_are_black_and_white_with_whole_digits(digits):
    for clip in digits(num_digits=1).split("train"):
        assert clip.shape == (30, 16, 16, 1) and clip.dtype == np.float32
        # A digit is 28 / 64 of the frame: 7 by 7 pixels, nowhere cut off.
        assert set(clip.sum((1, 2, 3))) == {49}
    grey = digits(grey=True)
    assert grey.levels == 256 and digits().levels == 2


def test_digits_go_straight_on_and_bounce_off_inwards():
    turns = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        path = moving_digits.bouncing_path(generator, 60, 640, 280)
        assert path.min() >= 0 and path.max() <= 360
        steps = np.diff(path, axis=0)
        assert np.abs(steps).max() <= 41  # 4 / 64 of the frame, and rounding
        bends = np.abs(np.diff(steps, axis=0)).max(1) > 1
        at_edge = ((path <= 0) | (path >= 360)).any(1)
        # Nothing turns but at an edge.
        assert not (bends & ~at_edge[1:-1] & ~at_edge[2:]).any()
        turns += bends.sum()
    assert turns > 20


def test_images_keep_their_mean_at_other_sizes():
    images = np.random.default_rng(0).random((2, 28, 28))
    for size in (7, 14, 28, 10, 56):
        small = moving_digits._resized(images, size)
        assert small.shape == (2, size, size)
        np.testing.assert_allclose(
            small.mean((1, 2)), images.mean((1, 2)), rtol=1e-5
        )
    np.testing.assert_allclose(
        moving_digits._resized(images, 14),
        images.reshape(2, 14, 2, 14, 2).mean((2, 4)),
        rtol=1e-5,
    )


def test_without_a_file_the_digits_are_those_of_scikit_learn(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(moving_digits, "_SHARED", moving_digits._SHARED / "no")
    found = moving_digits._images(None)
    assert [len(found[split]) for split in ("train", "valid", "test")] == [
        1297,
        200,
        300,
    ]
    assert found["train"].min() == 0 and found["train"].max() == 1


def test_longer_sequences_are_cut_and_the_rest_left_out():
    frames = np.arange(12 * 4, dtype="uint8").reshape(12, 2, 2)
    clips = stored(frames, [7, 5]).cut(3)
    assert list(clips.lengths) == [3, 3, 3]
    for clip, first in zip(clips, (0, 3, 7), strict=True):
        np.testing.assert_allclose(
            clip[..., 0] * 255, frames[first : first + 3]
        )
    with pytest.raises(Exception, match=r"longest has 7.*num_frames=8"):
        stored(frames, [7, 5]).cut(8)


def test_the_baseline_is_what_counting_says():
    generator = np.random.default_rng(0)
    frames = (generator.random((6, 2, 2)) < 0.4).astype("uint8") * 255
    clips = stored(frames, [4, 2])
    data = VideoData("some", {"train": clips, "test": clips}, "", levels=2)
    found = last_frame_repeated(data, "test")
    white = frames.reshape(6, -1) > 0
    pairs = list(itertools.pairwise(white))
    del pairs[3]  # from one sequence to the next
    counts = np.ones((2, 2))
    for before, after in pairs:
        for x, y in zip(before, after, strict=True):
            counts[int(x), int(y)] += 1
    total = 0.0
    seen = counts.sum(0) / counts.sum()
    for first in (0, 4):
        total += np.log(seen[white[first].astype(int)]).sum()
    for before, after in pairs:
        for x, y in zip(before, after, strict=True):
            total += np.log(counts[int(x), int(y)] / counts[int(x)].sum())
    np.testing.assert_allclose(found, total / 6)


def test_clips_end_where_their_sequences_do():
    clips = Clips([2], (1, 1, 1), lambda index: np.zeros((2, 1, 1, 1)))
    assert len(list(clips)) == 1
    with pytest.raises(IndexError, match="There are 1"):
        clips[1]
