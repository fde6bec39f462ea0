"""A cell on trial: what `check_cell` runs it through."""

import functools
import pathlib
import tempfile
import warnings
from typing import Any

import keras
import numpy as np

from keras_fivo import backend
from keras_fivo.axes import number_steps
from keras_fivo.bounds import ELBO, FIVO
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import prepare_inputs
from keras_fivo.latent_sequence_model import LatentSequenceModel
from keras_fivo.noise import Noise
from keras_fivo.testing.comparisons import require, require_equal, to_numpy

PARTICLES = 3


class Trial:
    """A model around a cell, with data and noise to try it on.

    All filters of one length are one compiled function: masks and lengths are
    always given.
    """

    def __init__(
        self,
        cell: LatentCell,
        observations: Any,
        controls: Any,
        tolerance: float,
        seed: int,
    ) -> None:
        self.data = {"observations": np.asarray(observations, "float32")}
        if controls is not None:
            self.data["controls"] = np.asarray(controls, "float32")
        shape = self.data["observations"].shape
        if len(shape) < 3 or shape[0] < 2 or shape[1] < 4:
            raise ValueError(
                "A cell is checked on two sequences of four steps at least. "
                f"Received: observations of shape {shape}"
            )
        self.batch, self.steps = shape[:2]
        self.shapes = {
            name: (None, None, *x.shape[2:]) for name, x in self.data.items()
        }
        if not cell.built:
            cell.build(self.shapes)
        self.cell, self.tolerance, self.seed = cell, tolerance, seed
        self.bound = FIVO(PARTICLES, "multinomial")
        self.model = LatentSequenceModel(cell, self.bound)
        self.model.build(self.shapes)
        self.noise = self.draw(self.bound)

    def draw(self, bound: Any) -> dict:
        """Draws noise, batch first, as arrays that can be cut."""
        noise = bound.draw(self.cell, self.steps, self.batch, seed=self.seed)
        return {name: to_numpy(value) for name, value in noise.items()}

    def run(
        self, data: dict, noise: dict, model: Any = None, **options: Any
    ) -> Any:
        """Filters data, with a mask and lengths where it has none."""
        shape = data["observations"].shape[:2]
        lengths = np.full(shape[0], shape[1], "int32")
        whole = {"mask": np.ones(shape, bool), "lengths": lengths}
        model = model or self.model
        return model.filter({**whole, **data}, noise=noise, **options)

    @functools.cached_property
    def whole(self) -> Any:
        """The filter of all data."""
        return self.run(self.data, self.noise)

    def part(self, steps: slice) -> tuple[dict, dict]:
        """Returns some steps of the data and of their noise."""
        data = {name: x[:, steps] for name, x in self.data.items()}
        noise = {
            name: x if name == "dropout" else x[:, steps]
            for name, x in self.noise.items()
        }
        return data, noise

    def require_equal(self, mine: Any, theirs: Any, claim: str) -> None:
        """Compares within the tolerance."""
        require_equal(mine, theirs, claim, self.tolerance)

    @functools.cached_property
    def twin(self) -> LatentSequenceModel:
        """A model of a cell from the cell's configuration, with its weights."""
        serialize = keras.saving.serialize_keras_object
        config = serialize(self.cell)
        twin: Any = keras.saving.deserialize_keras_object(config)
        require(
            serialize(twin) == config,
            "A cell rebuilt from its configuration has that configuration.",
        )
        twin.build(self.shapes)
        twin.set_weights(self.cell.get_weights())
        model = LatentSequenceModel(twin, self.bound, seed=self.seed)
        model.build(self.shapes)
        return model

    def check_rebuilding(self) -> None:
        """Checks that a configuration, and a file, give an equal cell."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            self.twin.save(path)
            loaded: Any = keras.saving.load_model(path)
        self.require_equal(
            self.run(self.data, self.noise, loaded).log_evidence,
            self.whole.log_evidence,
            "A cell from its configuration and a `.keras` file gives the same "
            "log evidence.",
        )

    def encoded(self, data: dict) -> tuple[dict, Any, Any]:
        """Returns inputs of the cell, and `past` and `present` of all steps."""
        inputs = prepare_inputs(data, self.cell.center)
        observed = self.cell.initial_observed_state(self.batch)
        past, present, _ = self.cell.encode(inputs, observed)
        return inputs, past, present

    @functools.cached_property
    def moved(self) -> dict:
        """The data with another observation in the middle."""
        whole = self.data["observations"]
        changed = whole.copy()
        # Of the same support: the largest value, but for itself.
        middle = whole[:, self.steps // 2]
        changed[:, self.steps // 2] = np.where(
            middle == whole.max(), whole.min(), whole.max()
        )
        return {**self.data, "observations": changed}

    def check_past(self) -> None:
        """Checks that `past` sees earlier observations alone."""
        before, after = (
            keras.tree.map_structure(
                lambda x: x[: self.steps // 2 + 1], self.encoded(data)[1]
            )
            for data in (self.data, self.moved)
        )
        self.require_equal(
            after,
            before,
            "`past` of a step does not move with its own observation or with "
            "later ones.",
        )

    def check_sight(self) -> None:
        """Checks that a proposal sees no future, unless it says so."""
        if self.cell.proposal.sees_future:
            return
        upto = self.steps // 2
        # Resampling would move them; it comes after the last of these.
        self.require_equal(
            to_numpy(self.run(self.moved, self.noise).latents)[:, :upto],
            to_numpy(self.whole.latents)[:, :upto],
            "Latents do not move with later observations, unless the proposal "
            "says `sees_future`.",
        )

    def check_padding(self) -> None:
        """Checks that padding changes nothing, whatever stands in it."""
        last = self.steps - 1
        lengths = np.full(self.batch, last, "int32")
        lengths[0] = self.steps
        padded = {name: x.copy() for name, x in self.data.items()}
        padded["observations"][1:, last] = np.nan
        if "controls" in padded:
            padded["controls"][1:, last] = 1e6
        found = self.run({**padded, "lengths": lengths}, self.noise)
        short = self.run(*self.part(slice(0, last)))
        for field in ("log_evidence", "kl"):
            expected = to_numpy(getattr(short, field))
            expected[0] = to_numpy(getattr(self.whole, field))[0]
            self.require_equal(
                getattr(found, field),
                expected,
                f"Padding does not change `{field}`.",
            )
        if self.cell.proposal.sees_future:
            return
        going_on = self.run(*self.part(slice(last, None)), state=short.state)
        self.require_equal(
            going_on.state,
            self.whole.state,
            "Two filters, of which the second goes on from the state of the "
            "first, are one.",
        )

    def check_rows(self) -> None:
        """Checks that sequences of a batch know nothing of each other."""
        changed = {name: x.copy() for name, x in self.data.items()}
        changed["observations"][1:] = self.moved["observations"][1:]
        noise = {name: x.copy() for name, x in self.noise.items()}
        noise["latent"][1:] = noise["latent"][1:, ::-1]
        self.require_equal(
            to_numpy(self.run(changed, noise).log_evidence)[0],
            to_numpy(self.whole.log_evidence)[0],
            "A sequence does not move with the others of its batch.",
        )

    def check_nothing_observed(self) -> None:
        """Checks that nothing observed is finite."""
        lengths = np.full(self.batch, self.steps, "int32")
        lengths[-1] = 0
        nothing = {
            **self.data,
            "observations": np.full_like(self.data["observations"], np.nan),
            "mask": np.zeros((self.batch, self.steps), bool),
            "lengths": lengths,
        }
        evidence = to_numpy(self.run(nothing, self.noise).log_evidence)
        require(
            np.isfinite(evidence).all(),
            "The log evidence is finite where nothing is observed.",
            str(evidence),
        )
        require(
            evidence[-1] == 0,
            "The log evidence of an empty sequence is 0.",
            str(evidence[-1]),
        )

    def check_loop(self) -> None:
        """Checks that the filter adds up what the cell's steps give."""
        noise = self.draw(ELBO())
        steps = self.loop_inputs(noise)

        def loop(steps: list) -> tuple:
            states = self.cell.get_initial_state(self.batch)
            total, kl = 0.0, 0.0
            for now in steps:
                found, states = self.cell(now, states)
                weight = found.log_transition - found.log_proposal
                total = total + weight + found.log_emission
                kl = kl + found.kl
            return total, kl

        total, kl = backend.compiled(loop, self.model, [])(steps)
        result = self.run(self.data, noise, bound=ELBO())
        claim = "The filter equals a loop over `cell(inputs, states)` in its "
        self.require_equal(result.log_evidence, total, claim + "evidence.")
        self.require_equal(result.kl, kl, claim + "KL.")

    def loop_inputs(self, noise: dict) -> list:
        """Returns what `cell(inputs, states)` takes, of each step, by rows."""
        inputs, past, present = self.encoded(self.data)
        step = number_steps(self.steps, self.batch)
        drawn = Noise.from_arrays(noise).present("latent", "proposal")
        every = {
            "past": past,
            "present": self.cell.look_ahead(
                {**past, "step": step}, present, inputs
            ),
            "step": step,
            "observations": inputs["observations"],
            "observed": inputs["observed"],
            # (time, batch, 1, ...) -> (time, batch, ...)
            "noise": {name: x[:, :, 0] for name, x in drawn.items()},
        }
        return [
            keras.tree.map_structure(lambda x, t=t: x[t], every)
            for t in range(self.steps)
        ]

    def check_learning(self, unused: tuple[str, ...]) -> None:
        """Checks that training moves every weight, to a finite value."""
        model = self.twin
        model.compile(keras.optimizers.SGD(0.1))
        before = [to_numpy(v) for v in model.trainable_variables]
        with warnings.catch_warnings():
            # Keras warns of weights without a gradient; they are told below.
            warnings.filterwarnings("ignore", "Gradients do not exist")
            model.train_on_batch(self.data)
        pairs = zip(model.trainable_variables, before, strict=True)
        for variable, value in pairs:
            now = to_numpy(variable)
            require(
                np.isfinite(now).all(),
                f"The gradient of {variable.path} is finite.",
            )
            if not any(part in variable.path for part in unused):
                require(
                    not np.array_equal(now, value),
                    f"The gradient of {variable.path} is not zero.",
                )
