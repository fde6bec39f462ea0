"""Pictures of sounds: waveforms, and spectrograms below them."""

import dataclasses

import numpy as np

from recipes.pictures import GIVEN, MADE, TEXT, picture, tidy

_WINDOW_SECONDS = 0.016
_FLOOR = -70.0  # decibels below the loudest


@dataclasses.dataclass(frozen=True)
class Sound:
    """A sound in a picture.

    Attributes:
        title: Title above the sound.
        steps: Array, of any shape: its samples, one after the other.
        given: int. How many steps (in a picture: samples) at the beginning
            are of a recording. Default: 0.
        band: Array `(2, ...)`: what lies between is likely. Default: `None`.
        is_data: bool. Whether it is a recording. Default: `False`.
    """

    title: str
    steps: np.ndarray
    given: int = 0
    band: np.ndarray | None = None
    is_data: bool = False


def spectrogram(samples, rate):
    """Returns the power of frequencies over time.

    Args:
        samples: Array `(samples,)`.
        rate: int. Samples per second.

    Returns:
        `(decibels, seconds)`: array `(frequencies, windows)`, from 0 to half
        the rate, 0 for a sine of amplitude 1; and the seconds at which the
        windows begin and end, `(windows + 1,)`.
    """
    size = 2 ** round(np.log2(_WINDOW_SECONDS * rate))
    hop = max(1, size // 4)
    padded = np.pad(np.asarray(samples, "float64"), (size // 2, size))
    count = len(samples) // hop + 1
    starts = hop * np.arange(count)
    windows = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.abs(np.fft.rfft(windows, 2 * size)) ** 2
    power /= (np.hanning(size).sum() / 2) ** 2
    return 10 * np.log10(power.T + 1e-12), (
        (np.arange(count + 1) - 0.5) * hop / rate
    )


def plot_sounds(path, rows, rate):
    """Draws sounds in a grid, each a waveform above its spectrogram.

    What is of a recording and what a model made differ in colour. The
    waveforms of a row share their scale; all spectrograms do.

    Args:
        path: Path of the PNG file, which appears whole or not at all.
        rows: List of lists of `Sound`, whose `steps` are samples in shares of
            the full scale.
        rate: int. Samples per second.

    Raises:
        ImportError: matplotlib is not installed.
    """
    columns = max(map(len, rows))
    drawn = [[spectrogram(s.steps, rate) for s in row] for row in rows]
    top = max(found.max() for row in drawn for found, _ in row)
    longest = max(len(sound.steps) for row in rows for sound in row) / rate
    size = (3.6 * columns + 0.6, 2.6 * len(rows) + 0.7)
    with picture(path, *size, dpi=110) as figure:
        grid = figure.subplots(
            2 * len(rows),
            columns,
            sharex=True,
            squeeze=False,
            height_ratios=[1, 1.15] * len(rows),
        )
        image = None
        for index, row in enumerate(rows):
            loudest = max(np.abs(sound.steps).max() for sound in row) * 1.05
            waves, images = grid[2 * index], grid[2 * index + 1]
            for column, sound in enumerate(row):
                _draw_wave(waves[column], sound, rate, loudest or 1.0)
                image = _draw_spectrogram(
                    images[column], *drawn[index][column], rate, top
                )
                _mark(images[column], sound, rate, "white")
                waves[column].set_xlim(0, longest)
                if column:
                    waves[column].set_yticklabels([])
                    images[column].set_yticklabels([])
            for axes in [*waves[len(row) :], *images[len(row) :]]:
                axes.remove()
            images[0].set_ylabel("kHz", fontsize=8, color=TEXT)
        figure.supxlabel("seconds", fontsize=9, color=TEXT)
        bar = figure.colorbar(image, ax=grid[1::2, -1], aspect=30, pad=0.02)
        bar.set_label("decibels", fontsize=8, color=TEXT)
        bar.ax.tick_params(labelsize=7, length=0)
        bar.outline.set_visible(False)
        _add_legend(figure, rows)


def _draw_wave(axes, sound, rate, loudest):
    seconds = np.arange(len(sound.steps)) / rate
    given = len(seconds) if sound.is_data else sound.given
    if sound.band is not None:
        axes.fill_between(
            seconds, *sound.band, color=MADE, alpha=0.25, linewidth=0
        )
    for part, colour in (
        (slice(0, given), GIVEN),
        (slice(given, None), MADE),
    ):
        axes.plot(seconds[part], sound.steps[part], color=colour, linewidth=0.6)
    axes.set_ylim(-loudest, loudest)
    axes.set_title(sound.title, fontsize=9, loc="left")
    _mark(axes, sound, rate, "#222222")
    tidy(axes)


def _draw_spectrogram(axes, decibels, seconds, rate, top):
    image = axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        extent=(seconds[0], seconds[-1], 0, rate / 2000),
        cmap="magma",
        vmin=top + _FLOOR,
        vmax=top,
        interpolation="bilinear",
    )
    tidy(axes)
    return image


def _mark(axes, sound, rate, colour):
    if 0 < sound.given < len(sound.steps):
        axes.axvline(sound.given / rate, color=colour, linewidth=1.0)


def _add_legend(figure, rows):
    from matplotlib.patches import Patch

    sounds = [sound for row in rows for sound in row]
    entries = []
    if any(sound.is_data or sound.given for sound in sounds):
        entries.append(Patch(color=GIVEN, label="recording"))
    entries.append(Patch(color=MADE, label="model"))
    if any(sound.band is not None for sound in sounds):
        label = "5% to 95% of the prediction"
        entries.append(Patch(color=MADE, alpha=0.25, label=label))
    figure.legend(
        handles=entries,
        loc="outside upper right",
        ncols=len(entries),
        frameon=False,
        fontsize=8,
    )
