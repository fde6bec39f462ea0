"""Spoken digits in an `.npz` file, which Keras comes with."""

import numpy as np
import pytest

from recipes.speech.corpora import spoken_digits
from recipes.speech.prepared import PreparedSpeech
from tests.hostile_files import hostile_npz, mutated
from tests.recipes.fuzz import read_digits, write_digits
from tests.recipes.plain.speech.test_prepare import names_by_split
from tests.recipes.speech_examples import prepare_quietly


def test_digits_have_their_official_test_split(shared_dir, tmp_path):
    path = shared_dir / "data" / "speech" / "fsdd_8k.npz"
    if not path.is_file():
        pytest.skip("no spoken digits in `shared`")
    out = tmp_path / "digits.h5"
    lines = prepare_quietly(path, out, corpus="digits")
    assert lines[0] == "2430 train / 270 valid / 300 test"
    names = names_by_split(out)
    takes = {
        split: {int(name.split("_")[2]) for name in found}
        for split, found in names.items()
    }
    assert takes["test"] == set(range(5))
    assert not takes["test"] & (takes["train"] | takes["valid"])
    with np.load(path) as file, PreparedSpeech(out) as speech:
        first = file["samples"][: file["offsets"][1]]
        row = names["test"].index("0_george_0")
        start, stop = speech.offsets("test")[row : row + 2]
        np.testing.assert_array_equal(speech.read("test", start, stop), first)


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": np.zeros(900)},
        {"samples": np.zeros((900, 1), "int16")},
        {"offsets": np.arange(9)},
        {"offsets": np.arange(0.0, 901, 100)},
        {"offsets": np.array(900)},
        {"offsets": np.array([0, 900, 100] + [900] * 7)},
        {"labels": np.arange(8)},
        {"labels": np.arange(9.0)},
        {"speakers": np.full(9, 2)},
        {"speakers": np.full(9, -1)},
        {"speaker_names": np.array([1, 2])},
        {"speaker_names": np.array(["theo", "x" * 300])},
        {"take": np.array(["1"] * 9)},
        {"sample_rate": np.array([8000])},
        {"sample_rate": np.array(8000.5)},
        {"sample_rate": np.array("8000")},
        {"sample_rate": np.array(0)},
        {"sample_rate": np.array(2**31)},
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path, changes):
    path = tmp_path / "digits.npz"
    write_digits(path)
    with np.load(path) as file:
        np.savez(path, **(dict(file) | changes))
    with pytest.raises(ValueError, match="Received: ") as told:
        read_digits(path)
    assert str(path) in str(told.value)


def test_hostile_files_are_refused_by_name(tmp_path):
    path = tmp_path / "digits.npz"
    for label, content in hostile_npz("samples").items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match="Received: path=") as told:
            spoken_digits(path, 0.1, 0)
        assert str(path) in str(told.value), label


def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    path = tmp_path / "digits.npz"
    write_digits(path)
    for content in mutated(path.read_bytes(), 200):
        path.write_bytes(content)
        try:
            read_digits(path)
        except ValueError as error:
            assert str(path) in str(error)
