"""Continuations of music, as arrays, MIDI files and a picture."""

import pathlib

import numpy as np

from recipes.errors import RecipeError, told_to_the_user
from recipes.pianoroll.midi import write_midi
from recipes.pianoroll.plots import plot_rolls
from recipes.storage import atomic_path


def sample(trained, settings):
    """Continues beginnings of sequences.

    Args:
        trained: `recipes.cli.trained.Trained`.
        settings: `recipes.pianoroll.config.SampleSettings`.

    Returns:
        The paths that were written.
    """
    with told_to_the_user():
        _require_packages()
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    prefixes, titles = _prefixes(trained, settings)
    print(
        f"Sampling {settings.num_samples} x {settings.sample_length} steps "
        f"after {prefixes.shape[1]} steps of {len(titles)} sequence(s)"
    )
    samples = _samples(trained.model, prefixes, settings)
    with told_to_the_user():
        return _write(folder, prefixes, samples, titles, settings)


def _require_packages():
    """Fails before the work, not after it."""
    import importlib.util

    for name, extra in (("mido", "music"), ("matplotlib", "plots")):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"`sample` needs the package {name}. "
                f'Run `pip install "keras_fivo[{extra}]"`.'
            )


def _prefixes(trained, settings):
    """Prefixes `(prefixes, steps, 88)` and what they are called."""
    rolls = trained.sequences.split(settings.split)
    wanted = [
        index
        for index, roll in enumerate(rolls)
        if len(roll) >= settings.prefix_length
    ][: settings.num_prefixes]
    if not wanted:
        raise RecipeError(
            f"No sequence of the {settings.split} split has so many steps; "
            f"the longest has {max(map(len, rolls))}. "
            f"Received: prefix_length={settings.prefix_length}."
        )
    steps = settings.prefix_length
    if not steps:
        return np.zeros((1, 0, rolls[0].shape[1]), "float32"), ["no prefix"]
    titles = [f"{settings.split} {index}" for index in wanted]
    prefixes = [rolls[index][:steps] for index in wanted]
    return np.stack(prefixes).astype("float32"), titles


def _samples(model, prefixes, settings):
    """Continuations `(prefixes, samples, steps, 88)`."""
    from keras import ops

    options = {"num_samples": settings.num_samples, "seed": settings.seed}
    if prefixes.shape[1]:
        options["prefix"] = prefixes
        options["num_particles"] = settings.num_particles
    samples = model.sample(settings.sample_length, **options)
    samples = ops.convert_to_numpy(samples)
    return samples if prefixes.shape[1] else samples[None]


def _write(folder, prefixes, samples, titles, settings):
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
            written.append(path)
            rolls.append(roll)
            names.append(name)
    picture = folder / "rolls.png"
    plot_rolls(
        picture, rolls, prefixes.shape[1], names, columns=min(2, len(rolls))
    )
    return [*written, picture]
