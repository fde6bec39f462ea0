import concurrent.futures
import multiprocessing
import pathlib
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest

from recipes.data.sequence_dataset import SequenceDataset
from recipes.speech.prepared import PreparedSpeech
from tests.recipes.speech_examples import (
    noise,
    prepare_quietly,
    voices,
    wav_bytes,
    write,
)

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    voices(folder / "voices", 24)
    prepare_quietly(folder / "voices", folder / "out.h5", samples_per_step=80)
    return folder / "out.h5"


def test_clips_make_up_the_recordings(prepared):
    with PreparedSpeech(prepared) as speech:
        whole = speech.split("train")
        clips = speech.split("train", clip_seconds=0.05)
        assert clips.lengths.max() == 5 and clips.features == 80
        assert len(clips) == len(clips.recordings) > len(whole)
        for i, recording in enumerate(whole):
            assert recording.dtype == "float32"
            assert recording.shape == (whole.lengths[i], 80)
            mine = [clips[j] for j in np.flatnonzero(clips.recordings == i)]
            assert [len(c) for c in mine[:-1]] == [5] * (len(mine) - 1)
            np.testing.assert_array_equal(np.concatenate(mine), recording)
        assert [len(clip) for clip in clips] == list(clips.lengths)


def test_a_clip_must_hold_a_step(prepared):
    with PreparedSpeech(prepared) as speech:
        assert set(speech.split("test", clip_seconds=0.006).lengths) == {1}
        for seconds in (0, -1, 0.004, float("nan")):
            with pytest.raises(ValueError, match="Received: clip_seconds="):
                speech.split("train", clip_seconds=seconds)
        with pytest.raises(ValueError, match="Received: name='dev'"):
            speech.split("dev")


def test_a_sequence_dataset_reads_what_it_shows(prepared):
    with PreparedSpeech(prepared) as speech:
        clips = speech.split("train", clip_seconds=0.1)
        lazy = SequenceDataset(clips, batch_size=4, seed=3)
        eager = SequenceDataset(list(clips), batch_size=4, seed=3)
        assert len(lazy) == len(eager) > 3
        assert lazy.summary() == eager.summary()
        for one, other in zip(lazy, eager, strict=True):
            for key in ("observations", "mask"):
                np.testing.assert_array_equal(one[key], other[key])
        with pytest.raises(ValueError, match="Received: chunk_length=4"):
            SequenceDataset(clips, chunk_length=4)


def test_a_sequence_dataset_reads_nothing_beforehand(prepared, monkeypatch):
    with PreparedSpeech(prepared) as speech:
        clips = speech.split("train")
        read = []
        monkeypatch.setattr(
            type(clips), "__getitem__", lambda self, i: read.append(i)
        )
        SequenceDataset(clips).summary()
        assert not read
    clips.lengths = np.zeros(0, int)
    with pytest.raises(ValueError, match="Received: 0 sequences"):
        SequenceDataset(clips)


# Apart: to fork a process whose threads hold locks is to wait for ever.
_POOL = """
import multiprocessing, sys
from recipes.speech.prepared import PreparedSpeech
from tests.recipes.speech_examples import total

path, method = sys.argv[1:]
with PreparedSpeech(path) as speech:
    jobs = [(speech, "train", i) for i in range(len(speech.split("train")))]
    expected = [total(*job) for job in jobs]
    with multiprocessing.get_context(method).Pool(3) as pool:
        found = pool.starmap(total, jobs * 5, chunksize=2)
    assert found == expected * 5
    assert [total(*job) for job in jobs] == expected
print(len(jobs))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_several_processes_read_the_file_that_is_open(prepared, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    ended = subprocess.run(
        [sys.executable, "-c", _POOL, str(prepared), method],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 1


def test_several_threads_read_the_same_file(prepared):
    with PreparedSpeech(prepared) as speech:
        clips = speech.split("train", clip_seconds=0.05)
        expected = [clips[i] for i in range(len(clips))]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(
                pool.map(clips.__getitem__, list(range(len(clips))) * 4)
            )
        for one, other in zip(found, expected * 4, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_pickled_reader_opens_the_file_anew(prepared):
    with PreparedSpeech(prepared) as speech:
        clips = speech.split("test")
        copy = pickle.loads(pickle.dumps(clips))
        np.testing.assert_array_equal(copy[0], clips[0])
        copy._source.close()
    np.testing.assert_array_equal(copy[0], clips[0])  # a closed one opens
    for one in (copy, clips):
        one._source.close()


def test_what_is_no_prepared_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="prepare speech"):
        PreparedSpeech(tmp_path / "gone.h5")
    path = write(tmp_path / "text.h5", b"no HDF5")
    with pytest.raises(ValueError, match="Received: "):
        PreparedSpeech(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "another"
    with pytest.raises(ValueError, match="Received: format='another'"):
        PreparedSpeech(tmp_path / "other.h5")


def test_reading_needs_no_framework(prepared):
    code = (
        "import sys; from recipes.speech.prepared import PreparedSpeech;"
        f"x = PreparedSpeech({str(prepared)!r}).split('train', 0.05)[0];"
        "assert x.shape == (5, 80), x.shape;"
        "names = {'keras', 'tensorflow', 'jax', 'torch'};"
        "assert not names & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


_MEASURE = """
import resource, sys, time
from recipes.speech.prepared import PreparedSpeech
from tests.recipes.speech_examples import prepare_quietly
prepare_quietly(sys.argv[1], sys.argv[2], valid_fraction=0)
with PreparedSpeech(sys.argv[2]) as speech:
    for clip in speech.split("train", clip_seconds=0.5):
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts in kilobytes")
def test_memory_does_not_grow_with_the_recordings(tmp_path):
    peaks = []
    for count in (2, 12):
        source = tmp_path / f"voices{count}"
        for i in range(count):
            write(source / f"{i}.wav", wav_bytes(noise(2_000_000, i % 2)))
        argv = [source, tmp_path / f"{count}.h5"]
        ended = subprocess.run(
            [sys.executable, "-c", _MEASURE, *map(str, argv)],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(ended.stdout) / 1024)
    # 40 MB more of recordings.
    assert peaks[1] - peaks[0] < 10


@pytest.mark.slow
def test_a_model_trains_on_clips(prepared):
    import keras

    import keras_fivo as kf

    with PreparedSpeech(prepared) as speech:
        clips = speech.split("train", clip_seconds=0.05)
        train = SequenceDataset(clips, batch_size=4, num_buckets=1)
        cell = kf.VRNNCell(latent_dim=2, units=3, emission=kf.NormalHead(80))
        model = kf.LatentSequenceModel(cell, bound=kf.ELBO())
        model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
        history = model.fit(train, shuffle=False, verbose=0)
        assert np.isfinite(history.history["bound_per_step"]).all()
