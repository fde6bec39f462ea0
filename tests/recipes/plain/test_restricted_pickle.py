import os
import pickle
import struct
import time

import numpy as np
import pytest

from recipes import restricted_pickle
from tests.hostile_files import mutated

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DATA = {
    "train": [[(60, 64, 67), ()], []],
    "numbers": (1, -(2**40), 2.5, True, None),
    "text": "Jesu, meine Freude",
    "bytes": b"\x00\xff",
    3: "three",
}


class Reduces:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Empty:
    pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_come_back_equal(protocol):
    assert restricted_pickle.loads(pickle.dumps(DATA, protocol)) == DATA


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="int64").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.array([True, False]),
        np.zeros((0, 88), "uint8"),
        np.array(3.5, "float32"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_of_numbers_come_back_equal(array, protocol):
    loaded = restricted_pickle.loads(pickle.dumps([array], protocol))[0]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_numbers_become_those_of_python(protocol):
    values = [np.int64(60), np.float32(0.5), np.bool_(True)]
    loaded = restricted_pickle.loads(pickle.dumps(values, protocol))
    assert loaded == [60, 0.5, True]
    assert [type(value) for value in loaded] == [int, float, bool]


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_both_names_of_the_core_of_numpy_are_known(core):
    written = pickle.dumps(np.arange(3), protocol=2)
    assert b"numpy._core" in written or b"numpy.core" in written
    for name in (b"numpy._core", b"numpy.core"):
        written = written.replace(name + b".multi", core + b".multi")
    np.testing.assert_array_equal(restricted_pickle.loads(written), [0, 1, 2])


def test_a_python_2_pickle_of_numpy_numbers_is_read():
    # Python 2 wrote: {'a': [(numpy.int64(60),)]} with protocol 2.
    written = (
        b"\x80\x02}q\x01U\x01aq\x02]q\x03cnumpy.core.multiarray\nscalar\n"
        b"q\x04cnumpy\ndtype\nq\x05U\x02i8K\x00K\x01\x87Rq\x06(K\x03U\x01<"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08"
        + struct.pack("<q", 60)
        + b"\x86R\x85as."
    )
    assert restricted_pickle.loads(written) == {"a": [(60,)]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (Reduces(os.system, "echo bad"), r"`\w+\.system`"),
        (Reduces(eval, "1 + 1"), r"\.eval`"),
        (Reduces(getattr, DATA, "keys"), r"\.getattr`"),
        (Reduces(np.load, "file.npy"), r"`numpy\.load`"),
        (Empty(), "`|instruction"),
        ({1, 2}, "`|instruction"),
        (3j, r"\.complex`"),
    ],
    ids=["system", "eval", "getattr", "np.load", "instance", "set", "complex"],
)
def test_what_is_not_plain_data_is_refused_by_name(hostile, named, protocol):
    written = pickle.dumps({"train": [hostile]}, protocol)
    with pytest.raises(restricted_pickle.RefusedPickleError, match=named):
        restricted_pickle.loads(written)


def test_a_hostile_pickle_runs_nothing(tmp_path):
    witness = tmp_path / "witness"
    path = tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps(Reduces(os.mkdir, str(witness))))
    with pytest.raises(ValueError, match=r"mkdir`.*Received: path="):
        restricted_pickle.load(path)
    assert not witness.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.array([Empty(), 1], object),
        np.zeros(2, [("a", "i4"), ("b", "f4")]),
        np.array(["text"]),
    ],
    ids=["object", "structured", "string"],
)
def test_arrays_of_anything_but_numbers_are_refused(array, protocol):
    with pytest.raises(restricted_pickle.RefusedPickleError, match="Received"):
        restricted_pickle.loads(pickle.dumps(array, protocol))


def test_a_dtype_cannot_be_turned_into_objects_by_its_state():
    # BUILD of a dtype i8 with the fields of a structured one.
    written = (
        b"cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\nt(dI-1\nI-1\n"
        b"I0\ntb."
    )
    with pytest.raises(restricted_pickle.RefusedPickleError, match="Struct"):
        restricted_pickle.loads(written)


def test_the_constructors_cannot_be_changed_by_a_pickle():
    for state in (b"(dS'resolve'\nI1\ns", b"(N(dS'resolve'\nI1\nst"):
        with pytest.raises(ValueError, match="Received: path="):
            restricted_pickle.loads(b"cnumpy\ndtype\n" + state + b"b.")
    written = pickle.dumps(np.arange(2))
    np.testing.assert_array_equal(restricted_pickle.loads(written), [0, 1])


@pytest.mark.parametrize(
    "written", [b"c__main__\nnumpy\n.", b"cnumpy\ndtype\n."]
)
def test_a_bare_global_is_not_data(written):
    with pytest.raises(restricted_pickle.RefusedPickleError):
        restricted_pickle.loads(written)


@pytest.mark.parametrize(
    "written",
    [
        b"Pname\n.",  # a persistent object
        b"N\x51.",
        b"\x82\x01.",  # the registry of extensions
        b"cnumpy\ndtype\n(t\x81.",  # an object without its constructor
        b"(cnumpy\ndtype\no.",
        b"\x8f.",  # a set
        b"\x97.",  # a buffer from outside
    ],
)
def test_instructions_that_data_do_not_need_are_refused(written):
    with pytest.raises(
        restricted_pickle.RefusedPickleError, match="instruction"
    ):
        restricted_pickle.loads(written)


def test_every_cut_of_a_file_is_reported_as_damage():
    written = pickle.dumps([DATA, np.arange(3)], protocol=2)
    for length in range(len(written)):
        with pytest.raises(ValueError, match="Received: path=cut"):
            restricted_pickle.loads(written[:length], name="cut")


def test_noise_is_an_error_and_never_a_crash():
    generator = np.random.default_rng(0)
    written = np.frombuffer(pickle.dumps(DATA, 2), "uint8")
    num_refused = 0
    for _ in range(300):
        damaged = written.copy()
        damaged[generator.integers(len(written))] = generator.integers(256)
        try:
            restricted_pickle.loads(damaged.tobytes())
        except ValueError:
            num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize(
    "written",
    [
        b"\x80\x02]r\xff\xff\xff\x7f.",  # the memo's last place
        b"\x80\x05\x8e" + struct.pack("<Q", 2**62) + b".",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",  # BYTEARRAY8
    ],
    ids=["memo", "bytes", "bytearray"],
)
def test_absurd_sizes_take_no_memory(written):
    try:
        assert restricted_pickle.loads(written) == []
    except ValueError as error:
        assert "damaged" in str(error)


def test_an_array_that_claims_more_than_it_holds_is_refused():
    written = pickle.dumps(np.zeros(4, "uint8"), protocol=2)
    claims = written.replace(b"K\x04\x85", b"M\xff\xff\x85")
    assert claims != written
    with pytest.raises(ValueError, match="bytes for an array"):
        restricted_pickle.loads(claims)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(restricted_pickle.RefusedPickleError, match="itself"):
        restricted_pickle.loads(pickle.dumps(endless))


def test_deep_nesting_is_refused():
    written = b"(" * 100_000 + b"l" * 100_000 + b"."
    with pytest.raises(ValueError, match="damaged"):
        restricted_pickle.loads(written)


def test_keys_of_one_hash_take_no_time():
    keys = (pickle.encode_long(i * (2**61 - 1)) for i in range(1, 40_000))
    items = [b"\x8a" + bytes([len(key)]) + key + b"N" for key in keys]
    batches = [b"".join(items[i : i + 500]) for i in range(0, 40_000, 500)]
    for written in (
        b"}(" + b"".join(items) + b"u.",
        b"}" + b"s".join(items) + b"s.",
        b"(" + b"".join(items) + b"d.",
        b"}" + b"".join(b"(" + batch + b"u" for batch in batches) + b".",
        b"}((00" + b"".join(items) + b"u.",
    ):
        started = time.process_time()
        with pytest.raises(ValueError, match=r"more than 1000 keys|IndexError"):
            restricted_pickle.loads(b"\x80\x02" + written)
        assert time.process_time() - started < 1


@pytest.mark.parametrize("innermost", [0.5, np.zeros(1000), "text" * 1000])
def test_nested_lists_that_share_their_items_are_refused(innermost):
    value = innermost
    for _ in range(40):
        value = [value, value]
    with pytest.raises(ValueError, match="more than 67108864 values"):
        restricted_pickle.loads(pickle.dumps(value))
    shared = [innermost] * 3
    assert len(restricted_pickle.loads(pickle.dumps(shared))) == 3


def test_too_many_instructions_are_refused(monkeypatch):
    monkeypatch.setattr(restricted_pickle, "MAX_INSTRUCTIONS", 1000)
    restricted_pickle.loads(pickle.dumps([0.5] * 400))
    with pytest.raises(ValueError, match="more than 1000 instructions"):
        restricted_pickle.loads(pickle.dumps([0.5] * 2000))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_damage_gives_data_or_an_error_that_names_the_file(protocol):
    data = {"train": [[(60, 64)], [np.int64(3)]], "mean": np.arange(4.0)}
    num_refused = 0
    for damaged in mutated(pickle.dumps(data, protocol), 200, protocol):
        try:
            restricted_pickle.loads(damaged, name="songs.pkl")
        except ValueError as error:
            assert "Received: path=songs.pkl" in str(error)
            num_refused += 1
    assert num_refused > 100


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(restricted_pickle, "MAX_BYTES", 10)
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps(DATA))
    with pytest.raises(ValueError, match=r"at most 10 bytes. Received: path="):
        restricted_pickle.load(path)
