"""`evaluate`: all three bounds of a trained model, on one split."""

import time
from collections.abc import Callable
from typing import Any

import keras_fivo as kf
from recipes.data.batches import lengths_of
from recipes.data.sequence_dataset import SequenceDataset
from recipes.errors import told_to_the_user
from recipes.settings.common import BOUNDS, BoundSettings, EvaluateSettings
from recipes.training.modelling import build_bound
from recipes.training.run_folder import write_json
from recipes.training.trained import Trained, load_trained


def run_evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Evaluates as the settings say; prints a table and writes JSON.

    Returns:
        The content of the JSON file.
    """
    trained = load_trained(settings)
    content = _evaluate(trained, settings)
    print(bound_table(content))
    content = trained.recipe.after_evaluation(trained, settings, content)
    output = settings.output or trained.folder / (
        f"evaluation-{settings.split}.json"
    )
    with told_to_the_user():
        write_json(output, content)
    print(f"Written to {output}")
    return content


def evaluate_bounds(
    model: kf.LatentSequenceModel,
    batches: SequenceDataset,
    num_particles: int,
    resampling: BoundSettings,
    seed: int,
    say: Callable[..., None] = print,
) -> dict[str, dict[str, float]]:
    """Estimates the ELBO, IWAE and FIVO bounds of a model.

    Args:
        model: The model.
        batches: Batches that are not shuffled.
        num_particles: Number of particles of each bound; the ELBO averages as
            many bounds of one particle.
        resampling: How FIVO resamples.
        seed: Seed of the noise.
        say: Called with what is being done. Default: `print`.

    Returns:
        A dict from bound to `bound_per_step` and `bound_per_sequence`, in
        nats, `ess`, `resampling_rate` and `seconds`.
    """
    model.compile()
    model.evaluation_seed = seed
    found = {}
    for name in BOUNDS:
        say(f"  {name.upper()} ...", end="", flush=True)
        start = time.monotonic()
        model.evaluation_bound = build_bound(name, num_particles, resampling)
        values = model.evaluate(batches, return_dict=True, verbose=0)
        wanted = ("bound_per_step", "bound_per_sequence", "ess")
        found[name] = {
            key: float(values[key]) for key in (*wanted, "resampling_rate")
        }
        found[name]["seconds"] = round(time.monotonic() - start, 2)
        say(f" {found[name]['seconds']:.0f} s")
    return found


def bound_table(content: dict[str, Any]) -> str:
    """Returns the bounds and the baseline as text."""
    head = "nats, higher is better"
    lines = ["", f"{head:<24} {'per step':>10} {'per sequence':>14} {'ESS':>8}"]
    rows = {name.upper(): row for name, row in content["bounds"].items()}
    if "baseline" in content:
        rows[content["baseline"]["name"]] = content["baseline"]
    for name, row in rows.items():
        # The ELBO weighs no particles against each other.
        ess = f" {row['ess']:>8.1f}" if name != "ELBO" and "ess" in row else ""
        lines.append(
            f"{name:<24} {row['bound_per_step']:>10.3f} "
            f"{row['bound_per_sequence']:>14.1f}{ess}"
        )
    return "\n".join(lines) + "\n"


def _evaluate(trained: Trained, settings: EvaluateSettings) -> dict[str, Any]:
    split, num_particles = settings.split, settings.num_particles
    sequences = trained.sequences.split(split)
    steps = int(lengths_of(sequences).sum())
    print(
        f"{trained.model_path} on the {split} split of {trained.data}: "
        f"{len(sequences)} sequences, {steps} steps; {num_particles} particles"
    )
    batches = trained.recipe.evaluation_batches(
        sequences, num_particles, trained.model.cell.latent_dim
    )
    content = {
        "model": str(trained.model_path),
        "data": trained.data,
        "split": split,
        "num_particles": num_particles,
        "seed": settings.seed,
        "sequences": len(sequences),
        "steps": steps,
        "bounds": evaluate_bounds(
            trained.model,
            batches,
            num_particles,
            trained.trained_with,
            settings.seed,
        ),
    }
    baseline = trained.recipe.baseline(trained.sequences, split)
    if baseline is not None:
        name, per_step = baseline
        content["baseline"] = {
            "name": name,
            "bound_per_step": per_step,
            "bound_per_sequence": per_step * steps / len(sequences),
        }
    return content
