"""RIFF WAV files of 16-bit PCM, without any library."""

import dataclasses
import struct
import wave

import numpy as np

from recipes.speech.recording import (
    Recording,
    RecordingError,
    check_mono,
    check_not_empty,
    pcm_blocks,
)
from recipes.storage import atomic_path

MAGIC = b"RIFF"
_PCM, _EXTENSIBLE = 1, 0xFFFE
# Integers, floats, A-law, mu-law, IMA and Microsoft ADPCM, GSM.
_KNOWN_TO_SOUNDFILE = (_PCM, _EXTENSIBLE, 2, 3, 6, 7, 0x11, 0x31)


@dataclasses.dataclass(frozen=True)
class WavHeader:
    """What stands before the samples.

    Attributes:
        encoding: int. The format tag; 1 is PCM.
        num_channels: int.
        rate: int. Samples per second.
        bits: int. Bits of a sample.
        start: int. The byte at which the samples begin.
        num_bytes: int. Bytes of samples.
    """

    encoding: int
    num_channels: int
    rate: int
    bits: int
    start: int
    num_bytes: int

    @property
    def is_plain(self):
        """Whether the samples are 16-bit PCM."""
        return self.encoding == _PCM and self.bits == 16


def read_header(path):
    """The header of a WAV file, checked against the size of the file.

    Args:
        path: `pathlib.Path`.

    Returns:
        `WavHeader`.

    Raises:
        RecordingError: The file is truncated, or its encoding unknown.
    """
    size = path.stat().st_size
    encoding = None
    with open(path, "rb") as file:
        _, _, kind = _unpack(path, file, "<4sI4s")
        if kind != b"WAVE":
            raise RecordingError(
                f"{path} must be a WAV file. Received: RIFF of {kind!r}."
            )
        while True:
            name, num_bytes = _unpack(path, file, "<4sI")
            start = file.tell()
            if start + num_bytes > size:
                raise RecordingError(
                    f"{path} is truncated. Received: {size - start} of "
                    f"{num_bytes} bytes of {name.decode('ascii', 'replace')!r}."
                )
            if name == b"fmt ":
                encoding, channels, rate, _, _, bits = _unpack(
                    path, file, "<HHIIHH"
                )
                if encoding == _EXTENSIBLE and num_bytes >= 26:
                    encoding = _unpack(path, file, "<8xH")[0]
            elif name == b"data" and encoding is not None:
                break
            file.seek(start + num_bytes + num_bytes % 2)
    if encoding not in _KNOWN_TO_SOUNDFILE:
        raise RecordingError(
            f"{path} has an unknown encoding. Received: WAV format {encoding}."
        )
    return WavHeader(encoding, channels, rate, bits, start, num_bytes)


def open_wav(path, header):
    """Opens a WAV file of 16-bit PCM.

    Args:
        path: Path.
        header: As from `read_header`.

    Returns:
        `Recording`.

    Raises:
        RecordingError: It is not mono, or has no samples.
    """
    check_mono(path, header.num_channels)
    num_samples = header.num_bytes // 2
    check_not_empty(path, num_samples)
    return Recording(
        header.rate,
        num_samples,
        lambda: pcm_blocks(path, header.start, num_samples, "<i2"),
    )


def write_wav(path, samples, rate):
    """Writes a mono recording of 16 bits.

    Args:
        path: Path of the file, which appears whole or not at all.
        samples: int16 array `(samples,)`.
        rate: int. Samples per second.
    """
    with atomic_path(path) as partial, wave.open(str(partial), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def _unpack(path, file, form):
    content = file.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise RecordingError(
            f"{path} is truncated: it ends before its samples. "
            f"Received: {path.stat().st_size} bytes."
        )
    return struct.unpack(form, content)
