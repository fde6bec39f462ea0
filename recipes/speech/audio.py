"""Opens recordings of any kind, and resamples them."""

import math
import pathlib

import numpy as np

from recipes.speech import sphere, wav
from recipes.speech.recording import (
    BLOCK,
    FULL_SCALE,
    Recording,
    RecordingError,
    check_mono,
    check_not_empty,
)

SUFFIXES = (".wav", ".flac", ".ogg")


def open_recording(path):
    """Opens a recording; its content tells of which kind it is.

    Args:
        path: Path of a WAV, NIST SPHERE, FLAC or OGG file.

    Returns:
        `Recording`.

    Raises:
        RecordingError: It is damaged, not mono, empty, or of an unknown
            encoding.
        ImportError: It needs soundfile, which is not installed.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        magic = file.read(len(sphere.MAGIC))
    if magic == sphere.MAGIC:
        return sphere.open_sphere(path)
    if magic.startswith(wav.MAGIC):
        header = wav.read_header(path)
        if header.is_plain:
            return wav.open_wav(path, header)
    elif not magic.startswith((b"fLaC", b"OggS", b"RF64")):
        raise RecordingError(
            f"{path} has an unknown encoding; WAV, NIST SPHERE, FLAC and OGG "
            f"are read. Received: a file that begins with {magic!r}."
        )
    return _open_with_soundfile(path)


def resample(recording, rate):
    """The recording at another rate, filtered block by block.

    What `scipy.signal.resample_poly` makes of the whole, rounded to 16 bits.

    Args:
        recording: `Recording`.
        rate: int. Samples per second.

    Returns:
        `Recording`.
    """
    if rate == recording.rate:
        return recording
    common = math.gcd(rate, recording.rate)
    up, down = rate // common, recording.rate // common
    num_samples = -(-recording.num_samples * up // down)
    return Recording(
        rate, num_samples, lambda: _resampled(recording.blocks(), up, down)
    )


def _resampled(blocks, up, down):
    """Filters each piece together with what the filter reaches around it."""
    from scipy.signal import resample_poly

    # SciPy's filter reaches this far to each side, in multiples of `down`, so
    # that a piece begins and ends where the whole has an output.
    reach = down * -(-(10 * max(up, down) // up + 1) // down)
    size = down * max(1, BLOCK // down)
    pending, before = np.zeros(0, "float64"), 0
    for block in blocks:
        pending = np.concatenate([pending, block])
        while len(pending) >= before + size + reach:
            piece = pending[: before + size + reach]
            result = resample_poly(piece, up, down)
            skip = before * up // down
            yield _rounded(result[skip : skip + size * up // down])
            pending = pending[before + size - reach :]
            before = reach
    if len(pending) > before:
        result = resample_poly(pending, up, down)
        yield _rounded(result[before * up // down :])


def _rounded(samples):
    samples = np.rint(samples)
    return np.clip(samples, -FULL_SCALE, FULL_SCALE - 1).astype("int16")


def _open_with_soundfile(path):
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without libsndfile
        raise ImportError(
            f"{path} needs soundfile; without it, only 16-bit PCM is read. "
            'Run `pip install "keras_fivo[audio]"`.'
        ) from error
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    check_mono(path, info.channels)
    check_not_empty(path, info.frames)

    def blocks():
        num_read = 0
        try:
            with soundfile.SoundFile(str(path)) as file:
                while len(block := file.read(BLOCK, dtype="float32")):
                    num_read += len(block)
                    yield _rounded(block * FULL_SCALE)
        except soundfile.SoundFileError as error:
            raise RecordingError(f"{path} cannot be read: {error}") from error
        if num_read != info.frames:
            raise RecordingError(
                f"{path} is truncated. Received: {num_read} of {info.frames} "
                "samples."
            )

    return Recording(info.samplerate, info.frames, blocks)
