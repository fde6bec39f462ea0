"""Prepared files that are damaged, or made to harm."""

import resource
import shutil

import h5py
import numpy as np
import pytest

from recipes.errors import FileError
from recipes.hdf5 import limited_memory
from recipes.speech.loading import load_speech
from recipes.speech.prepared import PreparedSpeech
from tests.recipes.fuzz import read_prepared, write_prepared


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("speech") / "whole.h5"
    write_prepared(path)
    read_prepared(path)
    return path


def put(file, name, value, **options):
    """Puts another data set in the place of one."""
    del file[name]
    file.create_dataset(name, data=value, **options)


def external(file):
    del file["train/samples"]
    file.create_dataset(
        "train/samples",
        (1200,),
        "int16",
        external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)],
    )


def virtual(file):
    del file["train/samples"]
    layout = h5py.VirtualLayout((1200,), "int16")
    layout[:] = h5py.VirtualSource("other.h5", "x", (1200,))
    file.create_virtual_dataset("train/samples", layout)


def linked(kind, *arguments):
    def spoil(file):
        del file["train"]
        file["train"] = kind(*arguments)

    return spoil


def huge(file):
    del file["train/samples"]
    file.create_dataset("train/samples", (10**12,), "int16", chunks=(2**15,))
    put(file, "train/offsets", np.array([0, 1, 2, 10**12]))


def compressed(file):
    samples = file["train/samples"][:]
    put(file, "train/samples", samples, compression="gzip")


def nested(file):
    group = file
    for _ in range(1500):
        group = group.create_group("g")


def shared(file):
    group = file.create_group("g")
    for _ in range(60):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner


def without(name):
    return lambda file: file.__delitem__(name)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def data(name, value):
    return lambda file: put(file, name, value)


SPOILT = {
    **{
        f"no attribute {name}": lambda file, name=name: file.attrs.pop(name)
        for name in ("corpus", "sample_rate", "samples_per_step", "mean")
    },
    "no format": lambda file: file.attrs.pop("format"),
    "no deviation": lambda file: file.attrs.pop("deviation"),
    "no samples": without("train/samples"),
    "no offsets": without("valid/offsets"),
    "no names": without("test/names"),
    "a split that is data": lambda file: (
        file.__delitem__("train"),
        file.create_dataset("train", data=[1]),
    ),
    "samples that are a group": lambda file: (
        file.__delitem__("train/samples"),
        file.create_group("train/samples"),
    ),
    "another file's samples": external,
    "another file's virtual samples": virtual,
    "soft link": linked(h5py.SoftLink, "/valid"),
    "external link": linked(h5py.ExternalLink, "other.h5", "/train"),
    "a group in itself": lambda file: file.__setitem__("train/me", file["/"]),
    "huge": huge,
    "compressed": compressed,
    "nested": nested,
    "shared": shared,
    "float samples": data("train/samples", np.zeros(1200)),
    "samples of two axes": data("train/samples", np.zeros((600, 2), "int16")),
    "float offsets": data("train/offsets", np.arange(4) * 400.0),
    "no recordings": data("train/offsets", np.zeros(1, int)),
    "offsets that fall": data("train/offsets", [0, 800, 400, 1200]),
    "offsets that wrap": data(
        "train/offsets", [0, 2**63 - 1, -(2**63) + 1, 1200]
    ),
    "offsets beyond": data("train/offsets", [0, 400, 800, 1300]),
    "too few names": data("train/names", ["a.wav"]),
    "names of numbers": data("train/names", [1, 2, 3]),
    "rate of 0": attribute("sample_rate", 0),
    "rate of 2^31": attribute("sample_rate", 2**31),
    "rate of text": attribute("sample_rate", "8000"),
    "a step of 0": attribute("samples_per_step", 0),
    "a step of 10^9": attribute("samples_per_step", 10**9),
    "deviation of 0": attribute("deviation", 0.0),
    "deviation NaN": attribute("deviation", np.nan),
    "infinite mean": attribute("mean", np.inf),
    "many rates": attribute("sample_rate", np.full(1000, 8000)),
    "corpus of a number": attribute("corpus", 3),
    "version 2": attribute("version", 2),
}


@pytest.mark.parametrize("label", SPOILT)
def test_hostile_files_are_refused_by_name(whole, tmp_path, label):
    path = tmp_path / "hostile.h5"
    shutil.copy(whole, path)
    with h5py.File(path, "r+") as file:
        SPOILT[label](file)
    for read in (PreparedSpeech, lambda p: load_speech("speech", p)):
        with pytest.raises(FileError, match="Received: ") as told:
            read(path)
        assert str(path) in str(told.value)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(
    not hasattr(resource, "RLIMIT_AS"), reason="needs limits of memory"
)
def test_a_name_that_claims_to_be_long_takes_no_memory(whole, tmp_path):
    # HDF5 takes the memory that the length of a text asks for.
    path = tmp_path / "hostile.h5"
    content = whole.read_bytes()
    length = len("train/0.wav").to_bytes(4, "little")
    with h5py.File(whole) as file:
        start = file["train/names"].id.get_offset()
    assert content[start : start + 4] == length
    claimed = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(content[:start] + claimed + content[start + 4 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"Received: path=.*hostile\.h5"):
        PreparedSpeech(path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**19  # kilobytes


def test_the_limit_of_memory_ends_with_the_block():
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), limited_memory(2**20):
        np.ones(2**24)
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert np.ones(2**24).sum() == 2**24


def test_damage_while_reading_is_told_by_name(whole, tmp_path):
    path = tmp_path / "cut.h5"
    shutil.copy(whole, path)
    speech = PreparedSpeech(path)
    speech.close()
    path.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(FileError, match=r"Received: path=.*cut\.h5"):
        speech.split("train")[0]
