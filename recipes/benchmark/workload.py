"""One training step, ready to be timed."""

import dataclasses
import itertools
import time

import keras
import numpy as np

import keras_fivo as kf
from recipes.benchmark.published import published_cell
from recipes.training.modelling import CELLS


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is computed: Adam on random rolls of which 4.5% sounds.

    Attributes:
        model: str. Name of the cell.
        bound: Name of the bound.
        num_particles: Number of particles.
        units: int. Size of all layers, and of the latent.
        features: Number of features.
        steps: Number of steps.
        batch: Number of sequences.
        proposal: Name of the proposal.
        jit_compile: Whether the step is compiled.
        published: str or None. Name of a cell of `recipes.benchmark.published`
            that stands for the model and its sizes.
        num_iterations: int. Number of refinements of the proposal.
        online: bool. Whether refinements learn after each time step.
    """

    model: str
    bound: str
    num_particles: int
    units: int
    features: int
    steps: int
    batch: int
    proposal: str
    jit_compile: bool
    published: str | None = None
    num_iterations: int = 1
    online: bool = False


class Batches(keras.utils.PyDataset):
    """The same batch, many times."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batch


class EpochTimes(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])
        self.seconds.append(time.perf_counter() - self._start)


class Step:
    """The compiled training step of a workload.

    Args:
        workload: `Workload`.
    """

    def __init__(self, workload):
        keras.utils.set_random_seed(0)
        self.batch = make_batch(workload)
        self.model = make_model(workload)
        start = time.perf_counter()
        self.model.make_train_function()
        self._state = self._fresh_state()
        data = (keras.tree.map_structure(_as_tensor, self.batch),)
        self._data = itertools.repeat(data)
        self.run(1)
        self.compile_seconds = time.perf_counter() - start
        self.run(2)

    def run(self, updates):
        """Makes updates; returns the loss, and so waits for them.

        As `fit` does it: on JAX the state stays on the device.
        """
        function = self.model.train_function
        for _ in range(updates):
            if self._state is not None:
                logs, self._state = function(self._state, self._data)
            elif keras.backend.backend() == "torch":
                logs = function([next(self._data)])
            else:
                logs = function(self._data)
        return float(logs["loss"])

    def rate(self, seconds):
        """Measures updates per second, for about that many seconds."""
        start = time.perf_counter()
        self.run(3)
        updates = max(3, round(3 * seconds / (time.perf_counter() - start)))
        start = time.perf_counter()
        loss = self.run(updates)
        if not np.isfinite(loss):
            raise ArithmeticError(f"The loss is {loss}.")
        return updates / (time.perf_counter() - start)

    def fit_rate(self, updates):
        """Measures updates per second in `fit`, and of the step around them.

        Four epochs, of which the first warms up; the step alone is timed just
        before and after. Of each the fastest is given: what else the machine
        does only adds.
        """
        self._give_back_state()
        times = EpochTimes()
        alone = [self._timed(updates)]
        self._give_back_state()
        self.model.fit(
            Batches(self.batch, updates),
            epochs=4,
            shuffle=False,
            verbose=0,
            callbacks=[times],
        )
        self._state = self._fresh_state()
        alone.append(self._timed(updates))
        return updates / min(times.seconds[1:]), updates / min(alone)

    def _timed(self, updates):
        self._state = self._fresh_state()
        self.run(2)
        start = time.perf_counter()
        self.run(updates)
        return time.perf_counter() - start

    def _variables(self):
        model = self.model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )

    def _fresh_state(self):
        if keras.backend.backend() != "jax":
            return None
        # Copies: the step takes its state's memory for the next one's.
        return tuple(
            [keras.ops.copy(variable.value) for variable in variables]
            for variables in self._variables()
        )

    def _give_back_state(self):
        if self._state is None:
            return
        for variables, values in zip(
            self._variables(), self._state, strict=True
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def make_batch(workload):
    """Makes random rolls of full length, as `fit` takes them."""
    shape = (workload.batch, workload.steps, workload.features)
    rolls = np.random.default_rng(0).random(shape) < 0.045
    return {
        "observations": rolls.astype("float32"),
        "mask": np.ones(shape[:2], bool),
    }


def make_model(workload):
    """Returns a compiled model of the workload."""
    bounds = {"elbo": kf.ELBO, "iwae": kf.IWAE, "fivo": kf.FIVO}
    if workload.published:
        cell, bound = published_cell(workload), kf.ELBO(analytic_kl=True)
    else:
        cell = getattr(kf, CELLS[workload.model])(
            latent_dim=workload.units,
            units=workload.units,
            emission="bernoulli",
            proposal=workload.proposal,
        )
        bound = bounds[workload.bound](workload.num_particles)
    model = kf.LatentSequenceModel(cell, bound=bound, seed=0)
    model.adapt(make_batch(workload))
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=workload.jit_compile)
    model.optimizer.build(model.trainable_variables)
    return model


def _as_tensor(array):
    return keras.ops.convert_to_tensor(array)
