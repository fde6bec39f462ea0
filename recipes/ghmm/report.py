"""What `evaluate` tells of the weights of a chain's particles."""

import numpy as np
from keras import ops

from recipes.ghmm.models import exact_log_evidence
from recipes.training.modelling import build_bound

_SEQUENCES = 256
_BOUNDS = ("iwae", "fivo")


def weight_statistics(model, observations, bound):
    """Returns log-weights by step, of particles that were added up so far.

    Args:
        model: `keras_fivo.LatentSequenceModel`.
        observations: `(sequences, steps, features)`, all of one length.
        bound: The bound to filter with.

    Returns:
        A dict of lists with an entry for each step: `log_weight_mean` and
        `log_weight_variance`, means over sequences of the mean and variance
        over particles, before resampling; `resampling_rate`, the share of
        sequences that were resampled after the step.
    """
    result = model.filter(observations, bound)
    weights = ops.convert_to_numpy(result.log_weights).astype("float64")
    resampled = ops.convert_to_numpy(result.resampled)
    return {
        "log_weight_mean": weights.mean(axis=(0, 2)).tolist(),
        "log_weight_variance": weights.var(axis=2).mean(axis=0).tolist(),
        "resampling_rate": resampled.mean(axis=0).tolist(),
    }


def exact_report(trained, settings, content):
    """Adds the exact log evidence, the gaps, and log-weights by step.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.ghmm.config.EvaluateSettings`.
        content: Dict of what `evaluate` found.

    Returns:
        `content` with `exact`, `gap_per_step` in each of the `bounds`, and
        `steps_of`, a dict from bound to `weight_statistics`.
    """
    observations = np.stack(trained.sequences.split(settings.split))
    exact = exact_log_evidence(trained.model, observations)
    per_step = float(exact.sum() / content["steps"])
    content["exact"] = {
        "log_evidence_per_step": per_step,
        "log_evidence_per_sequence": float(exact.mean()),
    }
    print(f"{'exact log evidence':<24} {per_step:>10.4f} {exact.mean():>14.2f}")
    for name, values in content["bounds"].items():
        values["gap_per_step"] = per_step - values["bound_per_step"]
        gap = exact.mean() - values["bound_per_sequence"]
        print(
            f"{'  ' + name.upper() + ' is below by':<24} "
            f"{values['gap_per_step']:>10.4f} {gap:>14.2f}"
        )
    if not trained.sequences.process.is_linear:
        print(
            "The data do not come from a linear chain: the exact log evidence "
            "is that of the model."
        )
    content["steps_of"] = {
        name: weight_statistics(
            trained.model,
            observations[:_SEQUENCES],
            build_bound(name, settings.num_particles, trained.trained_with),
        )
        for name in _BOUNDS
    }
    print(table(content["steps_of"]))
    return content


def table(steps_of):
    """Returns the log-weights by step as text."""
    head = f"\n{'log-weights':>11} "
    for name in steps_of:
        head += f"| {name.upper() + ' mean':>10} {'variance':>9} "
        head += f"{'resampled':>9} "
    lines = [head.rstrip()]
    first = next(iter(steps_of.values()))
    for step in range(len(first["log_weight_mean"])):
        line = f"{'step ' + str(step + 1):>11} "
        for values in steps_of.values():
            line += (
                f"| {values['log_weight_mean'][step]:>10.3f} "
                f"{values['log_weight_variance'][step]:>9.3f} "
                f"{values['resampling_rate'][step]:>9.2f} "
            )
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"
