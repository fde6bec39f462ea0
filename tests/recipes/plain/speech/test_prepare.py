import random
import re

import numpy as np
import pytest

from recipes.cli import main
from recipes.errors import RecipeError
from recipes.speech import corpora
from recipes.speech.prepared import PreparedSpeech, to_steps
from tests.recipes.speech_examples import (
    noise,
    prepare_quietly,
    sphere_bytes,
    timit_tree,
    voices,
    wav_bytes,
    write,
)


def names_by_split(path):
    with PreparedSpeech(path) as speech:
        return {split: speech.names(split) for split in speech.splits}


def files_in(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def test_steps_are_those_of_the_original(golden):
    file = golden("timit_preprocess")
    for i in range(4):
        steps = to_steps(file[f"wav{i}"], file["mean"], file["std"], 200)
        np.testing.assert_array_equal(steps, file[f"out{i}"])


def test_the_shuffle_is_that_of_python_2():
    # Of random.seed(1234); random.shuffle(list(range(n))) on Python 2.7.18.
    items = list(range(10))
    corpora.shuffle(items, 1234)
    assert items == [8, 1, 7, 4, 2, 5, 6, 0, 3, 9]
    items = list(range(4620))
    corpora.shuffle(items, 1234)
    assert items[:5] == [68, 1587, 2250, 3818, 1767]
    other = list(range(4620))
    random.Random(1234).shuffle(other)
    assert other != items


def test_timit_is_prepared_as_the_original_does(tmp_path):
    samples = timit_tree(tmp_path / "corpora")
    out = tmp_path / "timit.h5"
    lines = prepare_quietly(tmp_path / "corpora", out, corpus="timit")
    train = sorted(name for name in samples if "/TRAIN/" in name)
    corpora.shuffle(train, 1234)
    expected = {
        "train": train[2:],
        "valid": train[:2],
        "test": sorted(name for name in samples if "/TEST/" in name),
    }
    assert names_by_split(out) == expected
    stacked = np.hstack([samples[name] for name in train[2:]]).astype("float64")
    assert lines[0] == "38 train / 2 valid / 4 test"
    told = re.fullmatch(r"train mean: (\S+)  train std: (\S+)", lines[1])
    np.testing.assert_allclose(float(told[1]), stacked.mean(), atol=1e-6)
    np.testing.assert_allclose(float(told[2]), stacked.std(), atol=1e-6)
    with PreparedSpeech(out) as speech:
        assert speech.attributes["sample_rate"] == 16000
        for split, names in expected.items():
            sequences = speech.split(split)
            assert len(sequences) == len(names)
            for name, steps in zip(names, sequences, strict=True):
                original = to_steps(
                    samples[name], stacked.mean(), stacked.std(), 200
                )
                np.testing.assert_array_equal(steps, original)


def test_timit_has_the_published_counts(tmp_path):
    folder = tmp_path / "TIMIT"
    for i in range(4620):
        path = folder / "TRAIN" / f"DR{i % 8}" / f"S{i % 462}" / f"{i}.WAV"
        write(path, b"")
    for i in range(1680):
        write(folder / "TEST" / "DR1" / f"S{i % 168}" / f"{i}.WAV", b"")
    splits = corpora.timit(tmp_path, 0.05, 1234)
    counts = [len(splits[split]) for split in ("train", "valid", "test")]
    assert counts == [4389, 231, 1680]


def test_digits_are_read_from_their_folder_too(tmp_path):
    source = tmp_path / "recordings"
    for take in range(8):
        for speaker in ("theo", "lucas"):
            name = f"3_{speaker}_{take}.wav"
            write(source / name, wav_bytes(noise(300, take)))
    out = tmp_path / "digits.h5"
    prepare_quietly(source, out, corpus="digits", valid_fraction=0.5)
    names = names_by_split(out)
    assert [len(names[s]) for s in ("train", "valid", "test")] == [3, 3, 10]
    assert {name[-5] for name in names["test"]} == set("01234")


def test_ljspeech_is_prepared_and_resampled(shared_dir, tmp_path):
    source = shared_dir / "data" / "speech" / "ljspeech_32"
    if not source.is_dir():
        pytest.skip("no LJSpeech sentences in `shared`")
    out = tmp_path / "sentences.h5"
    prepare_quietly(source, out, corpus="ljspeech", sample_rate=8000)
    with PreparedSpeech(out) as speech:
        assert speech.attributes["sample_rate"] == 8000
        assert {s: len(speech.split(s)) for s in speech.splits} == {
            "train": 28,
            "valid": 1,
            "test": 3,
        }
        seconds = speech.split("train").lengths * 200 / 8000
        assert 1 < seconds.min() < seconds.max() < 11


def test_no_speaker_is_in_two_splits(tmp_path):
    voices(tmp_path / "voices")
    out = tmp_path / "out.h5"
    prepare_quietly(
        tmp_path / "voices", out, split_by="speaker", test_fraction=0.4
    )
    names = names_by_split(out)
    speakers = {s: {n.split("/")[0] for n in names[s]} for s in names}
    assert {s: len(speakers[s]) for s in speakers} == {
        "train": 2,
        "valid": 1,
        "test": 2,
    }
    assert len(set.union(*speakers.values())) == 5
    assert sum(map(len, names.values())) == 10


def test_a_speaker_can_be_found_by_a_pattern(tmp_path):
    voices(tmp_path / "voices")
    given = {"split_by": "speaker", "speaker_pattern": r"(\d)\.wav"}
    prepare_quietly(tmp_path / "voices", tmp_path / "out.h5", **given)
    assert len(names_by_split(tmp_path / "out.h5")["train"]) == 8
    given["speaker_pattern"] = "speaker([0-3])"
    with pytest.raises(ValueError, match=r"Received: speaker_pattern=.*4"):
        prepare_quietly(tmp_path / "voices", tmp_path / "other.h5", **given)


def test_folders_can_be_the_splits(tmp_path):
    source = tmp_path / "voices"
    for split, count in (("train", 5), ("test", 2), ("other", 3)):
        for i in range(count):
            write(source / split / f"{i}.wav", wav_bytes(noise(300, i)))
    out = tmp_path / "out.h5"
    prepare_quietly(source, out, split_by="folder", valid_fraction=0)
    assert names_by_split(out) == {
        "train": [f"train/{i}.wav" for i in range(5)],
        "test": ["test/0.wav", "test/1.wav"],
    }


def test_a_list_can_say_the_splits(tmp_path):
    names = list(voices(tmp_path / "voices"))
    splits = ["train"] * 5 + ["valid"] * 2 + ["test"]
    lines = [f"{s} {n}" for s, n in zip(splits, names, strict=False)]
    file = tmp_path / "list.txt"
    file.write_text("\n".join([*lines, "", ""]))
    out = tmp_path / "out.h5"
    given = {"split_by": "list", "split_list": str(file)}
    prepare_quietly(tmp_path / "voices", out, **given)
    found = names_by_split(out)
    assert sorted(found["train"]) == sorted(names[:5])
    assert (found["valid"], found["test"]) == (names[5:7], names[7:8])
    for wrong in ("train gone.wav", "dev speaker0/0.wav", "train"):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="Received: line 1"):
            prepare_quietly(tmp_path / "voices", tmp_path / "no.h5", **given)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b[:-9], "cut short"),
        (lambda _: wav_bytes(noise(400), channels=2), "2 channels"),
        (lambda _: wav_bytes(noise(400), encoding=0x1234), "another kind"),
        (lambda _: sphere_bytes(noise(99), sample_count=98), "sample_count=98"),
        (lambda _: sphere_bytes(noise(99), sample_max=1), "sample_max=1"),
    ],
    ids=["truncated", "stereo", "encoding", "count", "extremes"],
)
def test_a_corrupt_recording_stops_or_is_left_out(
    tmp_path, capsys, spoil, message
):
    samples = voices(tmp_path / "voices", rate=16000)
    bad = tmp_path / "voices" / "speaker3" / "3.wav"
    bad.write_bytes(spoil(bad.read_bytes()))
    before = files_in(tmp_path)
    out = tmp_path / "new" / "folder" / "out.h5"
    line = [f"source={tmp_path / 'voices'}", f"out={out}"]
    assert main(["prepare", "speech", *line]) == 2
    told = capsys.readouterr().err
    assert str(bad) in told and message in told and "skip_corrupt" in told
    assert files_in(tmp_path) == before
    assert not out.parent.parent.exists()
    assert main(["prepare", "speech", *line, "skip_corrupt=true"]) == 0
    told = capsys.readouterr().out
    assert "Left out: " in told and str(bad) in told
    names = names_by_split(out)
    found = {name for split in names.values() for name in split}
    assert found == set(samples) - {"speaker3/3.wav"}
    with PreparedSpeech(out) as speech:
        for split in names:
            offsets = speech.offsets(split)
            for i, name in enumerate(names[split]):
                read = speech.read(split, offsets[i], offsets[i + 1])
                np.testing.assert_array_equal(read, samples[name])
        stacked = np.hstack([samples[name] for name in names["train"]])
        np.testing.assert_allclose(speech.attributes["mean"], stacked.mean())
        np.testing.assert_allclose(
            speech.attributes["deviation"], stacked.std()
        )


def test_recordings_of_two_rates_must_be_resampled(tmp_path):
    voices(tmp_path / "voices")
    write(tmp_path / "voices" / "z.wav", wav_bytes(noise(500), 11025))
    out = tmp_path / "out.h5"
    with pytest.raises(ValueError, match=r"Received: \S+ with \d+ samples a"):
        prepare_quietly(tmp_path / "voices", out, skip_corrupt=True)
    assert not out.exists()
    prepare_quietly(tmp_path / "voices", out, sample_rate=8000)
    with PreparedSpeech(out) as speech:
        assert speech.attributes["sample_rate"] == 8000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"corpus": "folder"}, "which has none"),
        ({"corpus": "ljspeech"}, "which has none"),
        ({"corpus": "digits"}, "which has none"),
        ({"corpus": "timit"}, "TIMIT/TRAIN"),
    ],
)
def test_an_empty_folder_is_refused(tmp_path, given, message):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out.h5"
    with pytest.raises(ValueError, match=f"{message}") as told:
        prepare_quietly(tmp_path / "empty", out, **given)
    assert "Received: " in str(told.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


def test_a_split_that_leaves_nothing_is_refused(tmp_path):
    voices(tmp_path / "voices", 3)
    timit_tree(tmp_path / "corpora", num_train=19)
    before = files_in(tmp_path)
    cases = [
        ("voices", {"valid_fraction": 0.5, "test_fraction": 0.9}, "train"),
        ("voices", {"split_by": "folder"}, "train"),
        ("corpora", {"corpus": "timit"}, "valid"),
    ]
    for source, given, split in cases:
        with pytest.raises(ValueError, match=f"{split}.*Received: "):
            prepare_quietly(tmp_path / source, tmp_path / "out.h5", **given)
    # All of the valid recordings turn out to be corrupt.
    for path in (tmp_path / "corpora").rglob("*.WAV"):
        path.write_bytes(path.read_bytes()[:1200])
    with pytest.raises(ValueError, match=r"Received: 0 train"):
        prepare_quietly(
            tmp_path / "corpora",
            tmp_path / "out.h5",
            corpus="timit",
            valid_fraction=0.1,
            skip_corrupt=True,
        )
    assert files_in(tmp_path) == before


def test_silence_cannot_be_normalised(tmp_path):
    for i in range(4):
        write(tmp_path / "voices" / f"{i}.wav", wav_bytes([7] * 300))
    with pytest.raises(ValueError, match="Received: samples that are all 7"):
        prepare_quietly(tmp_path / "voices", tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_a_file_is_replaced_only_if_asked(tmp_path):
    voices(tmp_path / "voices")
    out = write(tmp_path / "out.h5", b"precious")
    with pytest.raises(ValueError, match=r"overwrite=true.*Received: out="):
        prepare_quietly(tmp_path / "voices", out)
    assert out.read_bytes() == b"precious"
    prepare_quietly(tmp_path / "voices", out, overwrite=True)
    assert len(names_by_split(out)["train"]) == 8


def test_the_verb_explains_itself(capsys, tmp_path):
    assert main(["prepare", "--help"]) == 0
    assert "prepare speech" in capsys.readouterr().out
    assert main(["prepare", "speech", "--help"]) == 0
    assert "--skip-corrupt" in capsys.readouterr().out
    assert main(["prepare", "music"]) == 2
    assert "Received: recipe='music'" in capsys.readouterr().err
    assert main(["prepare", "speech", "corpus=timit"]) == 2
    assert "Received: source=None" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="Received: source="):
        prepare_quietly(tmp_path / "gone", tmp_path / "out.h5")
