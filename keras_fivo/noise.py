"""All random numbers of a pass, in one form.

Inside the library noise has time first. Users see a dict of the same names
whose arrays have the batch first; `Noise.from_arrays` and `Noise.arrays` are
the way in and out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import batch_first, time_first
from keras_fivo.seeds import stream
from keras_fivo.types import Nested, SeedLike, Shape, Tensor


@dataclass(frozen=True)
class Source:
    """What one field of noise is drawn from.

    Attributes:
        shape: Its shape, time first.
        draw: Draws it from a seed, in that shape.
    """

    shape: Shape
    draw: Callable[[SeedLike], Tensor]

    @classmethod
    def of(cls, kind: str, *shape: int | None) -> "Source":
        """Returns that of independent numbers.

        Args:
            kind: `"normal"`, standard Normal, or `"uniform"`, in [0, 1).
            shape: Sizes by axis.
        """
        return cls(shape, lambda seed: backend.draw(kind, shape, seed))


@dataclass(frozen=True)
class Noise:
    """All random numbers of a pass, time first; None: not needed.

    Attributes:
        latent: What latents are made of, `(time, batch, particles,
            *noise_shape)`; in generation `(time, rows, *noise_shape)`.
        proposal: What the cell's proposal declares by its `noise_shape`,
            `(time, batch, particles, *noise_shape)`.
        resampling: What ancestors are chosen by, `(time, batch, ...)`, as the
            scheme declares.
        emission: What sampled observations are made of, `(time, rows, ...)`.
        smoothing: What smoothing chooses particles by, or samples latents
            from, `(time, batch, samples, ...)`; of whole paths `(batch,
            samples)`.
        dropout: Uniforms `(batch, size)` of masks, by name: they last a whole
            sequence.
    """

    latent: Tensor | None = None
    proposal: Tensor | None = None
    resampling: Tensor | None = None
    emission: Tensor | None = None
    smoothing: Tensor | None = None
    dropout: dict[str, Tensor] | None = None

    @classmethod
    def draw(cls, sources: Mapping[str, Any], seed: SeedLike) -> "Noise":
        """Draws the fields that there are sources for, independently.

        Args:
            sources: A `Source`, or a dict of them, by field.
            seed: Seed, or seed generator.
        """

        def drawn(name: str, source: Any) -> Nested:
            if isinstance(source, Mapping):
                return {k: drawn(f"{name}/{k}", x) for k, x in source.items()}
            return source.draw(stream(seed, name))

        return cls(**{name: drawn(name, x) for name, x in sources.items()})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "Noise":
        """Takes noise from users, as from `arrays`.

        Args:
            arrays: By field, batch first; the noise of a filter may stand
                under `filter`.

        Raises:
            ValueError: For a name that is no field.
        """
        flat = {**arrays, **arrays.get("filter", {})}
        flat.pop("filter", None)
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(flat) - set(known))
        if unknown:
            raise ValueError(
                f"`noise` may have the entries {known}. "
                f"Received: noise with {unknown}"
            )
        return cls(
            **{name: _swapped(x, time_first) for name, x in flat.items()}
        )

    def arrays(self) -> dict:
        """Returns the fields that there are by name, batch first."""
        return {k: _swapped(x, batch_first) for k, x in self.present().items()}

    def present(self, *names: str) -> dict:
        """Returns fields by name, but for those that there are not.

        Args:
            names: Which fields; empty: all.
        """
        names = names or tuple(field.name for field in fields(self))
        found = {name: getattr(self, name) for name in names}
        return {name: x for name, x in found.items() if x is not None}


def check_noise(
    arrays: Any, sources: Mapping[str, Any], origin: str, seed: Any = None
) -> None:
    """Refuses noise that has another form than what is drawn.

    Args:
        arrays: What the user passed, by field, batch first.
        sources: A `Source`, or a dict of them, by field.
        origin: What draws such noise, for the message.
        seed: What the user passed besides, which must be None.

    Raises:
        ValueError: If something is missing, or has another shape; for a seed,
            which would draw nothing; or if latents are to be made of the
            noise of a proposal's own evaluations.
    """
    if seed is not None:
        raise ValueError(
            "`seed` must not be given where `noise` is: nothing is drawn. "
            f"Received: seed={seed!r}"
        )
    for name, source in sources.items():
        time_and_batch = source.shape[:2]
        shape = tuple(source.shape)
        if len(shape) > 2:
            shape = (*time_and_batch[::-1], *source.shape[2:])
        found = arrays.get(name)
        received = None if found is None else tuple(ops.shape(found))
        if received != shape:
            raise ValueError(
                f"`noise` must be as from `{origin}`: {name!r} of shape "
                f"{shape}. Received: {name!r} of shape {received}"
            )
    if "proposal" in sources and "latent" in sources:
        _check_apart(arrays["latent"], arrays["proposal"])


def _check_apart(latent: Any, proposal: Any) -> None:
    """Refuses latents made of numbers that their density depends on."""
    try:
        latent, proposal = map(ops.convert_to_numpy, (latent, proposal))
    except (TypeError, ValueError, NotImplementedError):
        return  # Inside a compiled function there are no values to compare.
    if latent.shape[3:] != proposal.shape[4:] or not latent.any():
        return
    for evaluation in np.moveaxis(proposal, 3, 0):
        if np.array_equal(evaluation, latent):
            raise ValueError(
                "`noise` must have a 'latent' apart from 'proposal': q depends "
                "on that, and is not the density of what is made of it, so "
                "there would be no bound. Received: noise whose 'latent' is "
                "one of the evaluations of 'proposal'"
            )


def _swapped(tree: Nested, swap: Callable[[Tensor], Tensor]) -> Nested:
    """Swaps the axes of time and batch, where there is time.

    What lasts a whole sequence, masks of dropout and the uniforms that choose
    whole paths, is `(batch, size)`.
    """

    def moved(x: Any) -> Tensor:
        x = ops.convert_to_tensor(x)
        return swap(x) if len(x.shape) > 2 else x

    return keras.tree.map_structure(moved, tree)
