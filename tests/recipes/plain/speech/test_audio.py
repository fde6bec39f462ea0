import sys

import numpy as np
import pytest
from scipy.signal import resample_poly

from recipes.errors import FileError
from recipes.speech import audio
from recipes.speech.audio import open_recording, resample
from recipes.speech.recording import Recording
from tests.hostile_files import mutated
from tests.recipes.speech_examples import (
    noise,
    sphere_bytes,
    wav_bytes,
    write,
)


def samples_of(recording):
    return np.concatenate(list(recording.blocks()))


def read(path):
    return samples_of(open_recording(path))


def test_a_sphere_file_reads_as_the_original_reads_it(golden, tmp_path):
    file = golden("timit_preprocess")
    # The header of the reference file leaves out what TIMIT's always have.
    content = file["sphere_file_bytes"].tobytes()
    told = b"channel_count -i 1\nsample_rate -i 16000\nend_head\n"
    content = content.replace(b"end_head\n", told)[:1024] + content[1024:]
    path = write(tmp_path / "a.WAV", content)
    np.testing.assert_array_equal(read(path), file["sphere_expected"])
    assert open_recording(path).rate == 16000


def test_a_header_of_timit_is_read(tmp_path):
    # As all of the corpus have them: no sample_coding, other fields besides.
    samples = noise(700)
    content = sphere_bytes(
        samples,
        sample_coding=None,
        database_id="TIMIT",
        database_version="1.0",
        utterance_id="mjwt0_sa1",
        sample_sig_bits=16,
    )
    recording = open_recording(write(tmp_path / "SA1.WAV", content))
    np.testing.assert_array_equal(samples_of(recording), samples)


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere_samples_come_in_either_byte_order(tmp_path, order):
    samples = noise(700)
    content = sphere_bytes(samples, sample_byte_format=order)
    recording = open_recording(write(tmp_path / "a.wav", content))
    np.testing.assert_array_equal(samples_of(recording), samples)
    assert (recording.rate, recording.num_samples) == (16000, 700)


@pytest.mark.parametrize(
    ("changed", "received"),
    [
        ({"sample_count": 99}, "sample_count=99, and samples of 100"),
        ({"sample_count": 101}, "sample_count=101, and samples of 100"),
        ({"sample_count": None}, "path="),
        ({"sample_count": "many"}, "path="),
        ({"sample_count": 0}, "sample_count=0, and samples of 100"),
        ({"sample_min": 5}, "sample_min=5"),
        ({"sample_max": 5}, "sample_max=5"),
        ({"sample_rate": 0}, "path="),
        ({"sample_rate": 2**31}, "path="),
        ({"sample_rate": 10**9}, "1000000000"),
        ({"channel_count": 2}, "2 channels"),
        ({"sample_coding": "pcm,embedded-shorten-v2.00"}, "path="),
        ({"sample_coding": "ulaw"}, "samples of 200"),
        ({"sample_n_bytes": 1}, "path="),
    ],
)
def test_a_sphere_header_must_agree_with_its_samples(
    tmp_path, changed, received
):
    path = write(tmp_path / "a.WAV", sphere_bytes(noise(100), **changed))
    with pytest.raises(FileError, match=f"Received: .*{received}") as told:
        read(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("size", [500, 1024, 1025, 1100])
def test_a_truncated_sphere_file_is_refused(tmp_path, size):
    path = write(tmp_path / "a.WAV", sphere_bytes(noise(100))[:size])
    with pytest.raises(FileError, match="Received: "):
        read(path)


def test_a_wav_file_is_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK", 64)
    samples = noise(1001, scale=20000).clip(-(2**15), 2**15 - 1)
    path = write(tmp_path / "a.wav", wav_bytes(samples))
    recording = open_recording(path)
    assert (recording.rate, recording.num_samples) == (8000, 1001)
    blocks = list(recording.blocks())
    assert max(map(len, blocks)) == 64
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


@pytest.mark.parametrize("size", [7, 20, 30, 47, 60, 150, 250])
def test_a_truncated_wav_file_is_refused(tmp_path, size):
    content = wav_bytes(noise(100))
    assert len(content) == 256
    path = write(tmp_path / "a.wav", content[:size])
    with pytest.raises(FileError, match=r"cut short.*Received: path="):
        read(path)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (wav_bytes(noise(100), channels=2), "2 channels"),
        (wav_bytes(noise(100), encoding=0x1234), "path="),
        (wav_bytes(noise(100), rate=0), "path="),
        (wav_bytes(noise(100), rate=2**31), "path=|2147483648"),
        (wav_bytes(noise(100), rate=2**20), "1048576"),
        (wav_bytes([0, 0x7FC0] * 50, encoding=3, bits=32), "path="),
        (wav_bytes([]), "num_samples=0"),
        (b"ID3 an MP3 file", "begins with b'ID3 an M'"),
        (b"", "begins with b''"),
    ],
    ids=[
        *("stereo", "encoding", "rate 0", "rate 2^31", "rate 2^20", "NaN"),
        *("silence", "mp3", "nothing"),
    ],
)
def test_what_is_no_mono_recording_is_refused(tmp_path, content, received):
    path = write(tmp_path / "a.wav", content)
    with pytest.raises(FileError, match=f"Received: .*{received}"):
        read(path)


def test_without_soundfile_the_error_says_what_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    path = write(tmp_path / "a.wav", wav_bytes(noise(9)))
    with pytest.raises(ImportError, match=r"keras_fivo\[audio\]"):
        open_recording(path)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("flac", "PCM_16", 0),
        ("wav", "PCM_24", 0),
        ("wav", "FLOAT", 0),
        ("ogg", "VORBIS", 500),
    ],
)
def test_soundfile_reads_the_rest_in_16_bit_units(
    tmp_path, suffix, subtype, tolerance
):
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(16000) / 16000
    samples = np.rint(9000 * np.sin(2 * np.pi * 220 * time)).astype("int16")
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples / 2**15, 16000, subtype)
    recording = open_recording(path)
    assert (recording.rate, recording.num_samples) == (16000, 16000)
    np.testing.assert_allclose(samples_of(recording), samples, atol=tolerance)


def test_damage_that_soundfile_finds_is_told(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(50000), 16000, "PCM_16")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(FileError, match=r"a\.flac"):
        read(path)
    soundfile.write(path, np.zeros((50, 2)), 16000, "PCM_16")
    with pytest.raises(FileError, match="Received: 2 channels"):
        read(path)


@pytest.mark.parametrize(
    ("rate", "new_rate"), [(8000, 16000), (22050, 16000), (16000, 8000)]
)
@pytest.mark.parametrize("num_samples", [1, 999, 20000])
def test_resampling_block_by_block_equals_resampling_the_whole(
    monkeypatch, rate, new_rate, num_samples
):
    monkeypatch.setattr(audio, "BLOCK", 4096)
    samples = noise(num_samples, scale=5000)
    pieces = np.array_split(samples, num_samples // 300 + 1)
    recording = resample(
        Recording(rate, num_samples, lambda: iter(pieces)), new_rate
    )
    whole = resample_poly(samples.astype("float64"), new_rate, rate)
    resampled = samples_of(recording)
    assert recording.rate == new_rate
    assert recording.num_samples == len(resampled) == len(whole)
    # Where the exact value is half way, rounding may go either way.
    np.testing.assert_allclose(resampled, whole, atol=0.5 + 1e-6)


@pytest.mark.parametrize("rate", [0, 2**31, -1])
def test_no_recording_has_such_a_rate(rate):
    recording = Recording(8000, 3, lambda: iter([np.zeros(3, "int16")]))
    with pytest.raises(FileError, match=f"768000 .* Received: {rate}"):
        resample(recording, rate)


def test_damaged_recordings_give_samples_or_an_error_that_names_them(tmp_path):
    samples = noise(300)
    for content in (wav_bytes(samples), sphere_bytes(samples)):
        num_refused = 0
        for damaged in mutated(content, 200):
            path = write(tmp_path / "a.wav", damaged)
            try:
                recording = resample(open_recording(path), 16000)
                assert sum(map(len, recording.blocks())) < 10**6
            except FileError as error:
                assert str(path) in str(error)
                num_refused += 1
        assert num_refused > 50


def test_resampling_clips_what_overshoots():
    square = np.repeat(np.array([-(2**15), 2**15 - 1] * 20, "int16"), 25)
    recording = Recording(8000, 1000, lambda: iter([square]))
    resampled = samples_of(resample(recording, 16000))
    overshooting = resample_poly(square.astype("float64"), 2, 1)
    assert overshooting.max() > 2**15
    expected = np.rint(overshooting).clip(-(2**15), 2**15 - 1)
    np.testing.assert_array_equal(resampled, expected)
