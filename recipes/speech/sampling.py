"""Sounds from a trained model: samples, continuations and predictions."""

import dataclasses
import pathlib

import keras
import numpy as np

from recipes.errors import RecipeError, told_to_the_user
from recipes.packages import require
from recipes.sounds import write_wav
from recipes.speech.plots import Sound, plot_sounds
from recipes.speech.recording import FULL_SCALE
from recipes.storage import atomic_path

# Of a batch of prefixes: particles x steps x latent_dim numbers.
_BUDGET = 2**24
_NUM_DRAWS = 64  # of which a prediction is the mean


def sample(trained, settings):
    """Makes sounds; writes arrays, WAV files and pictures.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.speech.config.SampleSettings`.

    Returns:
        The paths that were written.
    """
    with told_to_the_user():
        require("`sample`", "plots", "matplotlib")
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    attributes = trained.sequences.recordings.attributes
    model = trained.model
    print(
        f"Sampling {settings.num_samples} x {settings.sample_length} steps of "
        f"{attributes['samples_per_step']} samples from nothing"
    )
    arrays = {"samples": _samples(model, settings)}
    pictures = {"samples": _sampled_sounds(arrays["samples"])}
    if settings.prefix_length:
        titles, steps = _recordings(trained, settings)
        print(
            f"Continuing {len(titles)} recordings after "
            f"{settings.prefix_length} steps, and predicting each step"
        )
        arrays |= _continue(model, steps, settings)
        pictures |= _continued_sounds(titles, steps, arrays, settings)
    with told_to_the_user():
        return _write(folder, arrays, pictures, attributes)


def predict_steps(model, steps, num_particles, seed):
    """Predicts each step of a recording from all steps before it.

    Args:
        model: A built `keras_fivo.LatentSequenceModel`.
        steps: float32 `(steps, features)`.
        num_particles: int. Particles that filter the steps before.
        seed: Seed of the noise.

    Returns:
        `(means, quantiles)`: float32 `(steps - 1, features)`, the predictive
        means of all steps but the first, and `(2, steps - 1, features)`, the
        5% and 95% quantiles.
    """
    total = len(steps) - 1
    numbers = num_particles * total * model.cell.latent_dim
    rows = max(1, min(total, _BUDGET // numbers))
    means, quantiles = [], []
    for start in range(0, total, rows):
        # The last rows are repeated: one shape for all batches.
        known = np.minimum(np.arange(start, start + rows) + 1, total)
        inside = np.arange(total) < known[:, None]
        prefixes = np.where(inside[..., None], steps[None, :-1], 0.0)
        forecast = model.forecast(
            {"observations": prefixes.astype("float32"), "lengths": known},
            1,
            num_samples=_NUM_DRAWS,
            quantiles=(0.05, 0.95),
            num_particles=num_particles,
            seed=seed,
        )
        means.append(_numpy(forecast.means)[:, 0])
        quantiles.append(_numpy(forecast.quantiles)[:, :, 0])
    return (
        np.concatenate(means)[:total],
        np.concatenate(quantiles, axis=1)[:, :total],
    )


def to_samples(steps, attributes):
    """Turns normalised steps into 16-bit samples; clips what is too loud.

    Args:
        steps: Array `(steps, samples_per_step)`.
        attributes: Dict of `mean` and `deviation`.

    Returns:
        int16 array `(steps * samples_per_step,)`.
    """
    samples = np.ravel(steps).astype("float64") * attributes["deviation"]
    samples = np.rint(samples + attributes["mean"])
    return np.clip(samples, -FULL_SCALE, FULL_SCALE - 1).astype("int16")


def _samples(model, settings):
    return _numpy(
        model.sample(
            settings.sample_length,
            num_samples=settings.num_samples,
            seed=settings.seed,
        )
    )


def _recordings(trained, settings):
    """Chooses recordings that are long enough, spread over the split."""
    clips = trained.sequences.split(settings.split)
    fitting = np.flatnonzero(clips.lengths > settings.prefix_length)
    if not len(fitting):
        raise RecipeError(
            f"No recording of the {settings.split} split has more steps; the "
            f"longest has {clips.lengths.max()}. "
            f"Received: prefix_length={settings.prefix_length}."
        )
    count = min(settings.num_prefixes, len(fitting))
    chosen = fitting[(np.arange(count) * len(fitting)) // count]
    names = trained.sequences.recordings.names(settings.split)
    longest = settings.prefix_length + settings.sample_length
    titles = [pathlib.PurePosixPath(names[i]).with_suffix("") for i in chosen]
    titles = [str(title).replace("/", "-") for title in titles]
    return titles, [clips[i][:longest] for i in chosen]


def _continue(model, steps, settings):
    """Returns arrays of continuations, and of predictions with quantiles."""
    prefixes = np.stack([one[: settings.prefix_length] for one in steps])
    continuations = model.sample(
        settings.sample_length,
        num_samples=settings.num_samples,
        prefix=prefixes,
        num_particles=settings.num_particles,
        seed=settings.seed,
    )
    arrays = {"prefixes": prefixes, "continuations": _numpy(continuations)}
    for number, one in enumerate(steps):
        means, quantiles = predict_steps(
            model, one, settings.num_particles, settings.seed
        )
        arrays[f"recording_{number}"] = one
        arrays[f"prediction_{number}"] = means
        arrays[f"quantiles_{number}"] = quantiles
    return arrays


def _sampled_sounds(samples):
    return [[Sound(f"sample {i}", one) for i, one in enumerate(samples)]]


def _continued_sounds(titles, steps, arrays, settings):
    """Returns rows of sounds by picture."""
    given = settings.prefix_length
    continued, predicted = [], []
    for number, (title, one) in enumerate(zip(titles, steps, strict=True)):
        sounds = [Sound(f"{title}, recording", one, given, is_data=True)]
        for index, more in enumerate(arrays["continuations"][number]):
            whole = np.concatenate([one[:given], more])
            sounds.append(Sound(f"{title}, continuation {index}", whole, given))
        continued.append(sounds)
        # The first step is predicted from nothing: it is left out.
        prediction = Sound(
            f"{title}, one-step prediction",
            arrays[f"prediction_{number}"],
            band=arrays[f"quantiles_{number}"],
        )
        data = Sound(f"{title}, recording from step 1", one[1:], is_data=True)
        predicted.append([data, prediction])
    return {"continuations": continued, "predictions": predicted}


def _write(folder, arrays, pictures, attributes):
    written = [folder / "samples.npz"]
    with atomic_path(written[0]) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)
    rate = attributes["sample_rate"]
    for name, rows in pictures.items():
        for sound in (sound for row in rows for sound in row):
            title = sound.title.replace(",", "").replace(" ", "-")
            written.append(folder / f"{title}.wav")
            write_wav(written[-1], to_samples(sound.steps, attributes), rate)
        written.append(folder / f"{name}.png")
        rows = [[_as_samples(one, attributes) for one in row] for row in rows]
        plot_sounds(written[-1], rows, rate)
    return written


def _as_samples(sound, attributes):
    """Returns a sound in shares of the full scale of 16 bits, for a picture."""
    deviation, mean = attributes["deviation"], attributes["mean"]
    band = sound.band
    if band is not None:
        band = (band.reshape(2, -1) * deviation + mean) / FULL_SCALE
    return dataclasses.replace(
        sound,
        steps=to_samples(sound.steps, attributes) / FULL_SCALE,
        given=sound.given * attributes["samples_per_step"],
        band=band,
    )


def _numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)
