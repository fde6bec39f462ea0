import numpy as np
import pytest

from recipes.errors import RecipeError
from recipes.video import kth
from recipes.video.recipe import Video

LIST = """\
Training:   person11, 12, 13, 14, 15, 16, 17, 18

person11_boxing_d1\t\tframes\t1-3, 4-8, 9-9
person01_walking_d3\t*missing*
"""


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def settings(folder, **given):
    usual = Video().prepare_settings({})
    given = {"least_frames": 2, "out": str(folder / "kth.npz"), **given}
    return usual.changed(source=str(folder), **given)


def test_the_splits_have_all_people_once():
    people = [who for split in kth.PEOPLE.values() for who in split]
    assert sorted(people) == list(range(1, 26))
    assert [len(kth.PEOPLE[s]) for s in ("train", "valid", "test")] == [8, 8, 9]


def test_files_are_found_by_name_and_split_by_person(tmp_path):
    touch(
        tmp_path,
        "boxing/person11_boxing_d1_uncomp.avi",
        "person22_walking_d2_uncomp.avi",
        "person04_running_d4_uncomp.avi",
        "person99_running_d4_uncomp.avi",
        "holiday.avi",
    )
    found = {path.name[:8]: split for split, path in kth.find_files(tmp_path)}
    assert found == {
        "person11": "train",
        "person22": "test",
        "person04": "valid",
    }
    with pytest.raises(RecipeError, match="Received: no `source`"):
        kth.find_files(None)
    with pytest.raises(RecipeError, match="of train, valid, test there are"):
        kth.find_files(str(tmp_path / "none"))


def test_the_list_tells_the_frames(tmp_path):
    assert kth.read_ranges(tmp_path) == {}
    (tmp_path / "00sequences.txt").write_text(LIST)
    assert kth.read_ranges(tmp_path) == {
        "person11_boxing_d1": [(1, 3), (4, 8), (9, 9)]
    }


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "recipes.packages.importlib.util.find_spec", lambda name: None
    )
    with pytest.raises(ImportError, match=r"package av.*keras_fivo\[video\]"):
        kth.prepare(settings(tmp_path))


def test_frames_are_prepared_by_split(tmp_path, monkeypatch):
    monkeypatch.setattr(kth, "require", lambda *needed: None)
    monkeypatch.setattr(
        kth,
        "read_frames",
        lambda path, side: np.full(
            (9, side, side), int(path.name[6:8]), "uint8"
        ),
    )
    touch(
        tmp_path,
        "person11_boxing_d1_uncomp.avi",
        "person22_walking_d2_uncomp.avi",
        "person04_running_d4_uncomp.avi",
    )
    (tmp_path / "00sequences.txt").write_text(LIST)
    path = kth.prepare(settings(tmp_path, side=8))
    with np.load(path) as found:
        # Of 1-3, 4-8 and 9-9 the last is too short.
        assert found["train_lengths"].tolist() == [3, 5]
        assert found["train"].shape == (8, 8, 8)
        assert set(found["train"].ravel()) == {11}
        assert found["test_lengths"].tolist() == [9]
    with pytest.raises(RecipeError, match="overwrite=true"):
        kth.prepare(settings(tmp_path))
    every = settings(tmp_path, every=2, overwrite=True)
    with np.load(kth.prepare(every)) as found:
        assert found["valid_lengths"].tolist() == [5]
    with pytest.raises(RecipeError, match="Received: least_frames=99"):
        kth.prepare(settings(tmp_path, least_frames=99, overwrite=True))


def test_avi_files_are_read(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "person11_boxing_d1_uncomp.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for level in (40, 80, 120):
            pixels = np.full((120, 160, 3), level, "uint8")
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames = kth.read_frames(path, 64)
    assert frames.shape == (3, 64, 64) and frames.dtype == np.uint8
    np.testing.assert_allclose(frames.mean((1, 2)), [40, 80, 120], atol=2)
    path.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="must be a video"):
        kth.read_frames(path, 64)
