"""What the verbs call for speech."""

import dataclasses
import math
from typing import Any

import keras_fivo as kf
from recipes.data.sequence_dataset import SequenceDataset
from recipes.speech.baselines import linear_prediction, white_noise
from recipes.speech.clips import Clips
from recipes.speech.loading import load_speech
from recipes.speech.sampling import sample as sample
from recipes.training.evaluation import evaluation_batches

__all__ = [
    "after_evaluation",
    "baseline",
    "emission",
    "evaluation_batches",
    "load",
    "sample",
    "train_batches",
]
_PROBABILITIES = (kf.QuantizedNormalHead, kf.DiscretizedLogisticMixtureHead)


@dataclasses.dataclass
class SpeechData:
    """A data set of speech, as the verbs know it.

    Attributes:
        recordings: `Recordings`.
    """

    recordings: Any

    def split(self, name):
        """The whole recordings of a split, `Clips`."""
        return self.recordings.split(name)

    def digest(self):
        """What tells one data set from another."""
        return self.recordings.digest()


def load(settings, show_progress=True):
    """`SpeechData` of the data set that the settings name."""
    return SpeechData(
        load_speech(settings.data, settings.data_path, show_progress)
    )


def train_batches(data, settings):
    """Shuffled batches of the train split, of clips or whole recordings."""
    clips = data.recordings.split("train", settings.clip_seconds)
    if settings.chunk_length is not None:
        clips = Clips(data.recordings, "train", settings.chunk_length)
    return SequenceDataset(
        clips,
        batch_size=settings.batch_size,
        seed=settings.seed,
        num_buckets=settings.num_buckets,
    )


def emission(settings, data):
    """The head of p(samples of a step | latent, past).

    Data are `(sample - mean) / deviation` with 16-bit samples: their lattice
    has the width 1 / deviation.
    """
    attributes = data.recordings.attributes
    mean, width = attributes["mean"], 1 / attributes["deviation"]
    name, min_scale = settings.emission, settings.min_scale
    if name == "discretized_logistic_mixture":
        return kf.DiscretizedLogisticMixtureHead(
            num_components=settings.num_components,
            low=(-(2**15) - mean) * width,
            high=(2**15 - 1 - mean) * width,
            num_bins=2**16,
        )
    if name == "quantized_normal":
        return kf.QuantizedNormalHead(
            min_scale=min_scale, width=width, offset=-mean * width
        )
    if name == "normal_mixture":
        return kf.NormalMixtureHead(
            min_scale=min_scale, num_components=settings.num_components
        )
    heads = {
        "normal": kf.NormalHead,
        "laplace": kf.LaplaceHead,
        "student_t": kf.StudentTHead,
    }
    return heads[name](min_scale=min_scale)


def baseline(data, split):
    """What linear prediction reaches: its name, and nats per step."""
    return "linear prediction", linear_prediction(data, split)


def after_evaluation(trained, settings, content):
    """Tells the bounds in nats of 16-bit samples too.

    Args:
        trained: `recipes.cli.trained.Trained`.
        settings: `EvaluateSettings`.
        content: What is known, a dict.

    Returns:
        The dict with `sixteen_bit`, nats per step by bound and baseline, and
        `nats_to_sixteen_bit`, what a density of the normalised data gains.
    """
    attributes = trained.sequences.recordings.attributes
    size = attributes["samples_per_step"]
    gain = -size * math.log(attributes["deviation"])
    is_density = not isinstance(trained.model.cell.emission, _PROBABILITIES)
    found = {
        name.upper(): values["bound_per_step"] + (gain if is_density else 0.0)
        for name, values in content["bounds"].items()
    }
    name, value = baseline(trained.sequences, settings.split)
    found[name] = value + gain
    found["white noise"] = white_noise(trained.sequences, settings.split) + gain
    print(
        f"A step is {size} samples. "
        + (
            "The bounds are of densities of the normalised data."
            if is_density
            else "The bounds are of probabilities of 16-bit samples; the "
            "baseline's is of a density of the normalised data."
        )
    )
    print(
        f"\n{'nats of 16-bit samples':<24} {'per step':>10} {'per sample':>14}"
    )
    for name, value in found.items():
        print(f"{name:<24} {value:>10.3f} {value / size:>14.4f}")
    print()
    return {**content, "sixteen_bit": found, "nats_to_sixteen_bit": gain}
