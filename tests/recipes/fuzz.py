"""Gives damaged files to the readers of recipes, within little memory.

`python -m tests.recipes.fuzz FOLDER COUNT SEED READER...` prints, as JSON, how
many files each reader read and refused, and what it did besides. No reader of
`PLAIN` imports Keras; those of `MODELS` do.
"""

import json
import pathlib
import pickle
import resource
import sys
import time

import h5py
import numpy as np
import scipy.io

from recipes.errors import RecipeError
from recipes.pianoroll import files as roll_files
from recipes.pianoroll.data import load as load_rolls
from recipes.pose.data import load as load_poses
from recipes.speech.audio import open_recording, resample
from recipes.speech.corpora import folder as split_folder
from recipes.speech.corpora import spoken_digits
from recipes.speech.prepared import PreparedSpeech
from recipes.speech.store import Writer
from recipes.training.run_folder import RunFolder
from tests.hostile_files import mutated
from tests.recipes.speech_examples import noise, sphere_bytes, wav_bytes

MEMORY = 2**31
ROLLS = {
    "train": [[(60, 64), (), (21, 108)], [(62,)] * 40],
    "valid": [[(60,)]],
    "test": [[(), (60, 61, 62)]],
}


class Reader:
    """A reader: how to write a file for it, and how to read one."""

    def __init__(self, name, write, read):
        self.name, self.write, self.read = name, write, read


def rolls():
    return {
        split: [roll_files.roll_from_notes(song) for song in songs]
        for split, songs in ROLLS.items()
    }


def poses():
    generator = np.random.default_rng(0)
    found = {
        split: [
            generator.normal(size=(n, 64)).astype("float32") for n in (3, 2)
        ]
        for split in ROLLS
    }
    return found | {"train_mean": np.zeros(64)}


def write_pickle(content, protocol):
    return lambda path: path.write_bytes(pickle.dumps(content, protocol))


def write_mat(compressed):
    def write(path):
        cells = {}
        for split, sequences in rolls().items():
            cells[f"{split}data"] = np.empty((1, len(sequences)), object)
            cells[f"{split}data"][0] = sequences
        scipy.io.savemat(path, cells, do_compression=compressed)

    return write


def write_prepared(path):
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        writer = Writer(file, lambda: None)
        for split in ("train", "valid", "test"):
            for i in range(3):
                writer.append(split, f"{split}/{i}.wav", [noise(400, i)])
        writer.finish(corpus="digits", sample_rate=8000, samples_per_step=80)


def read_prepared(path):
    with PreparedSpeech(path) as speech:
        speech.digest()
        for split in speech.splits:
            speech.names(split)
            for _ in speech.split(split, 0.02):
                pass


def read_sound(path):
    recording = resample(open_recording(path), 16000)
    for _ in recording.blocks():
        pass


def write_sound(**options):
    def write(path):
        import soundfile

        soundfile.write(path, noise(2000) / 2**15, 8000, **options)

    return write


def read_mat(path):
    load_rolls("jsb", path)


def write_record(path):
    record = {"identity": {"a": 1}, "settings": {"data": "jsb", "b": [1, 2]}}
    record |= {"status": "finished", "started": "today", "best": -9.5}
    record |= {"best_updates": 4, "updates": 5, "seconds": 1.0}
    path.write_text(json.dumps(record | {"stopped_by": "updates"}))


def write_log(path):
    row = {"epoch": 1, "updates": 4, "val_bound_per_step": -9.0}
    path.write_text((json.dumps(row) + "\n") * 4)


def read_log(path):
    RunFolder(path.parent).read_log()


def read_record(path):
    RunFolder(path.parent).read_record()


def write_list(path):
    (path.parent / "voices").mkdir()
    (path.parent / "voices" / "a.wav").write_bytes(wav_bytes(noise(9)))
    path.write_text("train a.wav\n" * 9)


def read_list(path):
    from types import SimpleNamespace

    settings = SimpleNamespace(
        split_list=str(path), valid_fraction=0, test_fraction=0, seed=0
    )
    split_folder(path.parent / "voices", "list", settings)


PLAIN = {
    "rolls.pkl": Reader("songs.pkl", write_pickle(ROLLS, 2), read_mat),
    "rolls0.pkl": Reader("songs.pkl", write_pickle(ROLLS, 0), read_mat),
    "rolls5.pkl": Reader("songs.pkl", write_pickle(ROLLS, 5), read_mat),
    "poses.pkl": Reader(
        "poses.pkl",
        write_pickle(poses(), 2),
        lambda path: load_poses("pose", path),
    ),
    "rolls.mat": Reader("songs.mat", write_mat(True), read_mat),
    "plain.mat": Reader("songs.mat", write_mat(False), read_mat),
    "sound.wav": Reader(
        "a.wav",
        lambda path: path.write_bytes(wav_bytes(noise(2000))),
        read_sound,
    ),
    "float.wav": Reader("a.wav", write_sound(subtype="FLOAT"), read_sound),
    "adpcm.wav": Reader("a.wav", write_sound(subtype="IMA_ADPCM"), read_sound),
    "sound.sph": Reader(
        "a.wav",
        lambda path: path.write_bytes(sphere_bytes(noise(2000))),
        read_sound,
    ),
    "sound.flac": Reader("a.flac", write_sound(), read_sound),
    "sound.ogg": Reader("a.ogg", write_sound(), read_sound),
    "prepared.h5": Reader("a.h5", write_prepared, read_prepared),
    "run.json": Reader("run.json", write_record, read_record),
    "log.jsonl": Reader("log.jsonl", write_log, read_log),
    "split.txt": Reader("split.txt", write_list, read_list),
}


def write_digits(path):
    np.savez_compressed(
        path,
        samples=noise(900),
        offsets=np.arange(0, 901, 100),
        labels=np.arange(9),
        speakers=np.arange(9) % 2,
        speaker_names=np.array(["theo", "lucas"]),
        take=np.arange(9),
        sample_rate=np.array(8000),
    )


def read_digits(path):
    for sources in spoken_digits(path, 0.1, 0).values():
        for source in sources:
            for _ in source.open().blocks():
                pass


def write_poses(path):
    from recipes.pose.files import write_npz

    content = poses()
    write_npz(path, content, content["train_mean"])


ARCHIVES = {
    "rolls.npz": Reader(
        "songs.npz",
        lambda path: roll_files.write_splits(path, rolls()),
        read_mat,
    ),
    "poses.npz": Reader(
        "poses.npz", write_poses, lambda path: load_poses("pose", path)
    ),
    "digits.npz": Reader("digits.npz", write_digits, read_digits),
}


def fuzz(reader, folder, count, seed):
    """Reads damaged files; tells what came of them."""
    folder.mkdir(parents=True)
    path = folder / reader.name
    reader.write(path)
    reader.read(path)
    before = sorted(folder.rglob("*"))
    found = {"read": 0, "refused": 0, "wrong": [], "slowest": 0.0}
    for number, content in enumerate(mutated(path.read_bytes(), count, seed)):
        path.write_bytes(content)
        # Where the process dies, the file is there to see.
        started = time.monotonic()
        try:
            reader.read(path)
            found["read"] += 1
        except (ValueError, RecipeError, OSError) as error:
            found["refused"] += 1
            if str(folder) not in str(error):
                found["wrong"].append(f"{number}: unnamed: {error!r}")
        except BaseException as error:
            found["wrong"].append(f"{number}: {error!r}")
        seconds = time.monotonic() - started
        found["slowest"] = max(found["slowest"], seconds)
    if sorted(folder.rglob("*")) != before:
        found["wrong"].append("a file was left")
    return found


def main(folder, count, seed, *names):
    with open("/proc/self/statm") as file:
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    readers = PLAIN | ARCHIVES
    for name in names:
        found = fuzz(
            readers[name], pathlib.Path(folder) / name, int(count), int(seed)
        )
        sys.stdout.write(json.dumps({name: found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
