import itertools

import keras
import numpy as np
import pytest

from recipes.data.bucketing import assign, choose_boundaries
from recipes.data.sequence_dataset import SequenceDataset, SetEpoch

LENGTHS = [3, 50, 7, 16, 9, 100, 31, 17, 3, 24, 64, 5, 12]


def make_sequences(lengths=LENGTHS, features=2):
    """Every step of every sequence holds a number of its own, from 1."""
    numbers = itertools.count(1)
    return [
        np.array([[next(numbers)] * features for _ in range(length)], float)
        for length in lengths
    ]


def steps_seen(dataset):
    """The numbers of one epoch's real steps, batch by batch."""
    return [
        batch["observations"][batch["mask"]][:, 0].astype(int).tolist()
        for batch in dataset
    ]


def all_steps(dataset):
    return sorted(itertools.chain.from_iterable(steps_seen(dataset)))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("pad_batch", [True, False])
@pytest.mark.parametrize("chunk_length", [None, 10])
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_every_step_is_seen_once_an_epoch(
    shuffle, pad_batch, chunk_length, batch_size
):
    dataset = SequenceDataset(
        make_sequences(),
        batch_size,
        shuffle=shuffle,
        pad_batch=pad_batch,
        chunk_length=chunk_length,
    )
    for _ in range(3):
        assert all_steps(dataset) == list(range(1, sum(LENGTHS) + 1))
        dataset.on_epoch_end()


def test_a_batch_holds_whole_sequences_and_zeros_behind_them():
    dataset = SequenceDataset(make_sequences(), batch_size=4)
    sequences = {tuple(item[:, 0]): item for item in make_sequences()}
    for batch in dataset:
        assert batch["observations"].dtype == np.float32
        assert batch["mask"].dtype == np.bool_
        assert batch["observations"].shape == (*batch["mask"].shape, 2)
        assert batch["mask"].shape[1] in dataset.boundaries
        for row, mask in zip(batch["observations"], batch["mask"], strict=True):
            steps = mask.sum()
            assert mask[:steps].all()
            assert not row[steps:].any()
            if steps:
                expected = sequences.pop(tuple(row[:steps, 0]))
                np.testing.assert_array_equal(row[:steps], expected)
    assert not sequences


def test_there_is_one_shape_per_bucket():
    dataset = SequenceDataset(make_sequences(), batch_size=4, num_buckets=3)
    shapes = {batch["observations"].shape for batch in dataset}
    assert shapes == {(4, length, 2) for length in dataset.boundaries}
    ragged = SequenceDataset(make_sequences(), batch_size=4, pad_batch=False)
    rows = [len(batch["mask"]) for batch in ragged]
    assert sum(rows) == len(LENGTHS)


def test_leaving_out_the_remainder_leaves_full_batches():
    dataset = SequenceDataset(
        make_sequences(), batch_size=4, num_buckets=2, drop_remainder=True
    )
    counts = [batch["mask"].any(axis=1).sum() for batch in dataset]
    assert set(counts) == {4}
    assert len(counts) >= 2
    assert dataset.summary().num_sequences == 4 * len(counts)


def test_chunks_are_consecutive_and_cover_the_sequence():
    dataset = SequenceDataset(
        make_sequences([25, 10]), batch_size=1, chunk_length=10, shuffle=False
    )
    chunks = sorted(steps_seen(dataset))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5, 10]
    steps = list(itertools.chain.from_iterable(chunks))
    assert steps == list(range(1, 36))
    assert max(dataset.boundaries) == 10


def test_the_order_is_a_function_of_seed_and_epoch():
    def orders(seed, epochs):
        dataset = SequenceDataset(make_sequences(), batch_size=2, seed=seed)
        for _ in range(epochs):
            yield steps_seen(dataset)
            dataset.on_epoch_end()

    first, again, other = (list(orders(seed, 4)) for seed in (0, 0, 1))
    assert first == again
    distinct = {str(order) for order in first + other}
    assert len(distinct) == 8

    resumed = SequenceDataset(make_sequences(), batch_size=2, seed=0)
    resumed.epoch = 2
    assert steps_seen(resumed) == first[2]
    resumed.on_epoch_end()
    assert steps_seen(resumed) == first[3]


def test_batches_change_in_company_and_in_order():
    dataset = SequenceDataset(make_sequences([8] * 20), batch_size=4)
    companies, first_steps = set(), set()
    for epoch in range(5):
        dataset.epoch = epoch
        batches = steps_seen(dataset)
        companies.add(frozenset(frozenset(batch) for batch in batches))
        first_steps.add(batches[0][0])
    assert len(companies) == 5
    assert len(first_steps) > 1


def test_without_shuffling_the_order_stays():
    dataset = SequenceDataset(make_sequences(), shuffle=False)
    before = steps_seen(dataset)
    dataset.on_epoch_end()
    assert dataset.epoch == 1
    assert steps_seen(dataset) == before


def test_looking_at_a_batch_does_not_end_the_epoch():
    dataset = SequenceDataset(make_sequences(), batch_size=2)
    dataset[0], dataset[1]
    dataset.on_epoch_end()
    assert dataset.epoch == 0


def test_the_first_two_batches_differ_in_length():
    lengths = [8] * 30 + [32] * 2
    for shuffle in (True, False):
        dataset = SequenceDataset(
            make_sequences(lengths), batch_size=2, shuffle=shuffle
        )
        for epoch in range(5):
            dataset.epoch = epoch
            assert dataset[0]["mask"].shape != dataset[1]["mask"].shape


def test_the_summary_counts_what_is_computed():
    dataset = SequenceDataset(make_sequences(), batch_size=4)
    summary = dataset.summary()
    batches = list(dataset)
    assert summary.num_batches == len(dataset) == len(batches)
    assert summary.padded_steps == sum(b["mask"].size for b in batches)
    assert summary.real_steps == sum(b["mask"].sum() for b in batches)
    assert summary.waste == 1 - summary.real_steps / summary.padded_steps
    assert f"{summary.real_steps} of {summary.padded_steps}" in str(summary)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("num_buckets", [1, 2, 3, 4])
def test_the_chosen_lengths_waste_least(num_buckets, batch_size):
    def computed(boundaries):
        counts = np.bincount(assign(LENGTHS, boundaries))
        rows = -(-counts // batch_size) * batch_size
        return (rows * np.array(boundaries)[: len(rows)]).sum()

    tops = sorted({-(-length // 8) * 8 for length in LENGTHS})
    best = min(
        computed((*others, tops[-1]))
        for count in range(num_buckets)
        for others in itertools.combinations(tops[:-1], count)
    )
    chosen = choose_boundaries(LENGTHS, num_buckets, 8, batch_size)
    assert len(chosen) <= num_buckets
    assert computed(chosen) == best


@pytest.mark.parametrize(("num_buckets", "most"), [(4, 0.3), (8, 0.2)])
def test_spread_lengths_waste_less_than_at_their_quantiles(num_buckets, most):
    # As in folk songs: most are short, a few are five times the median.
    generator = np.random.default_rng(0)
    lengths = np.exp(generator.normal(5.4, 0.5, size=700)).astype(int)
    sequences = [np.zeros((length, 1)) for length in lengths]
    shares = np.arange(1, num_buckets + 1) / num_buckets
    quantiles = np.quantile(lengths, shares, method="higher")
    chosen, plain = (
        SequenceDataset(sequences, num_buckets=num_buckets, **given).summary()
        for given in ({}, {"bucket_boundaries": -(-quantiles // 8) * 8})
    )
    assert len(chosen.boundaries) == len(plain.boundaries) == num_buckets
    assert chosen.waste < 0.7 * plain.waste
    assert chosen.waste < most


def test_many_distinct_lengths_are_handled():
    lengths = np.arange(1, 5001)
    boundaries = choose_boundaries(lengths, 5, multiple=1)
    assert len(boundaries) == 5
    assert boundaries[-1] >= 5000
    # Equal widths are best for evenly spread lengths.
    assert np.ptp(np.diff((0, *boundaries))) <= 100


def test_given_boundaries_are_used():
    dataset = SequenceDataset(
        make_sequences([3, 9, 12]), 1, bucket_boundaries=(10, 20)
    )
    lengths = sorted(batch["mask"].shape[1] for batch in dataset)
    assert lengths == [10, 10, 20]


class StepSum(keras.Model):
    """A model whose loss reads observations and mask."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def build(self, input_shape):
        self.dense.build(input_shape["observations"])

    def call(self, inputs):
        outputs = self.dense(inputs["observations"])[..., 0]
        mask = keras.ops.cast(inputs["mask"], outputs.dtype)
        self.add_loss(
            keras.ops.sum(mask * outputs**2)
            / keras.ops.maximum(keras.ops.sum(mask), 1.0)
        )
        return keras.ops.sum(mask * outputs, axis=1)


class Recorder(SequenceDataset):
    """Remembers which batches were asked for, in which epoch."""

    def __init__(self, *args, **kwargs):
        self.asked = []
        super().__init__(*args, **kwargs)

    def __getitem__(self, index):
        self.asked.append((self.epoch, index))
        return super().__getitem__(index)


def scaled_sequences():
    return [sequence / 1000 for sequence in make_sequences()]


def fit(model, dataset, **kwargs):
    model.fit(
        dataset,
        shuffle=False,
        verbose=0,
        callbacks=[SetEpoch(dataset)],
        **kwargs,
    )


def test_a_model_can_be_fitted_evaluated_and_asked():
    model = StepSum()
    model.compile(keras.optimizers.SGD(0.01))
    dataset = Recorder(scaled_sequences(), batch_size=2, seed=3)
    fit(model, dataset, epochs=3, validation_data=dataset)
    valid = SequenceDataset(scaled_sequences(), batch_size=2, shuffle=False)
    assert np.isfinite(model.evaluate(valid, verbose=0))
    assert model.predict(valid, verbose=0).shape == (2 * len(valid),)
    for epoch in range(3):
        asked = [index for when, index in dataset.asked if when == epoch]
        assert set(asked) == set(range(len(dataset)))


def test_a_resumed_fit_sees_what_an_unbroken_one_sees():
    def train(model, **kwargs):
        dataset = SequenceDataset(scaled_sequences(), batch_size=2, seed=3)
        fit(model, dataset, **kwargs)
        return model

    def new_model():
        keras.utils.set_random_seed(0)
        model = StepSum()
        model.compile(keras.optimizers.SGD(0.1))
        return model

    unbroken = train(new_model(), epochs=4)
    broken = train(new_model(), epochs=2)
    train(broken, epochs=4, initial_epoch=2)
    other = train(train(new_model(), epochs=2), epochs=2)
    left, right, wrong = (
        np.concatenate([np.ravel(w) for w in model.get_weights()])
        for model in (unbroken, broken, other)
    )
    np.testing.assert_array_equal(left, right)
    assert (left != wrong).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequences": []}, "at least one sequence.*none"),
        ({"sequences": [np.zeros(3)]}, r"sequence 0 with shape=\(3,\)"),
        ({"sequences": [np.zeros((0, 2))]}, r"shape=\(0, 2\)"),
        (
            {"sequences": [np.zeros((3, 2)), np.zeros((3, 5))]},
            r"sequence 0 with \(2,\), sequence 1 with \(5,\)",
        ),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"num_buckets": 0}, "num_buckets=0"),
        ({"chunk_length": 0}, "chunk_length=0"),
        ({"length_multiple": 0}, "length_multiple=0"),
        ({"bucket_boundaries": (8, 50)}, "100 steps.*bucket_boundaries="),
        ({"bucket_boundaries": (100, 8)}, "must rise.*bucket_boundaries="),
        ({"bucket_boundaries": ()}, r"bucket_boundaries=\(\)"),
        ({"batch_size": 50, "drop_remainder": True}, "batch_size=50"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"sequences": make_sequences(), **change}
    with pytest.raises(ValueError, match=message) as raised:
        SequenceDataset(**arguments)
    assert "Received: " in str(raised.value)


def test_bad_kinds_are_refused():
    for change in ({"batch_size": 2.5}, {"seed": True}, {"seed": "0"}):
        with pytest.raises(TypeError, match=r"must be an integer.*Received: "):
            SequenceDataset(make_sequences(), **change)
