"""A NumPy loop over the frames of an `SVGCell`."""

import numpy as np


def log_evidence(cell, frames, noise):
    """The ELBO of one sample of an `SVGCell` with Bernoulli pixels.

    Its transition is the proposal, and there is no normalisation.

    Args:
        cell: A built `SVGCell`.
        frames: `(time, height, width, channels)`.
        noise: `(time, latent_dim)`.
    """
    frames = frames.astype("float64")
    previous = np.zeros_like(frames[0])
    prior = [np.zeros(cell.units)] * 2
    states = [[np.zeros(cell.units)] * 2 for _ in cell.recurrences]
    total = 0.0
    for frame, drawn in zip(frames, noise, strict=True):
        encoded, skips = _encode(cell.encoder, previous)
        prior = _lstm(cell.prior.cell, encoded, prior)
        outputs = _dense(cell.transition.network.dense[0], prior[0])
        loc, raw = np.split(outputs, 2)
        head = cell.transition
        scale = np.logaddexp(0, raw + head.scale_bias)
        x = loc + np.maximum(scale, head.min_scale) * drawn
        x = np.concatenate([encoded, x])
        for i, layer in enumerate(cell.recurrences):
            states[i] = _lstm(layer.cell, x, states[i])
            x = states[i][0]
        x = np.tanh(_dense(cell.output_network.dense[0], x))
        logits = _decode(cell.decoder, x, skips)
        logits = logits + np.array(_numpy(cell.emission.initial_bias))
        total += (frame * logits - np.logaddexp(0, logits)).sum()
        previous = (frame - _numpy(cell.center)) / _numpy(cell.scale)
    return total


def _numpy(variable):
    from keras import ops

    return ops.convert_to_numpy(variable).astype("float64")


def _dense(layer, x):
    return x @ _numpy(layer.kernel) + _numpy(layer.bias)


def _lstm(cell, x, state):
    hidden, memory = state
    gates = x @ _numpy(cell.kernel) + hidden @ _numpy(cell.recurrent_kernel)
    enter, forget, change, leave = np.split(gates + _numpy(cell.bias), 4)
    memory = _sigmoid(forget) * memory + _sigmoid(enter) * np.tanh(change)
    return [_sigmoid(leave) * np.tanh(memory), memory]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def _convolve(layer, x):
    kernel = _numpy(layer.kernel)
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return _numpy(layer.bias) + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )


def _block(block, x):
    for layer in block.convolutions:
        x = _leaky(_convolve(layer, x))
    return x


def _encode(encoder, x):
    skips = []
    for block in encoder.blocks:
        x = _block(block, x)
        skips.append(x)
        height, width, channels = x.shape
        parts = x.reshape(height // 2, 2, width // 2, 2, channels)
        x = parts.max((1, 3))
    return np.tanh(_dense(encoder.dense, x.ravel())), skips


def _decode(decoder, x, skips):
    x = _leaky(_dense(decoder.dense, x)).reshape(decoder.top_shape)
    for block, skip in zip(decoder.blocks, skips[::-1], strict=True):
        x = x.repeat(2, 0).repeat(2, 1)
        if decoder.skips:
            x = np.concatenate([x, skip], -1)
        x = _block(block, x)
    return _convolve(decoder.last, x)
