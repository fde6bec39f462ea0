import sys

import numpy as np
import pytest

from recipes.pianoroll.plots import plot_rolls
from recipes.pianoroll.rolls import roll_from_notes

ROLL = roll_from_notes([(60, 64), (60,), (60, 67), (), (72,), (48,)])


@pytest.fixture
def image():
    matplotlib_image = pytest.importorskip(
        "matplotlib.image", reason="matplotlib is not installed"
    )

    def read(path):
        return matplotlib_image.imread(path)[..., :3]

    return read


def has_colour(pixels, colour):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return (np.abs(pixels - wanted) < 0.01).all(axis=-1).sum() > 200


@pytest.mark.parametrize(
    ("prefix", "given", "sampled"),
    [(None, False, True), (3, True, True), (6, True, False), (9, True, False)],
)
def test_the_colours_tell_what_was_given(
    image, tmp_path, prefix, given, sampled
):
    # Without the legend, which shows both colours: the lower nine tenths.
    plot_rolls(tmp_path / "rolls.png", [ROLL], prefix)
    pixels = image(tmp_path / "rolls.png")
    pixels = pixels[len(pixels) // 10 :]
    assert has_colour(pixels, "#47597a") == given
    assert has_colour(pixels, "#d9572b") == sampled


def test_several_rolls_make_a_grid(image, tmp_path):
    sizes = {}
    for count in (1, 2, 3, 5):
        path = tmp_path / f"{count}.png"
        rolls = [ROLL[: 6 - index] for index in range(count)]
        plot_rolls(path, rolls, 2, [f"roll {index}" for index in range(count)])
        sizes[count] = image(path).shape[:2]
    assert sizes[1][1] < sizes[2][1] == sizes[3][1] == sizes[5][1]
    assert sizes[1][0] == sizes[2][0] < sizes[3][0] < sizes[5][0]


def test_extreme_rolls_can_be_drawn(image, tmp_path):
    path = tmp_path / "extreme.png"
    rolls = [np.zeros((3, 88)), np.ones((1, 88)), np.ones((200, 88)) * 0.7]
    plot_rolls(path, rolls, [0, 1, 100])
    assert image(path).shape[0] > 100
    plot_rolls(path, [np.zeros((3, 88))])
    assert image(path).shape[0] > 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rolls": []}, r"rolls=\[\]"),
        ({"rolls": [np.zeros((3, 12))]}, r"roll 0 with shape=\(3, 12\)"),
        ({"titles": ["one", "two"]}, "titles with 2"),
        ({"prefix_length": [1, 2]}, "prefix_length with 2"),
        ({"prefix_length": -1}, "prefix_length=-1"),
    ],
)
def test_bad_arguments_leave_no_file(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        plot_rolls(tmp_path / "bad.png", **{"rolls": [ROLL], **change})
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "keras_fivo\[plots\]"'):
        plot_rolls(tmp_path / "rolls.png", [ROLL])
