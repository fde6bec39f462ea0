import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from recipes.cli import main
from recipes.speech.disk import Disk, writing
from tests.recipes.speech_examples import noise, voices, wav_bytes, write

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from recipes.cli import main
sys.exit(main({argv!r}))
"""

# A shell's background jobs ignore this signal, and so would their children.
_LISTENING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from recipes.cli import main
sys.exit(main())
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


class FullDisk:
    """A file that takes no more than a number of bytes."""

    def __init__(self, file, room):
        self._file = file
        self._room = room

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, content):
        if self._room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(content[: self._room])
        self._room -= written
        return written


@pytest.mark.parametrize("room", [0, 50, 3000, 70_000])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, room
):
    for i in range(5):
        write(tmp_path / "voices" / f"{i}.wav", wav_bytes(noise(50_000, i)))
    monkeypatch.setattr(
        "recipes.speech.disk.Disk", lambda file: Disk(FullDisk(file, room))
    )
    out = tmp_path / "new" / "out.h5"
    line = [f"source={tmp_path / 'voices'}", f"out={out}"]
    assert main(["prepare", "speech", *line]) == 2
    assert f"{out}: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "voices"]


def test_partial_writes_are_completed(tmp_path):
    class Hesitant(FullDisk):
        def write(self, content):
            return self._file.write(content[:7])

    content = bytes(range(100))
    with open(tmp_path / "a", "w+b", buffering=0) as file:
        assert Disk(Hesitant(file, 0)).write(content) == 100
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of files")
@pytest.mark.parametrize("limit", [100, 5000, 150_000])
def test_the_process_survives_a_file_that_may_not_grow(tmp_path, limit):
    for i in range(5):
        write(tmp_path / "voices" / f"{i}.wav", wav_bytes(noise(50_000, i)))
    out = tmp_path / "out.h5"
    argv = ["prepare", "speech", f"source={tmp_path / 'voices'}", f"out={out}"]
    ended = run(_LIMITED.format(limit=limit, argv=argv))
    assert ended.returncode == 2, ended.stderr
    assert f"{out}: File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "voices"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_leaves_nothing(tmp_path, name):
    voices(tmp_path / "voices", 40)
    # The last of the recordings is one whose end never comes.
    os.mkfifo(tmp_path / "voices" / "zz.wav")
    out = tmp_path / "new" / "out.h5"
    argv = ["prepare", "speech", f"source={tmp_path / 'voices'}", f"out={out}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTENING, *argv, "valid_fraction=0"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while not out.parent.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == 130, process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "voices"]


def test_an_hdf5_file_appears_once_it_is_whole(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(KeyError, match="mine"), writing(path) as (file, _):
        file["x"] = range(9)
        raise KeyError("mine")
    assert not list(tmp_path.iterdir())
    with writing(path) as (file, _):
        file["x"] = range(9)
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]
