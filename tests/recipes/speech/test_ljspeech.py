import hashlib
import io
import tarfile
import urllib.error
import urllib.request

import pytest

from recipes.download import RemoteFile
from recipes.speech import ljspeech
from recipes.speech.prepared import PreparedSpeech
from tests.recipes.speech_examples import noise, prepare_quietly, wav_bytes
from tests.recipes.test_download import Response


def archive():
    """A tiny LJSpeech, with members that do not belong there."""
    members = {
        f"LJSpeech-1.1/wavs/LJ001-{i:04}.wav": wav_bytes(noise(900, i), 22050)
        for i in range(5)
    }
    members |= {
        "LJSpeech-1.1/README": b"about it",
        "LJSpeech-1.1/wavs/../../../outside.wav": b"evil",
        "/outside.wav": b"evil",
    }
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:bz2") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("LJSpeech-1.1/wavs/LJ001-0009.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    return written.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FIVO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def serve(monkeypatch, content, served=None):
    """Downloads give `served`; what is right is `content`."""
    remote = RemoteFile(
        ljspeech.ARCHIVE.url, hashlib.sha256(content).hexdigest(), len(content)
    )
    asked = []

    def urlopen(url, data):
        asked.append(url)
        return Response(content if served is None else served)

    monkeypatch.setattr(ljspeech, "ARCHIVE", remote)
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_ljspeech_is_downloaded_once(cache, tmp_path, monkeypatch):
    asked = serve(monkeypatch, archive())
    for name in ("a.h5", "b.h5"):
        lines = prepare_quietly("", tmp_path / name, corpus="ljspeech")
    assert lines[0] == "3 train / 1 valid / 1 test"
    assert asked == [ljspeech.ARCHIVE.url]
    folder = cache / "speech" / "LJSpeech-1.1"
    assert [item.name for item in folder.parent.iterdir()] == [folder.name]
    found = sorted(item.name for item in folder.iterdir())
    assert found == [f"LJ001-{i:04}.wav" for i in range(5)]
    assert not list(tmp_path.rglob("outside.wav"))
    with PreparedSpeech(tmp_path / "b.h5") as speech:
        assert speech.attributes["sample_rate"] == 22050
        assert speech.attributes["corpus"] == "ljspeech"


def test_what_kills_left_behind_goes(cache, tmp_path, monkeypatch):
    serve(monkeypatch, archive())
    folder = cache / "speech"
    (folder / ".partial-LJSpeech-1.1" / "LJSpeech-1.1").mkdir(parents=True)
    (folder / ".partial-LJSpeech-1.1.tar.bz2").write_bytes(b"half")
    prepare_quietly("", tmp_path / "a.h5", corpus="ljspeech")
    assert [item.name for item in folder.iterdir()] == ["LJSpeech-1.1"]
    (folder / "LJSpeech-1.1.tar.bz2").write_bytes(archive())
    prepare_quietly("", tmp_path / "b.h5", corpus="ljspeech")
    assert [item.name for item in folder.iterdir()] == ["LJSpeech-1.1"]


def test_another_archive_is_refused(cache, tmp_path, monkeypatch):
    serve(monkeypatch, archive(), served=archive()[:-1])
    with pytest.raises(ValueError, match=r"SHA-256.*Received: \d+ bytes"):
        prepare_quietly("", tmp_path / "a.h5", corpus="ljspeech")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_without_a_network_the_error_says_what_to_do(
    cache, tmp_path, monkeypatch
):
    def urlopen(url, data):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(OSError, match=r"2748572632 bytes.*source=PATH"):
        prepare_quietly("", tmp_path / "a.h5", corpus="ljspeech")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
