import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.inputs import as_dict, prepare_inputs
from tests.reference.examples import numpy

CENTER = np.array([0.5, -1.0], "float32")


def sequences():
    generator = np.random.default_rng(0)
    return [generator.standard_normal((n, 2)) for n in (3, 1, 4)]


def prepare(data, **options):
    return numpy(
        prepare_inputs(data, keras.ops.convert_to_tensor(CENTER), **options)
    )


def test_padding_keeps_sequences_and_masks_what_it_adds():
    padded = kf.pad_sequences(sequences())
    assert set(padded) == {"observations", "mask", "lengths"}
    assert padded["observations"].shape == (3, 4, 2)
    assert padded["observations"].dtype == "float32"
    assert padded["mask"].sum(1).tolist() == [3, 1, 4]
    assert padded["lengths"].tolist() == [3, 1, 4]
    assert padded["lengths"].dtype == "int32"
    for row, mask, x in zip(
        padded["observations"], padded["mask"], sequences(), strict=True
    ):
        np.testing.assert_array_equal(row[mask], x.astype("float32"))
        assert not row[~mask].any()


def test_padding_takes_controls_one_feature_and_a_length():
    controls = [np.ones((len(x), 3)) for x in sequences()]
    padded = kf.pad_sequences(sequences(), controls, length=6)
    assert padded["controls"].shape == (3, 6, 3)
    assert padded["controls"].sum((1, 2)).tolist() == [9, 3, 12]
    assert padded["mask"].shape == (3, 6)
    padded = kf.pad_sequences([[1, 2, 3], [4]])
    assert padded["observations"][..., 0].tolist() == [[1, 2, 3], [4, 0, 0]]
    frames = [np.ones((steps, 4, 6, 1)) for steps in (3, 2)]
    padded = kf.pad_sequences(frames)
    assert padded["observations"].shape == (2, 3, 4, 6, 1)
    assert padded["observations"].sum((2, 3, 4)).tolist() == [
        [24, 24, 24],
        [24, 24, 0],
    ]
    assert padded["mask"].shape == (2, 3)


def test_padding_refuses_what_does_not_fit():
    for arguments, received in (
        (([],), r"Received: sequences=\[\]"),
        (([np.zeros(())],), r"Received: an array of shape \(\)"),
        (
            ([np.zeros((2, 3)), np.zeros((2, 4))],),
            r"Received: steps of shapes \[\(3,\), \(4,\)\]",
        ),
        (
            (sequences(), [np.zeros((2, 3, 1))] * 3),
            r"Received: an array of shape \(2, 3, 1\)",
        ),
        ((sequences(), None, 3), "Received: length=3"),
        ((sequences(), [np.ones((3, 1))]), r"Received: lengths \[3\]"),
        (
            (sequences(), [np.ones((3, 1))] * 3),
            r"Received: lengths \[3, 3, 3\] for sequences of lengths \[3, 1",
        ),
    ):
        with pytest.raises(ValueError, match=received):
            kf.pad_sequences(*arguments)


def test_an_array_becomes_time_first_and_all_counts():
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    prepared = prepare(x)
    assert set(prepared) == {"observations", "observed", "active"}
    np.testing.assert_array_equal(
        prepared["observations"], x.transpose(1, 0, 2)
    )
    assert prepared["active"].shape == prepared["observed"].shape == (4, 3)
    assert prepared["active"].all()
    assert prepared["observed"].all()


def test_integers_and_doubles_become_float32():
    for dtype in ("uint8", "int64", "float64", "bool"):
        prepared = prepare(np.ones((1, 2, 2), dtype))
        assert prepared["observations"].dtype == "float32"


def test_the_length_is_one_past_the_last_observed_step():
    mask = np.array([[0, 1, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    x = np.full((3, 5, 2), 7.0)
    prepared = prepare({"observations": x, "mask": mask})
    assert prepared["active"].sum(0).tolist() == [4, 2, 0]
    np.testing.assert_array_equal(prepared["observed"].T, mask)
    expected = np.where(mask[..., None], 7.0, CENTER)
    np.testing.assert_allclose(
        prepared["observations"].swapaxes(0, 1), expected
    )


def test_given_lengths_take_the_place_of_the_masks():
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)
    data = {"observations": np.ones((2, 4, 2)), "mask": mask}
    prepared = prepare({**data, "lengths": np.array([3, 2])})
    assert prepared["active"].sum(0).tolist() == [3, 2]
    assert not prepared["observed"].T[1].any()


def test_steps_that_a_mask_alone_leaves_out_are_told():
    mask = np.array([[1, 0, 1, 0], [0, 0, 0, 0]], bool)
    data = {"observations": np.ones((2, 4, 2)), "mask": mask}
    assert prepare(data)["left_out"].tolist() == [1, 4]
    assert "left_out" not in prepare({**data, "lengths": np.array([3, 2])})


def test_nothing_beyond_the_length_is_read():
    x = np.ones((2, 4, 2), "float32")
    x[0, 2:] = np.nan
    mask = np.ones((2, 4), bool)
    data = {"observations": x, "lengths": np.array([2, 4])}
    for given in (data, {**data, "mask": mask}):
        prepared = prepare(given)
        np.testing.assert_array_equal(
            prepared["observations"][2:, 0], np.tile(CENTER, (2, 1))
        )
        assert not prepared["observed"][2:, 0].any()


def test_a_mask_of_entries_fills_entries():
    x = np.array([[[np.nan, 2], [3, 4], [5, np.nan]]], "float32")
    mask = np.array([[[0, 1], [1, 1], [0, 0]]], bool)
    prepared = prepare({"observations": x, "mask": mask})
    assert prepared["observed"].shape == (3, 1, 2)
    assert prepared["active"].sum() == 2
    np.testing.assert_array_equal(
        prepared["observations"][:, 0], [[0.5, 2], [3, 4], [0.5, -1]]
    )


def test_nan_may_stand_for_missing():
    x = np.array([[[1, 2], [np.nan, 4], [np.nan, np.nan]]], "float32")
    prepared = prepare(x, nan_is_missing=True)
    assert prepared["active"][:, 0].tolist() == [True, True, False]
    assert prepared["observed"][1, 0].tolist() == [False, True]
    np.testing.assert_array_equal(
        prepared["observations"][:, 0], [[1, 2], [0.5, 4], CENTER]
    )
    mask = np.array([[False, True, True]])
    prepared = prepare({"observations": x, "mask": mask}, nan_is_missing=True)
    assert prepared["observed"].sum() == 1
    assert prepared["active"].sum() == 2


def test_controls_are_zero_beyond_the_length():
    controls = np.full((2, 3, 1), np.nan, "float32")
    controls[0, :2] = controls[1] = 4
    prepared = prepare(
        {
            "observations": np.zeros((2, 3, 2)),
            "lengths": [2, 3],
            "controls": controls,
        }
    )
    assert prepared["controls"][..., 0].T.tolist() == [[4, 4, 0], [4, 4, 4]]


def test_none_is_as_good_as_nothing():
    x = np.zeros((1, 2, 2))
    assert set(as_dict({"observations": x, "mask": None})) == {"observations"}


def test_unknown_keys_are_refused():
    for data in ({"observations": 1, "masks": 2}, {"mask": 1}):
        with pytest.raises(ValueError, match="Received: keys"):
            as_dict(data)
