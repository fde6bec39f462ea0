"""Continuations of poses, as arrays, a picture and an animation."""

import importlib.util
import pathlib

import numpy as np

from recipes.errors import RecipeError, told_to_the_user
from recipes.pose.animation import write_animation
from recipes.pose.drawing import Strip
from recipes.pose.plots import plot_strips
from recipes.storage import atomic_path


def sample(trained, settings):
    """Continues beginnings of sequences.

    Args:
        trained: Has `model`, `folder` and `sequences`, the `Poses`.
        settings: `recipes.pose.config.SampleSettings`.

    Returns:
        The paths that were written.
    """
    with told_to_the_user():
        _require_packages()
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    sequences, titles = _choose(trained.sequences, settings)
    steps = settings.prefix_length
    prefixes = np.stack([sequence[:steps] for sequence in sequences])
    print(
        f"Sampling {settings.num_samples} x {settings.sample_length} steps "
        f"after {steps} steps of {len(titles)} sequence(s)"
    )
    samples = _samples(trained.model, prefixes, settings)
    columns = [
        _column(sequence, continuations, title, settings)
        for sequence, continuations, title in zip(
            sequences, samples, titles, strict=True
        )
    ]
    with told_to_the_user():
        return _write(folder, prefixes, samples, columns, settings)


def _require_packages():
    """Fails before the work, not after it."""
    for name, module in (("matplotlib", "matplotlib"), ("pillow", "PIL")):
        if importlib.util.find_spec(module) is None:
            raise ImportError(
                f"`sample` needs the package {name}. "
                'Run `pip install "keras_fivo[plots]"`.'
            )


def _choose(poses, settings):
    """The sequences to continue, and what they are called."""
    steps = settings.prefix_length
    sequences = poses.split(settings.split)
    if not steps:
        return [np.zeros((0, sequences[0].shape[1]), "float32")], ["no prefix"]
    wanted = [i for i, each in enumerate(sequences) if len(each) >= steps]
    if not wanted:
        raise RecipeError(
            f"No sequence of the {settings.split} split has so many steps; "
            f"the longest has {max(map(len, sequences))}. "
            f"Received: prefix_length={steps}."
        )
    wanted = wanted[: settings.num_prefixes]
    titles = [f"{settings.split} {index}" for index in wanted]
    return [sequences[index] for index in wanted], titles


def _samples(model, prefixes, settings):
    """Continuations `(prefixes, samples, steps, 64)`."""
    from keras import ops

    options = {"num_samples": settings.num_samples, "seed": settings.seed}
    if prefixes.shape[1]:
        options["prefix"] = prefixes
        options["num_particles"] = settings.num_particles
    samples = model.sample(settings.sample_length, **options)
    samples = ops.convert_to_numpy(samples)
    return samples if prefixes.shape[1] else samples[None]


def _column(sequence, continuations, title, settings):
    """What was recorded, and below it each continuation, as strips."""
    steps = settings.prefix_length
    strips = [
        Strip(
            np.concatenate([sequence[:steps], continuation]),
            steps,
            f"{title}, sample {number}",
        )
        for number, continuation in enumerate(continuations)
    ]
    if not steps:
        return strips
    recorded = sequence[: steps + settings.sample_length]
    return [Strip(recorded, steps, f"{title}, data", recorded=True), *strips]


def _write(folder, prefixes, samples, columns, settings):
    paths = [
        folder / name for name in ("samples.npz", "figures.png", "figures.gif")
    ]
    with atomic_path(paths[0]) as partial:
        np.savez_compressed(partial, prefixes=prefixes, samples=samples)
    plot_strips(paths[1], columns, y_down=settings.y_down)
    write_animation(
        paths[2], columns, settings.frames_per_second, settings.y_down
    )
    return paths
