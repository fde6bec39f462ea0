"""The original's files, where TensorFlow is."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from recipes.data.sequence_dataset import SequenceDataset
from recipes.errors import FileError
from recipes.speech.loading import load_speech
from recipes.speech.prepared import PreparedSpeech
from recipes.speech.tfrecord import TFRecordSpeech
from tests.recipes.speech_examples import prepare_quietly, voices

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow is not installed",
)
SMALL = {"samples_per_step": 80, "seed": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfrecord")
    voices(folder / "voices", 24)
    prepare_quietly(folder / "voices", folder / "out.h5", **SMALL)
    return folder


@pytest.fixture(scope="module")
def written(folder):
    lines = prepare_quietly(
        folder / "voices", folder / "out", format="tfrecord", **SMALL
    )
    assert lines[-1] == f"Prepared: {folder / 'out'}"
    return folder / "out"


def records_of(file, batch_size):
    """The recordings that the original's batches were made of."""
    batches = range(file[f"speech/bs{batch_size}/num_batches"])
    return [
        file[f"speech/bs{batch_size}/batch{k}/targets"][:length, row]
        for k in batches
        for row, length in enumerate(
            file[f"speech/bs{batch_size}/batch{k}/lengths"]
        )
    ]


@needs_tensorflow
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_batches_are_those_of_the_original(golden, tmp_path, batch_size):
    import tensorflow as tf

    file = golden("datasets")
    with tf.io.TFRecordWriter(str(tmp_path / "train")) as writer:
        for record in records_of(file, batch_size):
            writer.write(record.astype("float32").tobytes())
    speech = TFRecordSpeech(tmp_path, samples_per_step=2)
    assert speech.attributes["deviation"] == 548.136169
    batches = SequenceDataset(
        speech.split("train"),
        batch_size,
        shuffle=False,
        pad_batch=False,
        bucket_boundaries=[4],
    )
    assert len(batches) == file[f"speech/bs{batch_size}/num_batches"]
    for k, batch in enumerate(batches):
        prefix = f"speech/bs{batch_size}/batch{k}"
        lengths = file[f"{prefix}/lengths"]
        np.testing.assert_array_equal(batch["mask"].sum(axis=1), lengths)
        targets = batch["observations"].swapaxes(0, 1)[: lengths.max()]
        np.testing.assert_array_equal(targets, file[f"{prefix}/targets"])
        inputs = np.pad(targets, [(1, 0), (0, 0), (0, 0)])[:-1]
        inputs *= batch["mask"].T[: lengths.max(), :, None]
        np.testing.assert_array_equal(inputs, file[f"{prefix}/inputs"])


@needs_tensorflow
def test_the_folder_reads_as_the_prepared_file_does(folder, written):
    read = load_speech("speech", written)
    assert isinstance(read, TFRecordSpeech)
    assert load_speech("speech", written / "test").digest() == read.digest()
    with PreparedSpeech(folder / "out.h5") as prepared:
        for name in ("corpus", "sample_rate", "mean", "deviation"):
            assert read.attributes[name] == prepared.attributes[name]
        assert read.splits == prepared.splits == ("train", "valid", "test")
        for split in read.splits:
            ours = read.split(split, clip_seconds=0.05)
            theirs = prepared.split(split, clip_seconds=0.05)
            assert len(ours) == len(theirs) == len(ours.lengths)
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


@needs_tensorflow
def test_only_a_folder_of_such_files_is_replaced(folder, written):
    again = {"format": "tfrecord", **SMALL}
    with pytest.raises(ValueError, match=r"exists.* Received: out="):
        prepare_quietly(folder / "voices", written, **again)
    before = (written / "train").read_bytes()
    (written / "train").unlink()
    prepare_quietly(folder / "voices", written, overwrite=True, **again)
    assert (written / "train").read_bytes() == before
    with pytest.raises(ValueError, match="something else"):
        prepare_quietly(
            folder / "voices", folder / "voices", overwrite=True, **again
        )
    assert sorted(path.name for path in folder.iterdir()) == [
        "out",
        "out.h5",
        "voices",
    ]


def frame(length, content):
    """A record that claims to have a length, with right checksums."""

    def checksum(data):
        crc = 2**32 - 1
        for byte in data:
            crc ^= byte
            for _ in range(8):  # the polynomial of CRC-32C
                crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
        crc ^= 2**32 - 1
        masked = (crc >> 15 | crc << 17) + 0xA282EAD8
        return (masked % 2**32).to_bytes(4, "little")

    head = length.to_bytes(8, "little")
    return head + checksum(head) + content + checksum(content)


def refused(path, message, **options):
    with pytest.raises(FileError, match=message) as told:
        TFRecordSpeech(path, **options)
    assert str(path) in str(told.value)


@needs_tensorflow
def test_damaged_files_are_refused(written, tmp_path):
    size = SMALL["samples_per_step"]
    file = tmp_path / "train"
    content = bytearray((written / "test").read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    refused(tmp_path, "damaged.*corrupted", samples_per_step=size)
    file.write_bytes((written / "test").read_bytes())
    refused(tmp_path, r"steps of 77 .*Received: .*bytes", samples_per_step=77)
    file.write_bytes(b"")
    refused(tmp_path, "Received: none")
    file.write_bytes(frame(800, np.full(200, np.nan, "<f4").tobytes()))
    refused(tmp_path, "record 0 is not of finite samples")
    file.write_bytes(frame(800, np.ones(200, "<f4").tobytes()))
    assert len(TFRecordSpeech(tmp_path).split("train")) == 1


@needs_tensorflow
@pytest.mark.parametrize("length", [2**40, 2**62, 2**64 - 1, 2**64 - 16, 804])
def test_a_length_beyond_the_file_is_refused(tmp_path, length):
    # TensorFlow takes the memory, or ends the process.
    content = np.ones(200, "<f4").tobytes()
    (tmp_path / "train").write_bytes(frame(length, content))
    refused(tmp_path, rf"of {length} bytes\)")


@needs_tensorflow
@pytest.mark.parametrize(
    "told",
    [
        {"samples_per_step": 0},
        {"deviation": 0.0},
        {"deviation": float("nan")},
        {"sample_rate": "8000"},
        {"corpus": None},
    ],
)
def test_attributes_of_another_form_are_refused(written, tmp_path, told):
    path = tmp_path / "speech.json"
    attributes = json.loads((written / "speech.json").read_text())
    (tmp_path / "train").write_bytes((written / "test").read_bytes())
    path.write_text(json.dumps(attributes))
    assert TFRecordSpeech(tmp_path).attributes == attributes
    path.write_text(json.dumps(attributes | told))
    refused(tmp_path, "Received: path=")
    path.write_text("[" * 10**5)
    refused(tmp_path, "Received: path=")


@needs_tensorflow
def test_what_kills_left_behind_goes(folder, tmp_path):
    for name in (".partial-out", ".partial-out.h5"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(b"half")
    again = {"format": "tfrecord", **SMALL}
    prepare_quietly(folder / "voices", tmp_path / "out", **again)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_tensorflow_nothing_is_begun(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    out = folder / "deep" / "none"
    with pytest.raises(ImportError, match=r"keras_fivo\[tensorflow\]"):
        prepare_quietly(folder / "voices", out, format="tfrecord", **SMALL)
    assert not out.parent.exists()
