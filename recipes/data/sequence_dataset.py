"""Batches of unequal sequences: bucketed, padded, shuffled, resumable."""

import dataclasses
import itertools

import keras
import numpy as np

from recipes.data.bucketing import assign, choose_boundaries


@dataclasses.dataclass(frozen=True)
class PaddingSummary:
    """What padding costs in one epoch.

    Attributes:
        num_batches: Number of batches.
        num_sequences: int. After cutting into chunks.
        boundaries: Tuple of the lengths that are padded to.
        real_steps: int. Steps of the sequences.
        padded_steps: int. Steps that are computed, rows that fill up a batch
            included.
    """

    num_batches: int
    num_sequences: int
    boundaries: tuple
    real_steps: int
    padded_steps: int

    @property
    def waste(self):
        """The share of the computed steps that are padding, 0 to 1."""
        return 1 - self.real_steps / self.padded_steps

    def __str__(self):
        return (
            f"{self.num_sequences} sequences in {self.num_batches} batches, "
            f"padded to {', '.join(map(str, self.boundaries))} steps: "
            f"{self.real_steps} of {self.padded_steps} steps are real "
            f"({self.waste:.0%} waste)"
        )


class SequenceDataset(keras.utils.PyDataset):
    """Batches of sequences of unequal lengths, of few shapes.

    A sequence goes to the shortest bucket that holds it, and is padded to the
    bucket's length. With `shuffle`, the order of epoch e is a function of the
    seed and e alone: which sequences share a batch, and the order of batches.

    Pass `shuffle=False` to `fit`: Keras would shuffle the batches once more,
    by Python's global generator, and a resumed run would see another order.
    Add the callback `SetEpoch` there: then the order follows the epoch that
    Keras counts, also where training resumes in the middle.

    Args:
        sequences: List of arrays `(steps, features)`, each of one step at
            least, with the same features. Or a sequence that reads its items
            when they are asked for, and tells their shapes beforehand: with
            the attributes `lengths`, integers, and `features`, an integer, or
            of frames `(height, width, channels)`.
        batch_size: int. Default: 4.
        seed: int, at least 0. Default: 0.
        shuffle: bool. `False` keeps the given order within each bucket.
            Default: `True`.
        num_buckets: int. How many lengths there may be at most; they are
            chosen so that least is wasted. Default: 4.
        bucket_boundaries: Rising lengths to pad to, instead of chosen ones;
            the last one must hold the longest sequence. Default: `None`.
        chunk_length: int. Cut longer sequences into consecutive pieces of
            this length, each of which counts as a sequence from then on.
            Default: `None`, which leaves them whole. Sequences that are read
            when asked for are cut by who reads them.
        length_multiple: int. Chosen lengths are multiples of it. Default: 8.
        drop_remainder: bool. Leave out the batches that are not full.
            Default: `False`, which shows every sequence once an epoch.
        pad_batch: bool. Fill batches that are not full with rows that are all
            zero and all masked, so that there is one shape per bucket; the
            models of keras_fivo count them nowhere. Default: `True`.
        **kwargs: `workers` and the like, of `keras.utils.PyDataset`.

    Returns:
        Item i is a dict of `observations`, float32 `(batch, time, features)`,
        zero where padded, and `mask`, bool `(batch, time)`, `True` up to each
        length.

    Raises:
        ValueError: There are no sequences, one has no steps or another shape
            than `(steps, features)`, or an argument is out of its range.

    Example:

    ```python
    dataset = SequenceDataset(rolls.train, batch_size=4, seed=1)
    print(dataset.summary())
    model.fit(dataset, epochs=10, shuffle=False, callbacks=[SetEpoch(dataset)])
    ```
    """

    def __init__(
        self,
        sequences,
        batch_size=4,
        *,
        seed=0,
        shuffle=True,
        num_buckets=4,
        bucket_boundaries=None,
        chunk_length=None,
        length_multiple=8,
        drop_remainder=False,
        pad_batch=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_integer("batch_size", batch_size, 1)
        _check_integer("seed", seed, 0)
        _check_integer("num_buckets", num_buckets, 1)
        _check_integer("length_multiple", length_multiple, 1)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_remainder = drop_remainder
        self.pad_batch = pad_batch
        self.sequences, self._lengths, self._features = _measure(
            sequences, chunk_length
        )
        self.boundaries = _check_boundaries(
            bucket_boundaries, self._lengths.max()
        ) or choose_boundaries(
            self._lengths,
            num_buckets,
            length_multiple,
            batch_size if pad_batch else 1,
            longest=chunk_length,
        )
        self._buckets = assign(self._lengths, self.boundaries)
        self.epoch = 0

    @property
    def epoch(self):
        """int. The epoch whose order the items follow; may be set."""
        return self._epoch

    @epoch.setter
    def epoch(self, value):
        _check_integer("epoch", value, 0)
        self._epoch = int(value)
        self._order = self._order_of(self._epoch)
        if not self._order:
            raise ValueError(
                "No batch is full, and `drop_remainder` leaves out the "
                f"others. Received: batch_size={self.batch_size} for "
                f"{len(self.sequences)} sequences."
            )
        self._seen = set()

    def __len__(self):
        return len(self._order)

    def __getitem__(self, index):
        rows = self._order[index]
        self._seen.add(index % len(self))
        num_rows = self.batch_size if self.pad_batch else len(rows)
        length = self.boundaries[self._buckets[rows[0]]]
        shape = (num_rows, length, *self._features)
        observations = np.zeros(shape, "float32")
        mask = np.zeros((num_rows, length), "bool")
        for row, source in enumerate(rows):
            steps = self._lengths[source]
            observations[row, :steps] = self.sequences[source]
            mask[row, :steps] = True
        return {"observations": observations, "mask": mask}

    def padded_lengths(self):
        """Returns a list of the steps that each batch is padded to."""
        return [self.boundaries[self._buckets[rows[0]]] for rows in self._order]

    def on_epoch_end(self):
        """Goes on to the next epoch, if all of this one has been read.

        Keras calls this more often than epochs end: before the first one, and
        after it looked at a batch or two for their shapes.
        """
        if len(self._seen) == len(self):
            self.epoch += 1

    def summary(self):
        """Tells what padding costs in one epoch, as a `PaddingSummary`."""
        used = np.concatenate(self._order)
        padded_steps = sum(
            (self.batch_size if self.pad_batch else len(rows)) * length
            for rows, length in zip(
                self._order, self.padded_lengths(), strict=True
            )
        )
        return PaddingSummary(
            num_batches=len(self),
            num_sequences=len(used),
            boundaries=self.boundaries,
            real_steps=int(self._lengths[used].sum()),
            padded_steps=int(padded_steps),
        )

    def _order_of(self, epoch):
        """Returns the rows of each batch, a function of seed and epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        batches = []
        for bucket in range(len(self.boundaries)):
            rows = np.flatnonzero(self._buckets == bucket)
            if self.shuffle:
                rows = generator.permutation(rows)
            batches += [
                rows[start : start + self.batch_size]
                for start in range(0, len(rows), self.batch_size)
            ]
        if self.drop_remainder:
            batches = [rows for rows in batches if len(rows) == self.batch_size]
        if self.shuffle:
            batches = [batches[i] for i in generator.permutation(len(batches))]
        return self._show_two_lengths_first(batches)

    def _show_two_lengths_first(self, batches):
        # On TensorFlow Keras takes for fixed what the first two batches have
        # in common, and would refuse another length later.
        buckets = [self._buckets[rows[0]] for rows in batches]
        for other in range(2, len(batches)):
            if buckets[0] == buckets[1] != buckets[other]:
                batches[1], batches[other] = batches[other], batches[1]
                break
        return batches


class SetEpoch(keras.callbacks.Callback):
    """Tells a `SequenceDataset` which epoch Keras is about to train.

    Args:
        dataset: `SequenceDataset`.
    """

    def __init__(self, dataset):
        super().__init__()
        self.dataset = dataset

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch


def _check_integer(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"`{name}` must be an integer. Received: {name}={value!r}."
        )
    if value < least:
        raise ValueError(
            f"`{name}` must be at least {least}. Received: {name}={value}."
        )


def _measure(sequences, chunk_length):
    """Returns the sequences, the length of each, and the features of all."""
    if not (hasattr(sequences, "lengths") and hasattr(sequences, "features")):
        arrays = _cut(_check_sequences(sequences), chunk_length)
        lengths = np.array([len(array) for array in arrays])
        return arrays, lengths, arrays[0].shape[1:]
    if chunk_length is not None:
        raise ValueError(
            "`chunk_length` cuts arrays only; these sequences are read when "
            "they are asked for, and cut by who reads them. "
            f"Received: chunk_length={chunk_length}."
        )
    lengths = np.asarray(sequences.lengths)
    if len(lengths) == 0 or lengths.min() < 1:
        raise ValueError(
            "There must be sequences, of at least one step each. "
            f"Received: {len(lengths)} sequences."
        )
    features = sequences.features
    return sequences, lengths, np.atleast_1d(features).tolist()


def _check_sequences(sequences):
    arrays = [np.asarray(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError("There must be at least one sequence. Received: none.")
    for index, array in enumerate(arrays):
        if array.ndim < 2 or len(array) == 0:
            raise ValueError(
                "A sequence must be an array (steps, features) of at least "
                "one step. "
                f"Received: sequence {index} with shape={array.shape}."
            )
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                "All sequences must have the same features. Received: "
                f"sequence 0 with {arrays[0].shape[1:]}, sequence {index} "
                f"with {array.shape[1:]}."
            )
    return arrays


def _cut(arrays, chunk_length):
    if chunk_length is None:
        return arrays
    _check_integer("chunk_length", chunk_length, 1)
    return [
        array[start : start + chunk_length]
        for array in arrays
        for start in range(0, len(array), chunk_length)
    ]


def _check_boundaries(boundaries, longest):
    if boundaries is None:
        return None
    boundaries = tuple(int(length) for length in boundaries)
    if any(low >= high for low, high in itertools.pairwise(boundaries)):
        raise ValueError(
            "`bucket_boundaries` must rise. "
            f"Received: bucket_boundaries={boundaries}."
        )
    if not boundaries or boundaries[-1] < longest:
        raise ValueError(
            "The last of `bucket_boundaries` must hold the longest sequence, "
            f"which has {longest} steps. Cut it with `chunk_length`, or add a "
            f"boundary. Received: bucket_boundaries={boundaries}."
        )
    return boundaries
