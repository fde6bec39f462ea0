"""Small recordings for the tests of speech."""

import struct

import numpy as np

from recipes.speech.config import prepare_settings
from recipes.speech.data import prepare


def noise(num_samples, seed=0, scale=1000):
    """int16 samples."""
    generator = np.random.default_rng(seed)
    return np.rint(generator.normal(3, scale, num_samples)).astype("int16")


def wav_bytes(samples, rate=8000, channels=1, encoding=1, bits=16):
    """The content of a WAV file."""
    content = np.asarray(samples, "<i2").tobytes()
    width = channels * bits // 8
    form = struct.pack(
        "<HHIIHH",
        *(encoding, channels, rate, rate * width % 2**32, width, bits),
    )
    chunks = b"fmt " + struct.pack("<I", 16) + form
    chunks += b"LIST" + struct.pack("<I", 3) + b"odd\0"
    chunks += b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def sphere_bytes(samples, **changed):
    """The content of a SPHERE file; fields may be changed or left out."""
    fields = {
        "sample_count": len(samples),
        "sample_n_bytes": 2,
        "channel_count": 1,
        "sample_rate": 16000,
        "sample_min": min(samples),
        "sample_max": max(samples),
        "sample_byte_format": "01",
        "sample_coding": "pcm",
    } | changed
    lines = ["NIST_1A", "   1024"]
    for name, value in fields.items():
        if value is not None:
            kind = f"s{len(value)}" if isinstance(value, str) else "i"
            lines.append(f"{name} -{kind} {value}")
    header = "\n".join([*lines, "end_head", ""]).encode()
    order = ">i2" if fields["sample_byte_format"] == "10" else "<i2"
    return header.ljust(1024) + np.asarray(samples, order).tobytes()


def write(path, content):
    """Writes a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def timit_tree(root, num_train=40, num_test=4):
    """A tree of the form of TIMIT; gives the samples by path."""
    samples = {}
    for split, count in (("TRAIN", num_train), ("TEST", num_test)):
        for i in range(count):
            name = f"TIMIT/{split}/DR{i % 3}/F{i % 7}/SX{i}.WAV"
            samples[name] = noise(350 + 97 * (i % 5), seed=i)
            write(root / name, sphere_bytes(samples[name]))
    return samples


def voices(root, num_recordings=10, rate=8000):
    """A folder of speakers' WAV files; gives the samples by path."""
    samples = {}
    for i in range(num_recordings):
        name = f"speaker{i % 5}/{i}.wav"
        samples[name] = noise(500 + 60 * i, seed=i)
        write(root / name, wav_bytes(samples[name], rate))
    return samples


def prepare_quietly(source, out, **given):
    """Prepares; gives the lines that it would print."""
    lines = []
    settings = prepare_settings(given.get("corpus", "folder")).changed(
        source=str(source), out=str(out), **given
    )
    prepare(settings, lines.append, show_progress=False)
    return lines


def total(speech, split, index):
    """The sum of a recording; here, where other processes find it."""
    return float(speech.split(split)[index].astype("float64").sum())
