import os
import pathlib
import stat

import pytest

from recipes.storage import atomic_path, cache_folder


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_FIVO_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "keras_fivo"
    monkeypatch.setenv("KERAS_FIVO_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
    assert cache_folder("/given") == pathlib.Path("/given")


@pytest.mark.parametrize("home", ["", None])
def test_without_a_home_variable_the_user_still_has_one(monkeypatch, home):
    monkeypatch.delenv("KERAS_FIVO_CACHE", raising=False)
    monkeypatch.delenv("HOME")
    if home is not None:
        monkeypatch.setenv("HOME", home)
    folder = cache_folder()
    assert folder.is_absolute()
    assert folder.parts[-2:] == (".cache", "keras_fivo")
    assert len(folder.parts) > 3


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_path(path) as partial:
        partial.write_text("whole")
        assert partial.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_failed_write_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
