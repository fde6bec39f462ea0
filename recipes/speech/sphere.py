"""NIST SPHERE files, as the corpus TIMIT has them.

A file begins with the line `NIST_1A`, then a line with the length of the
header in bytes, then lines `name -type value` up to `end_head`; samples follow
where the header ends.
"""

import re

from recipes.speech.recording import (
    Recording,
    RecordingError,
    check_mono,
    check_not_empty,
    pcm_blocks,
)

MAGIC = b"NIST_1A\n"
TIMIT_RATE = 16000
_LONGEST_HEADER = 2**20
_FIELD = re.compile(r"(\w+) -(?:i|r|s\d+) (.*)")
_DTYPES = {"01": "<i2", "10": ">i2"}


def read_header(path):
    """The header of a SPHERE file.

    Args:
        path: Path.

    Returns:
        `(fields, length)`: a dict from name to text, and the bytes before the
        samples.

    Raises:
        RecordingError: It is none.
    """
    with open(path, "rb") as file:
        magic, length = file.readline(64), file.readline(64).strip()
        if magic != MAGIC or not length.isdigit():
            raise RecordingError(
                f"{path} must begin with a NIST SPHERE header. "
                f"Received: {magic[:16]!r}."
            )
        num_bytes = int(length)
        file.seek(0)
        header = file.read(min(num_bytes, _LONGEST_HEADER))
    lines = header.decode("ascii", "replace").split("\n")
    if len(header) < num_bytes or "end_head" not in map(str.strip, lines):
        raise RecordingError(
            f"{path} is truncated: its SPHERE header does not end. "
            f"Received: {len(header)} of {num_bytes} bytes."
        )
    matches = map(_FIELD.fullmatch, map(str.strip, lines))
    return {m[1]: m[2].strip() for m in matches if m}, num_bytes


def open_sphere(path):
    """Opens a SPHERE file of 16-bit samples.

    The samples are checked against the header: their number at once, the
    least and the greatest when the last block has been read. What TIMIT means
    where a field is missing is taken: one channel, 16 kHz, little-endian.

    Args:
        path: Path.

    Returns:
        `Recording`.

    Raises:
        RecordingError: The header is damaged, disagrees with the samples, or
            tells of an encoding other than 16-bit PCM, or of two channels.
    """
    fields, start = read_header(path)
    coding = fields.get("sample_coding", "pcm")
    order = fields.get("sample_byte_format", "01")
    width = fields.get("sample_n_bytes", "2")
    if coding != "pcm" or order not in _DTYPES or width != "2":
        raise RecordingError(
            f"{path} has an unknown encoding; SPHERE files must be "
            f"uncompressed 16-bit PCM. Received: sample_coding={coding!r}, "
            f"sample_byte_format={order!r}, sample_n_bytes={width!r}."
        )
    check_mono(path, _integer(path, fields, "channel_count", 1))
    num_samples = _integer(path, fields, "sample_count")
    check_not_empty(path, num_samples)
    num_bytes = path.stat().st_size - start
    if num_bytes != 2 * num_samples:
        raise RecordingError(
            f"{path} must have the samples that its SPHERE header counts. "
            f"Received: sample_count={num_samples}, and {num_bytes} bytes, "
            f"which are {num_bytes / 2:g} samples."
        )
    extremes = [
        _integer(path, fields, name) if name in fields else None
        for name in ("sample_min", "sample_max")
    ]
    return Recording(
        _integer(path, fields, "sample_rate", TIMIT_RATE),
        num_samples,
        lambda: _checked(
            path, pcm_blocks(path, start, num_samples, _DTYPES[order]), extremes
        ),
    )


def _checked(path, blocks, extremes):
    low, high = 2**15, -(2**15)
    for block in blocks:
        low, high = min(low, block.min()), max(high, block.max())
        yield block
    for name, told, seen in zip(
        ("sample_min", "sample_max"), extremes, (low, high), strict=True
    ):
        if told is not None and told != seen:
            raise RecordingError(
                f"{path} must agree with its SPHERE header. "
                f"Received: {name}={told}, and samples of {seen}."
            )


def _integer(path, fields, name, default=None):
    text = fields.get(name, default)
    try:
        return int(text)
    except (TypeError, ValueError):
        raise RecordingError(
            f"{path} must have an integer `{name}` in its SPHERE header. "
            f"Received: {name}={text!r}."
        ) from None
