"""Smoothing with the particles of a filter: paths, lags, simulation back.

Each function takes the particles of a filter as from `filtered_particles`
and returns samples `(time, batch, num_samples, latent_dim)`, and what they
are samples of: particles `(time, batch, particles, latent_dim)` and their
weights `(time, batch, particles)`, which sum to one.
"""

from keras import ops

from keras_fivo import backend
from keras_fivo.axes import (
    expand_rows,
    flatten_rows,
    next_step,
    number_steps,
    repeat_steps,
    time_first,
)
from keras_fivo.cells import LatentCell
from keras_fivo.distributions import Distribution
from keras_fivo.smc import FilterResult, Multinomial
from keras_fivo.smc.weights import normalize_weights
from keras_fivo.types import Tensor


def filtered_particles(result: FilterResult) -> dict:
    """Returns what smoothing needs of a filter, time first.

    Returns:
        A dict of `latents` `(time, batch, particles, latent_dim)`;
        `log_weights` and `ancestors` `(time, batch, particles)`, where step
        t's ancestors are the particles of t that those of t + 1 come from;
        `before`, bool `(time, batch)`, the steps before each sequence's
        last one; and `last`, int32 `(batch,)`, the number of that.

    Raises:
        ValueError: If the filter blended particles.
    """
    log_weights = time_first(result.log_weights)
    num_steps, _, size = log_weights.shape
    same = ops.arange(int(size), dtype="int32")
    ancestors = ops.zeros_like(log_weights, dtype="int32") + same
    if result.ancestors is not None:
        ancestors = time_first(result.ancestors)
    if len(ancestors.shape) != 3:
        raise ValueError(
            "Smoothing follows particles back to their ancestors: the bound "
            "must have a scheme that chooses them, such as 'systematic', not "
            "one that blends particles, as 'relaxed' does. Received: "
            f"ancestors of shape {tuple(ancestors.shape)}, time first"
        )
    last = ops.maximum(ops.cast(result.lengths, "int32") - 1, 0)
    steps = number_steps(int(num_steps), 1)
    return {
        "latents": time_first(result.latents),
        "log_weights": log_weights,
        "ancestors": ancestors,
        "before": steps < last,
        "last": last,
    }


def trace_paths(
    particles: dict, uniforms: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Traces paths of the last particles through their ancestors.

    Args:
        particles: As from `filtered_particles`.
        uniforms: `(batch, num_samples)`.
    """
    last = _at(particles["log_weights"], particles["last"][None])[0]
    index = _same(particles["ancestors"][0])

    def step(index: Tensor, now: dict) -> tuple[Tensor, Tensor]:
        older = ops.take_along_axis(now["ancestors"], index, axis=1)
        index = ops.where(ops.expand_dims(now["before"], -1), older, index)
        return index, _choose(now["latents"], index)

    names = ("ancestors", "before", "latents")
    scanned = {name: particles[name] for name in names}
    _, paths = backend.scan(step, index, scanned, reverse=True)
    num_steps = int(paths.shape[0])
    chosen = repeat_steps(Multinomial().ancestors(last, uniforms), num_steps)
    weights = repeat_steps(normalize_weights(last), num_steps)
    return _choose(paths, chosen), paths, weights


def fixed_lag(
    particles: dict, uniforms: Tensor, lag: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Takes for z_t the ancestors of the particles `lag` steps later.

    Args:
        particles: As from `filtered_particles`.
        uniforms: `(time, batch, num_samples)`.
        lag: Number of steps, 0 or more; 0 gives what the filter knew.

    Returns:
        As above; samples of different steps are independent.

    Reference:
        Kitagawa and Sato, 2001, "Monte Carlo Smoothing and Self-Organising
        State-Space Model".
    """
    ancestors = particles["ancestors"]
    num_steps = int(ancestors.shape[0])
    before = ops.expand_dims(particles["before"], -1)
    same = _same(ancestors)

    # After n rounds: the ancestors at t of the particles at min(t + n, last).
    def one_more(index: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        later = ops.concatenate([index[1:], index[-1:]], axis=0)
        older = ops.take_along_axis(ancestors, later, axis=2)
        return ops.where(before, older, same), ops.zeros(())

    rounds = min(lag, num_steps - 1)
    index = same
    if rounds:
        index, _ = backend.scan(one_more, same, ops.zeros((rounds,)))
    steps = number_steps(num_steps, 1, rounds)
    seen = ops.minimum(steps, particles["last"])
    log_weights = _at(particles["log_weights"], seen)
    found = _choose(particles["latents"], index)
    chosen = _draw(log_weights, uniforms)
    return _choose(found, chosen), found, normalize_weights(log_weights)


def simulate_backward(
    cell: LatentCell, inputs: dict, particles: dict, uniforms: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Simulates paths backward, after filtering forward.

    From the last step back, z_t is drawn among all the particles of step t,
    by w_t p(z_{t+1} | z_t). Time and memory of a step grow with the number
    of samples times that of particles; the transition's networks run once
    per particle.

    Args:
        cell: A `LatentCell` whose latents are Markov given observations.
        inputs: As from `prepare_inputs`.
        particles: As from `filtered_particles`.
        uniforms: `(time, batch, num_samples)`.

    Returns:
        As above; weights are the mean over samples of those that each z_t
        was drawn with.

    Reference:
        Godsill, Doucet and West, 2004, "Monte Carlo Smoothing for Nonlinear
        Time Series".
    """
    num_steps, batch, size, dim = ops.shape(particles["latents"])
    past, _, _ = cell.encode(inputs, cell.initial_observed_state(batch))
    past = {**past, "step": number_steps(num_steps, batch)}
    names = ("before", "latents", "log_weights")
    scanned = {name: particles[name] for name in names}
    scanned["uniforms"] = uniforms
    scanned["past"] = past
    scanned["later"] = next_step(past)
    initial = cell.get_initial_state(batch * size)

    def step(latent: Tensor, now: dict) -> tuple[Tensor, tuple]:
        # States depend on no earlier latent: any context gives the right ones.
        context = cell.recur(initial, expand_rows(now["past"], size))
        embedded = cell.embed(flatten_rows(now["latents"]))
        states = cell.next_states(context, embedded)
        context = cell.recur(states, expand_rows(now["later"], size))
        transition = cell.transition_distribution(context)
        increment = _of_pairs(transition, latent, size)
        before = ops.reshape(now["before"], (-1, 1, 1))
        log_weights = ops.expand_dims(now["log_weights"], 1) + ops.where(
            before, increment, ops.zeros_like(increment)
        )
        positions = ops.expand_dims(now["uniforms"], -1)
        index = _draw(log_weights, positions)[..., 0]
        latent = _choose(now["latents"], index)
        return latent, (latent, ops.mean(normalize_weights(log_weights), 1))

    start = ops.zeros((batch, int(uniforms.shape[-1]), dim))
    start = ops.cast(start, particles["latents"].dtype)
    _, (samples, weights) = backend.scan(step, start, scanned, reverse=True)
    return samples, particles["latents"], weights


def _of_pairs(transition: Distribution, latent: Tensor, size: int) -> Tensor:
    """Returns log p(z_{t+1} | z_t), `(batch, num_samples, particles)`.

    Args:
        transition: Given each particle, by rows.
        latent: `(batch, num_samples, latent_dim)`, z_{t+1}.
        size: Number of particles.
    """
    batch, num_samples, dim = ops.shape(latent)
    # Parameters that rows share are given to each.
    rows = ops.ones((batch * size,), dtype="bool")
    transition = transition.select(rows, transition)

    def widen(x: Tensor) -> Tensor:
        event = tuple(ops.shape(x)[1:])
        parted = ops.reshape(x, (batch, 1, size, *event))
        wide = ops.broadcast_to(parted, (batch, num_samples, size, *event))
        return ops.reshape(wide, (-1, *event))

    wide = type(transition)(
        **{
            x: widen(getattr(transition, x)) for x in transition.parameter_names
        },
        **transition.constants,
    )
    shape = (batch, num_samples, size)
    value = ops.broadcast_to(ops.expand_dims(latent, 2), (*shape, dim))
    return ops.reshape(wide.log_prob(ops.reshape(value, (-1, dim))), shape)


def _draw(log_weights: Tensor, uniforms: Tensor) -> Tensor:
    """Draws int32 indices of particles by weight, of the uniforms' shape.

    Args:
        log_weights: `(..., particles)`.
        uniforms: `(..., num_samples)`.
    """
    size, num_samples = int(log_weights.shape[-1]), int(uniforms.shape[-1])
    chosen = Multinomial().ancestors(
        ops.reshape(log_weights, (-1, size)),
        ops.reshape(uniforms, (-1, num_samples)),
    )
    return ops.reshape(chosen, ops.shape(uniforms))


def _choose(values: Tensor, index: Tensor) -> Tensor:
    """Takes from `(..., particles, latent_dim)` those of indices `(..., n)`."""
    return ops.take_along_axis(values, ops.expand_dims(index, -1), axis=-2)


def _at(values: Tensor, steps: Tensor) -> Tensor:
    """Takes `(time, batch, particles)` at sequences' steps `(n, batch)`."""
    return ops.take_along_axis(values, ops.expand_dims(steps, -1), axis=0)


def _same(index: Tensor) -> Tensor:
    """Returns each particle's own number, in the shape of an index."""
    own = ops.arange(int(index.shape[-1]), dtype="int32")
    return ops.zeros_like(index) + own
