"""Opens recordings of any kind, and resamples them.

soundfile reads them all. Checked by hand is what it makes the best of without
a word: a file that is cut short, and a SPHERE header that disagrees with its
samples.
"""

import math
import pathlib
import re
import struct

import numpy as np

from recipes.errors import FileError, reading
from recipes.speech.recording import (
    BLOCK,
    FULL_SCALE,
    Recording,
    check_rate,
    check_sizes,
)

SUFFIXES = (".wav", ".flac", ".ogg")
_RIFF, _SPHERE = b"RIFF", b"NIST_1A\n"
_KINDS = (_RIFF, _SPHERE, b"fLaC", b"OggS", b"RF64")
_SPHERE_FIELD = re.compile(r"^(sample_\w+) -\w+ (.*)$", re.MULTILINE)
_SPHERE_BYTES = 2**16  # of a header


def open_recording(path):
    """Opens a recording; its content tells of which kind it is.

    Args:
        path: Path of a WAV, NIST SPHERE, FLAC or OGG file.

    Returns:
        `Recording`.

    Raises:
        FileError: It is damaged, not mono, empty, or of an unknown encoding.
        ImportError: soundfile is not installed.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        magic = file.read(len(_SPHERE))
        if not magic.startswith(_KINDS):
            raise FileError(
                f"{path} has an unknown encoding; WAV, NIST SPHERE, FLAC and "
                f"OGG are read. Received: a file that begins with {magic!r}."
            )
        soundfile = _soundfile(path)
        told = {}
        with reading(path, "a recording"):
            if magic.startswith(_RIFF):
                _check_chunks(file, path)
            if magic == _SPHERE:
                told = _read_sphere_header(file)
            info = soundfile.info(str(path))
    check_sizes(path, info.channels, info.frames)
    check_rate(path, info.samplerate)
    told.setdefault("sample_count", info.frames)
    return Recording(
        info.samplerate, info.frames, lambda: _blocks(path, soundfile, told)
    )


def resample(recording, rate):
    """Returns the recording at another rate, filtered block by block.

    What `scipy.signal.resample_poly` makes of the whole, rounded to 16 bits.

    Args:
        recording: `Recording`.
        rate: int. Samples per second.

    Returns:
        `Recording`.
    """
    if rate == recording.rate:
        return recording
    check_rate("`sample_rate`", rate)
    common = math.gcd(rate, recording.rate)
    up, down = rate // common, recording.rate // common
    num_samples = -(-recording.num_samples * up // down)
    return Recording(
        rate, num_samples, lambda: _resampled(recording.blocks(), up, down)
    )


def _soundfile(path):
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without libsndfile
        raise ImportError(
            f"{path} needs soundfile, which reads recordings. "
            'Run `pip install "keras_fivo[audio]"`.'
        ) from error
    return soundfile


def _check_chunks(file, path):
    """Refuses a WAV file that ends before one of its chunks does."""
    size = path.stat().st_size
    start = 12
    name = b""
    while name != b"data":
        file.seek(start)
        name, length = struct.unpack("<4sI", file.read(8))
        start += 8 + length + length % 2
        if start - length % 2 > size:
            raise EOFError(f"truncated: {size} of {start} bytes")


def _read_sphere_header(file):
    """Tells a SPHERE header's number of samples, the least and greatest."""
    file.seek(0)
    header, end, _ = file.read(_SPHERE_BYTES).partition(b"end_head")
    fields = dict(_SPHERE_FIELD.findall(header.decode("ascii", "replace")))
    if not end or "sample_count" not in fields:
        raise EOFError("a SPHERE header without sample_count, or an end")
    names = ("sample_count", "sample_min", "sample_max")
    return {name: int(fields[name]) for name in names if name in fields}


def _blocks(path, soundfile, told):
    """Yields samples in 16-bit units, held to what the header told."""
    seen = {"sample_count": 0, "sample_min": math.inf, "sample_max": -math.inf}
    with reading(path, "a recording"):
        with soundfile.SoundFile(str(path)) as file:
            while len(block := file.read(BLOCK, dtype="float64")):
                if not np.isfinite(block).all():
                    raise ValueError("samples that are not finite")
                block = _rounded(block * FULL_SCALE)
                seen["sample_count"] += len(block)
                low, high = int(block.min()), int(block.max())
                seen["sample_min"] = min(seen["sample_min"], low)
                seen["sample_max"] = max(seen["sample_max"], high)
                yield block
    for name, value in told.items():
        if value != seen[name]:
            raise FileError(
                f"{path} is truncated, or its header is wrong: it must agree "
                f"with the samples. Received: {name}={value}, and samples "
                f"of {seen[name]}."
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
