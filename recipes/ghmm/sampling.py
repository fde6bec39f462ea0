"""What `sample` writes for the Gaussian chain."""

import pathlib

import numpy as np

from recipes.errors import RecipeError, told_to_the_user
from recipes.ghmm.pictures import draw_chain
from recipes.storage import atomic_path


def sample(trained, settings):
    """Draws posteriors and forecasts of sequences; keeps the forecasts.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.ghmm.config.SampleSettings`.

    Returns:
        The paths that were written.

    Raises:
        RecipeError: A prefix leaves nothing to forecast.
    """
    observations = trained.sequences.split(settings.split)
    latents = trained.sequences.latents(settings.split)
    end = settings.prefix_length + settings.sample_length
    if end > len(observations[0]):
        raise RecipeError(
            "The forecast is drawn beside what came: `prefix_length` + "
            f"`sample_length` must be at most {len(observations[0])}, the "
            "steps of a sequence. Received: "
            f"prefix_length={settings.prefix_length}, "
            f"sample_length={settings.sample_length}."
        )
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    chosen = range(min(settings.num_prefixes, len(observations)))
    written, samples = [], []
    for index in chosen:
        path = folder / f"posterior-{index}.png"
        with told_to_the_user():
            found = draw_chain(
                path,
                trained.model,
                observations[index][:end],
                latents[index][:end],
                settings.prefix_length,
                num_particles=settings.num_particles,
                num_samples=settings.num_samples,
                lag=settings.lag,
                seed=settings.seed + index,
            )
        samples.append(found)
        written.append(path)
    path = folder / "samples.npz"
    prefixes = [observations[i][: settings.prefix_length] for i in chosen]
    with atomic_path(path) as partial:
        np.savez_compressed(
            partial, prefixes=np.stack(prefixes), samples=np.stack(samples)
        )
    return [path, *written]
