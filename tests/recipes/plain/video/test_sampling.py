import numpy as np
import pytest

from recipes.video.recipe import Video
from recipes.video.sampling import rows_of, write_animation, write_strips

Image = pytest.importorskip("PIL.Image")


def rows(steps):
    generator = np.random.default_rng(0)
    sequences = list(generator.random((2, 6, 4, 8, 1)))
    samples = generator.random((2, 3, 4, 4, 8, 1))
    prefixes = np.stack([one[:steps] for one in sequences])
    chosen = Video().sample_settings.changed(sample_length=4)
    return rows_of(sequences, prefixes, samples, chosen)


def test_a_row_is_what_was_recorded_and_then_each_sample():
    for steps, number in ((3, 4), (0, 3)):
        for clips in rows(steps):
            assert len(clips) == number
            assert all(len(clip) <= steps + 4 for clip in clips)
            for clip in clips[1:] if steps else []:
                np.testing.assert_array_equal(clip[:steps], clips[0][:steps])


def test_strips_show_every_frame_and_mark_what_was_made(tmp_path):
    path = tmp_path / "frames.png"
    write_strips(path, rows(3), 3, 2)
    pixels = np.asarray(Image.open(path))
    # Tiles of 2 * 8 + 4 by 2 * 4 + 4, a bar of 3 above each of 8 strips.
    assert pixels.shape == (8 * (12 + 3) + 3, 7 * 20)
    first, second = pixels[1, 10::20], pixels[16, 10::20]
    assert len(set(first.tolist())) == 1
    assert second.tolist() == [110] * 3 + [190] * 4
    # Where nothing was given, all is made up.
    write_strips(path, rows(0), 0, 2)
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (6 * (12 + 3) + 3, 4 * 20)
    assert set(pixels[1, 10::20].tolist()) == {190}


def test_the_animation_has_a_picture_for_each_frame(tmp_path):
    path = tmp_path / "frames.gif"
    chosen = Video().sample_settings.changed(sample_length=4, magnify=1)
    write_animation(path, rows(3), 3, chosen)
    with Image.open(path) as found:
        assert found.n_frames == 7
        assert found.size == (2 * (8 + 4), 4 * (4 + 4 + 3))
