"""Continuations of poses, as arrays, a picture and an animation."""

import pathlib
from typing import Any

import numpy as np

from recipes.data.prefixes import choose_sequences, continue_sequences
from recipes.errors import told_to_the_user
from recipes.packages import require
from recipes.pose.animation import write_animation
from recipes.pose.drawing import Strip
from recipes.pose.plots import plot_strips
from recipes.storage import atomic_path


def sample(trained: Any, settings: Any) -> list[pathlib.Path]:
    """Continues beginnings of sequences; returns the files that it wrote.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.pose.config.SampleSettings`.
    """
    with told_to_the_user():
        require("`sample`", "plots", "matplotlib", "PIL")
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    sequences, titles = choose_sequences(
        trained.sequences.split(settings.split), settings
    )
    prefixes, samples = continue_sequences(trained.model, sequences, settings)
    columns = [
        _column(sequence, continuations, title, settings)
        for sequence, continuations, title in zip(
            sequences, samples, titles, strict=True
        )
    ]
    names = ("samples.npz", "figures.png", "figures.gif")
    paths = [folder / name for name in names]
    with told_to_the_user():
        with atomic_path(paths[0]) as partial:
            np.savez_compressed(partial, prefixes=prefixes, samples=samples)
        plot_strips(paths[1], columns, y_down=settings.y_down)
        write_animation(
            paths[2], columns, settings.frames_per_second, settings.y_down
        )
    return paths


def _column(
    sequence: np.ndarray, continuations: np.ndarray, title: str, settings: Any
) -> list[Strip]:
    """Draws what was recorded, and below it each continuation, as strips."""
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
