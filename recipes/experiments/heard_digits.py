"""Samples that are heard as digits: `recipes.experiments.heard_digits`.

A classifier of recordings listens to sounds that a model makes. It tells ten
digits, and as an eleventh kind sounds that are none: recordings whose steps
come in any order, and noise of a recording's spectrum.
"""

import pathlib
import sys
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from recipes.errors import told_to_the_user
from recipes.packages import require
from recipes.settings.base import FilePath, Natural, Positive
from recipes.settings.common import TrainedSettings
from recipes.settings.program import Program
from recipes.storage import write_json

# A sound becomes the logarithms of its energy in bands and stretches of time.
BANDS, STRETCHES = 24, 12
_WINDOW = 256  # samples, 32 milliseconds at 8 kHz
# Quieter than the loudest stretch by this many decibels is silence.
_FLOOR = 50.0
_NO_DIGIT = 10


class HeardSettings(TrainedSettings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Measurement"
    num_samples: Positive = 300
    """Number of sounds that the model makes."""
    sample_length: Positive = 18
    """Number of steps of each; recordings have about 18."""
    sure: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability of one digit from which the classifier counts as sure."""
    seed: Natural = 0
    """Seed of the samples, and of the sounds that are no digits."""
    output: FilePath = "runs/heard-digits.json"
    """JSON file to write."""


def run(settings: HeardSettings) -> None:
    """Trains the classifier on recordings, and lets it listen."""
    with told_to_the_user():
        require("The classifier", "audio", "sklearn")
    import keras

    from recipes.speech.sampling import to_samples
    from recipes.training.trained import load_trained

    trained = load_trained(settings)
    recordings = trained.sequences.recordings
    attributes = recordings.attributes
    rate = attributes["sample_rate"]

    def features(sounds: Any) -> np.ndarray:
        samples = [to_samples(x, attributes) for x in sounds]
        return np.stack([sound_features(x, rate) for x in samples])

    heard: dict[str, Any] = {}
    kinds, generator = {}, np.random.default_rng(settings.seed)
    for split in ("train", "valid", "test"):
        clips = trained.sequences.split(split)
        sounds = [clips[i] for i in range(len(clips))]
        heard = {
            "recordings of test": features(sounds),
            "their steps in any order": features(
                [generator.permutation(x) for x in sounds]
            ),
            "noise of their spectrum": features(
                [noise_like(x, generator) for x in sounds]
            ),
        }
        digits = digits_of(recordings.names(split))
        none = np.full(2 * len(digits), _NO_DIGIT)
        kinds[split] = (
            np.concatenate(list(heard.values())),
            np.concatenate([digits, none]),
        )
    sampled = trained.model.sample(
        settings.sample_length,
        num_samples=settings.num_samples,
        seed=settings.seed,
    )
    heard["samples"] = features(keras.ops.convert_to_numpy(sampled))
    classifier = classifier_of(kinds["train"], kinds["valid"])
    accuracy = float(classifier.score(*kinds["test"]))
    rows = {
        name: verdict(classifier.predict_proba(x), settings.sure)
        for name, x in heard.items()
    }
    print(
        f"\nThe classifier is right about {accuracy:.1%} of the test "
        "recordings and the sounds made of them.\n"
    )
    print(table(rows, settings.sure))
    content = {"settings": settings.as_dict(), "accuracy": accuracy, **rows}
    with told_to_the_user():
        write_json(settings.output, content)
    print(f"\nWritten to {settings.output}")


def digits_of(names: list[str]) -> np.ndarray:
    """Returns the digits of recordings, with which their names begin."""
    return np.array([int(pathlib.PurePosixPath(x).name[0]) for x in names])


def noise_like(sound: np.ndarray, generator: np.random.Generator) -> Any:
    """Makes a sound of the same spectrum in which nothing changes."""
    spectrum = np.fft.rfft(np.ravel(sound))
    angles = generator.uniform(0, 2 * np.pi, spectrum.shape)
    noise = np.fft.irfft(np.abs(spectrum) * np.exp(1j * angles), sound.size)
    return noise.reshape(sound.shape)


def sound_features(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns log energies by stretch of time and band, less their mean.

    Silence before and after is cut off, and stretches are shares of what is
    left: neither how loud nor how long a digit is spoken counts.

    Args:
        samples: 16-bit samples `(n,)`.
        rate: Samples a second.

    Returns:
        `(STRETCHES * BANDS,)`.
    """
    import scipy.signal

    padded = np.pad(np.asarray(samples, "float64"), _WINDOW)
    frequencies, _, spectrum = scipy.signal.stft(
        padded, rate, nperseg=_WINDOW, noverlap=_WINDOW * 3 // 4
    )
    energy = np.abs(spectrum.T) ** 2  # (frames, frequencies)
    loudness = 10 * np.log10(energy.sum(1) + 1e-9)
    loud = np.flatnonzero(loudness > loudness.max() - _FLOOR)
    energy = energy[loud[0] : loud[-1] + 1]
    # Bands of equal width in mel, which is how pitch is heard.
    mel = 2595 * np.log10(1 + frequencies / 700)
    band = np.minimum((mel / mel[-1] * BANDS).astype(int), BANDS - 1)
    membership = band[:, None] == np.arange(BANDS)
    frames = np.arange(len(energy)) * STRETCHES // len(energy)
    if len(energy) < STRETCHES:
        energy = energy[np.arange(STRETCHES) * len(energy) // STRETCHES]
        frames = np.arange(STRETCHES)
    sums = (frames == np.arange(STRETCHES)[:, None]) @ energy @ membership
    logs = np.log(sums + 1e-4 * sums.max() + 1e-9)
    found: np.ndarray = (logs - logs.mean()).reshape(-1)
    return found


def classifier_of(train: tuple, valid: tuple) -> Any:
    """Fits a support vector machine; its penalty is the best for `valid`.

    Args:
        train: Features, and the digits or `_NO_DIGIT`.
        valid: Features and digits to choose the penalty by.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def fitted(penalty: float) -> Any:
        # Its probabilities are sigmoids, fitted to folds that were held out.
        machine = CalibratedClassifierCV(SVC(C=penalty), ensemble=False)
        return make_pipeline(StandardScaler(), machine).fit(*train)

    found = [fitted(penalty) for penalty in (1.0, 10.0)]
    return max(found, key=lambda classifier: classifier.score(*valid))


def verdict(probabilities: np.ndarray, sure: float) -> dict[str, Any]:
    """Tells what a classifier makes of some sounds.

    Args:
        probabilities: `(sounds, 11)`, the last of no digit.
        sure: Probability from which it is sure.
    """
    digits = probabilities[:, :_NO_DIGIT]
    largest, digit = digits.max(1), digits.argmax(1)
    certain = largest >= sure
    counts = np.bincount(digit[certain], minlength=10)
    return {
        "count": len(largest),
        "sure": float(certain.mean()),
        "none": float(probabilities[:, _NO_DIGIT].mean()),
        "digits": [int(x) for x in counts],
    }


def table(rows: dict[str, dict], sure: float) -> str:
    """Returns rows as Markdown."""
    lines = [
        f"| sounds | number | sure of a digit (at least {sure:g}) | mean "
        "probability of none | sure of 0, 1, ..., 9 |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        digits = " ".join(str(x) for x in row["digits"])
        lines.append(
            f"| {name} | {row['count']} | {row['sure']:.1%} | "
            f"{row['none']:.2f} | {digits} |"
        )
    return "\n".join(lines)


PROGRAM = Program(
    "python -m recipes.experiments.heard_digits",
    "Lets a classifier of real spoken digits listen to samples of a model.",
    """\
Trains a support vector machine on log energies of the train recordings, and of
sounds made of them that are no digits; tells in which share of the samples it
is sure of a digit, beside test recordings and what is made of them.

  python -m recipes.experiments.heard_digits run=digits-vrnn
  python -m recipes.experiments.heard_digits run=runs/digits-vrnn-fivo""",
    HeardSettings(run="digits-vrnn"),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
