"""The particle filter of a VRNN as plain NumPy loops, in float64.

Sequence by sequence, step by step, straight from the equations. Arrays of
one sequence have particles first.
"""

import contextlib

import keras
import numpy as np

import keras_fivo as kf


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def log_sum_exp(x):
    largest = x.max()
    if largest == -np.inf:
        return largest
    return largest + np.log(np.exp(x - largest).sum())


def normal_log_prob(x, loc, scale):
    """Log density of each entry."""
    return (
        -0.5 * ((x - loc) / scale) ** 2
        - np.log(scale)
        - 0.5 * np.log(2 * np.pi)
    )


_REPLACED = {}


@contextlib.contextmanager
def weights_replaced(values):
    """Runs with float64 values, by id of their variables, as the weights."""
    _REPLACED.update(values)
    try:
        yield
    finally:
        _REPLACED.clear()


def array(variable):
    """The value of a variable or tensor in float64."""
    if id(variable) in _REPLACED:
        return _REPLACED[id(variable)]
    return keras.ops.convert_to_numpy(variable).astype("float64")


def network(layer, *inputs):
    """A multilayer perceptron with ReLU after all layers but the last."""
    x = np.concatenate(inputs, axis=-1)
    for i, dense in enumerate(layer.dense):
        x = x @ array(dense.kernel) + array(dense.bias)
        if i < len(layer.dense) - 1:
            x = np.maximum(x, 0.0)
    return x


def normal_head(head, *inputs):
    """Mean and standard deviation."""
    loc, raw = np.split(network(head.network, *inputs), 2, axis=-1)
    scale = softplus(raw + head.scale_bias)
    return loc, np.maximum(scale, head.min_scale)


def lstm_step(cell, x, state):
    hidden, memory = state
    gates = x @ array(cell.kernel) + hidden @ array(cell.recurrent_kernel)
    i, f, c, o = np.split(gates + array(cell.bias), 4, axis=-1)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
    hidden = sigmoid(o) * np.tanh(memory)
    return hidden, [hidden, memory]


def gru_step(cell, x, state):
    """With `reset_after`, as Keras' `GRUCell` has it by default."""
    (hidden,) = state
    bias = array(cell.bias)
    from_x = x @ array(cell.kernel) + bias[0]
    from_h = hidden @ array(cell.recurrent_kernel) + bias[1]
    xz, xr, xh = np.split(from_x, 3, axis=-1)
    hz, hr, hh = np.split(from_h, 3, axis=-1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    hidden = z * hidden + (1 - z) * np.tanh(xh + r * hh)
    return hidden, [hidden]


def rnn_step(cell, x, state):
    """One step of an LSTM, a GRU or a stack of them; states in a flat list."""
    if isinstance(cell, keras.layers.StackedRNNCells):
        new_state = []
        for part in cell.cells:
            count = len(zero_rnn_state(part, 1))
            x, part_state = rnn_step(part, x, state[:count])
            state, new_state = state[count:], new_state + part_state
        return x, new_state
    if isinstance(cell, keras.layers.GRUCell):
        return gru_step(cell, x, state)
    return lstm_step(cell, x, state)


def zero_rnn_state(cell, particles):
    if isinstance(cell, keras.layers.StackedRNNCells):
        return [
            state
            for part in cell.cells
            for state in zero_rnn_state(part, particles)
        ]
    count = 1 if isinstance(cell, keras.layers.GRUCell) else 2
    return [np.zeros((particles, cell.units)) for _ in range(count)]


class OneSequence:
    """The filter of one sequence; attributes collect what it finds.

    Args:
        cell: A built `VRNNCell`.
        bound: Tells number of particles, scheme, criterion and average.
        observations: `(time, features)`.
        observed: Bool `(time, features)`.
        length: Number of steps that count.
        noise: Dict of `latent` `(time, particles, latent_dim)` and, if it
            resamples, `resampling` `(time, ...)`, and `dropout`.
        controls: `(time, controls)` or None.
    """

    def __init__(
        self, cell, bound, observations, observed, length, noise, controls
    ):
        self.cell, self.bound, self.noise = cell, bound, noise
        self.controls, self.length = controls, length
        self.observations, self.observed = observations, observed
        self.center, self.scale = array(cell.center), array(cell.scale)
        self.filled = np.where(observed, observations, self.center)
        self.particles = bound.num_particles
        self.masks = self.dropout_masks()
        self.rnn = zero_rnn_state(cell.recurrence.cell, self.particles)
        self.encoded_latent = np.zeros(
            (self.particles, cell.latent_encoding_dim)
        )
        self.log_weights = np.zeros(self.particles)
        self.log_evidence = 0.0
        self.kl = 0.0
        self.steps = []

    def dropout_masks(self):
        keep = 1.0 - self.cell.dropout
        drawn = self.noise.get("dropout", {})
        masks = {
            name: (uniforms < keep) / keep for name, uniforms in drawn.items()
        }
        return lambda name: masks.get(name, 1.0)

    def run(self):
        """All steps; returns the estimate of the log evidence."""
        self.future = self.backward_features()
        for t in range(self.length):
            self.steps.append(self.step(t))
        return self.log_evidence + self.average()

    def average(self):
        if isinstance(self.bound, kf.ELBO):
            return self.log_weights.mean()
        return log_sum_exp(self.log_weights) - np.log(self.particles)

    def standardized(self, t):
        """What the network reads of x_t; x_{-1} is the centre."""
        if t < 0:
            return np.zeros_like(self.center)
        return (self.filled[t] - self.center) / self.scale

    def encoded_present(self, t):
        x = self.filled[t]
        if self.cell.center_present:
            x = self.standardized(t)
        return network(self.cell.data_encoder, x) * self.masks("data")

    def backward_features(self):
        """Outputs of the smoothing proposal's RNN, from the last step."""
        if not isinstance(self.cell.proposal, kf.SmoothingProposal):
            return None
        rnn = self.cell.proposal.backward.cell
        state, outputs = zero_rnn_state(rnn, 1), {}
        for t in reversed(range(self.length)):
            outputs[t], state = rnn_step(
                rnn, self.encoded_present(t)[None], state
            )
        return {t: x[0] for t, x in outputs.items()}

    def step(self, t):
        latent, log_ratio = self.propose(t)
        self.log_weights = self.log_weights + log_ratio + self.emission(t)
        found = {"log_weights": self.log_weights, "latents": latent}
        weights = np.exp(self.log_weights - log_sum_exp(self.log_weights))
        found["effective_sample_size"] = 1.0 / np.sum(weights**2)
        found["resampled"] = self.wants_resampling(
            t, found["effective_sample_size"]
        )
        found["ancestors"] = np.arange(self.particles)
        if isinstance(self.bound.scheme, kf.Relaxed):
            found["ancestors"] = np.eye(self.particles)
        if found["resampled"]:
            found["ancestors"] = self.resample(t, weights)
            self.log_evidence += self.average()
            self.log_weights = np.zeros(self.particles)
        return found

    def propose(self, t):
        """Moves the particles; gives z_t and log p(z_t) - log q(z_t)."""
        cell = self.cell
        previous = network(cell.data_encoder, self.standardized(t - 1))
        known = [np.tile(previous * self.masks("data"), (self.particles, 1))]
        known.append(self.encoded_latent)
        if self.controls is not None:
            known.append(np.tile(self.controls[t], (self.particles, 1)))
        hidden, self.rnn = rnn_step(
            cell.recurrence.cell, np.concatenate(known, -1), self.rnn
        )
        self.hidden = hidden * self.masks("hidden")
        p = normal_head(cell.transition, self.hidden)
        q = self.proposal(t, *p)
        latent = q[0] + q[1] * self.noise["latent"][t]
        encoded = network(cell.latent_encoder, latent)
        self.encoded_latent = encoded * self.masks("latent")
        kl = (
            np.log(p[1] / q[1])
            + (q[1] ** 2 + (q[0] - p[0]) ** 2) / (2 * p[1] ** 2)
            - 0.5
        )
        self.kl += kl.sum(-1).mean()
        log_ratio = normal_log_prob(latent, *p) - normal_log_prob(latent, *q)
        return latent, log_ratio.sum(-1)

    def proposal(self, t, loc, scale):
        proposal = self.cell.proposal
        if isinstance(proposal, kf.TransitionProposal):
            return loc, scale
        seen = self.encoded_present(t)
        if self.future is not None:
            seen = self.future[t]
        seen = np.tile(seen, (self.particles, 1))
        own_loc, own_scale = normal_head(proposal.head, self.hidden, seen)
        return (own_loc + loc if proposal.residual else own_loc), own_scale

    def emission(self, t):
        """log p(x_t | z_t, h_t) of what is observed, by particle."""
        head, x = self.cell.emission, self.filled[t]
        inputs = (self.encoded_latent, self.hidden)
        if isinstance(head, kf.BernoulliHead):
            logits = network(head.network, *inputs) + array(head.initial_bias)
            entries = x * logits - softplus(logits)
        else:
            entries = normal_log_prob(x, *normal_head(head, *inputs))
        return (entries * self.observed[t]).sum(-1)

    def wants_resampling(self, t, effective_sample_size):
        criterion = self.bound.criterion
        if isinstance(criterion, kf.EffectiveSampleSize):
            fraction = criterion.fraction
            return effective_sample_size <= fraction * self.particles
        if isinstance(criterion, kf.AtSteps):
            return t in criterion.steps
        return isinstance(criterion, kf.Always)

    def resample(self, t, weights):
        """Moves the particles; gives their ancestors, or their blend."""
        noise = self.noise["resampling"][t].astype("float64")
        if isinstance(self.bound.scheme, kf.Relaxed):
            scores = (noise + self.log_weights) / self.bound.scheme.temperature
            blend = np.exp(scores - scores.max(-1, keepdims=True))
            blend /= blend.sum(-1, keepdims=True)
            self.rnn = [blend @ x for x in self.rnn]
            self.encoded_latent = blend @ self.encoded_latent
            return blend
        if isinstance(self.bound.scheme, kf.Multinomial):
            positions = noise
        else:  # stratified; systematic has one uniform for all strata
            positions = (np.arange(self.particles) + noise) / self.particles
        edges = np.cumsum(weights)
        ancestors = np.array(
            [next(i for i, e in enumerate(edges) if p < e) for p in positions]
        )
        self.rnn = [x[ancestors] for x in self.rnn]
        self.encoded_latent = self.encoded_latent[ancestors]
        return ancestors


def run(
    cell, bound, noise, observations, mask=None, lengths=None, controls=None
):
    """The filters of a batch: a list of `OneSequence` and their values.

    Args:
        cell: A built `VRNNCell`.
        bound: A `Bound`.
        noise: As from `Bound.draw`.
        observations: `(batch, time, features)`.
        mask: None, `(batch, time)` or `(batch, time, features)`.
        lengths: None or `(batch,)`.
        controls: None or `(batch, time, controls)`.
    """
    filters, values = [], []
    for b, x in enumerate(np.asarray(observations, "float64")):
        observed = np.ones(x.shape, bool)
        if mask is not None:
            observed &= mask[b] if mask[b].ndim == 2 else mask[b][:, None]
        seen = np.flatnonzero(observed.any(-1))
        length = seen[-1] + 1 if len(seen) else 0
        if lengths is not None:
            length = lengths[b]
        own = {
            name: {n: array(u)[b] for n, u in value.items()}
            if name == "dropout"
            else array(value)[b]
            for name, value in noise.items()
        }
        filters.append(
            OneSequence(
                cell,
                bound,
                x,
                observed,
                length,
                own,
                None if controls is None else controls[b],
            )
        )
        values.append(filters[-1].run())
    return filters, np.array(values)
