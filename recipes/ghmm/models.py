"""Chains with every proposal, and their exact log evidence."""

import numpy as np
from keras import ops

import keras_fivo as kf


def build_proposal(name, num_steps, hidden_units=None, recurrent_units=None):
    """Returns a proposal from its name.

    Args:
        name: str. One of `recipes.ghmm.config.PROPOSALS`.
        num_steps: int. Steps that the linear proposals have parameters for.
        hidden_units: Hidden layers of the amortised proposals. Default: one
            of 32.
        recurrent_units: int. Size of the backward LSTM of `"smoothing"`.
            Default: 32.
    """
    if name == "linear_filtering":
        return kf.LinearFilteringProposal(num_steps)
    if name == "linear_smoothing":
        return kf.LinearSmoothingProposal(num_steps)
    if name == "filtering":
        return kf.FilteringProposal(hidden_units)
    if name == "smoothing":
        return kf.SmoothingProposal(
            hidden_units, recurrent_units=recurrent_units
        )
    return name


def build_cell(process, proposal, learn_model=False):
    """Returns the chain that is the model of these data.

    Args:
        process: `recipes.ghmm.data.Process`.
        proposal: A proposal, or its name in keras_fivo.
        learn_model: bool. Whether the chain is learned too, from weights
            and variances of 1, and not given. Default: `False`.

    Returns:
        A built `keras_fivo.GHMMCell`.
    """
    given = {} if learn_model else process.chain_arguments()
    cell = kf.GHMMCell(**given, fixed=not learn_model, proposal=proposal)
    cell.build((None, None, 1))
    return cell


def exact_log_evidence(model, batch):
    """Returns log p(x_1:T) of each sequence, float64 `(batch,)`, in nats.

    Args:
        model: `keras_fivo.LatentSequenceModel` of a linear Gaussian cell.
        batch: Observations, as for the model.
    """
    found = model.smooth(batch, method="exact", num_samples=1, seed=0)
    return ops.convert_to_numpy(found.log_evidence).astype("float64")


def exact_per_step(model, batches):
    """Returns the sum of log evidences by the sum of lengths, in nats.

    Args:
        model: As for `exact_log_evidence`.
        batches: `SequenceDataset`.
    """
    total, steps = 0.0, 0
    for index in range(len(batches)):
        batch = batches[index]
        real = batch["mask"].any(axis=1)
        total += exact_log_evidence(model, batch)[real].sum()
        steps += int(np.sum(batch["mask"]))
    return total / steps
