"""Continuations of music, as arrays, MIDI files, sounds and a picture."""

import pathlib
from typing import Any

import numpy as np

from recipes.data.prefixes import choose_sequences, continue_sequences
from recipes.errors import told_to_the_user
from recipes.packages import require
from recipes.pianoroll.midi import write_midi
from recipes.pianoroll.plots import plot_rolls
from recipes.pianoroll.sound import RATE, play
from recipes.sounds import write_wav
from recipes.storage import atomic_path


def sample(trained: Any, settings: Any) -> list[pathlib.Path]:
    """Continues beginnings of sequences; returns the files that it wrote.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.pianoroll.config.SampleSettings`.
    """
    with told_to_the_user():
        require("`sample`", "music", "mido")
        require("`sample`", "plots", "matplotlib")
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    rolls, titles = choose_sequences(
        trained.sequences.split(settings.split), settings
    )
    prefixes, samples = continue_sequences(trained.model, rolls, settings)
    with told_to_the_user():
        return _write(folder, prefixes, samples, titles, settings)


def _write(
    folder: pathlib.Path,
    prefixes: np.ndarray,
    samples: np.ndarray,
    titles: list[str],
    settings: Any,
) -> list[pathlib.Path]:
    array_path = folder / "samples.npz"
    with atomic_path(array_path) as partial:
        np.savez_compressed(
            partial,
            prefixes=prefixes.astype("uint8"),
            samples=samples.astype("uint8"),
        )
    written, rolls, names = [array_path], [], []
    for prefix, continuations, title in zip(
        prefixes, samples, titles, strict=True
    ):
        for number, continuation in enumerate(continuations):
            roll = np.concatenate([prefix, continuation])
            name = f"{title}, sample {number}"
            path = folder / (name.replace(",", "").replace(" ", "-") + ".mid")
            write_midi(path, roll, settings.tempo)
            sound = path.with_suffix(".wav")
            write_wav(sound, play(roll, settings.tempo), RATE)
            written += [path, sound]
            rolls.append(roll)
            names.append(name)
    picture = folder / "rolls.png"
    plot_rolls(
        picture, rolls, prefixes.shape[1], names, columns=min(2, len(rolls))
    )
    return [*written, picture]
