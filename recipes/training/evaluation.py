"""`evaluate`: all three bounds of a trained model, on one split."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_fivo as kf
from recipes.data.batches import lengths_of
from recipes.data.sequence_dataset import SequenceDataset
from recipes.errors import told_to_the_user
from recipes.settings.common import BOUNDS, BoundSettings, EvaluateSettings
from recipes.training.modelling import build_bound
from recipes.training.run_folder import RunFolder, write_json
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
    folder = RunFolder(trained.folder)
    output = settings.output or folder.evaluation_path(settings.split)
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
        seed: Seed of the noise, which NumPy draws: it is the same on all
            backends.
        say: Called with what is being done. Default: `print`.

    Returns:
        A dict from bound to `bound_per_step`, `bound_per_sequence` and
        `kl_per_step`, in nats, `ess`, `resampling_rate` and `seconds`.
    """
    model.compile()
    found = {}
    for name in BOUNDS:
        say(f"  {name.upper()} ...", end="", flush=True)
        start = time.monotonic()
        model.evaluation_bound = build_bound(name, num_particles, resampling)
        noisy = _WithNoise(batches, model, seed)
        values = model.evaluate(noisy, return_dict=True, verbose=0)
        wanted = ("bound_per_step", "bound_per_sequence", "kl_per_step")
        wanted += ("ess", "resampling_rate")
        found[name] = {key: float(values[key]) for key in wanted}
        found[name]["seconds"] = round(time.monotonic() - start, 2)
        say(f" {found[name]['seconds']:.0f} s")
    return found


class _WithNoise(keras.utils.PyDataset):
    """Batches that hold the noise of the bound that they are evaluated with.

    Args:
        batches: Batches that are not shuffled.
        model: The model.
        seed: Seed of the noise of all batches.
    """

    def __init__(
        self, batches: SequenceDataset, model: kf.LatentSequenceModel, seed: int
    ) -> None:
        super().__init__()
        self.batches, self.model, self.seed = batches, model, seed

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        inputs = self.batches[index]
        batch, steps = inputs["observations"].shape[:2]
        generator = np.random.default_rng([self.seed, index])
        noise = self.model.evaluation_bound.draw(
            self.model.cell, steps, batch, generator
        )
        arrays = keras.tree.map_structure(keras.ops.convert_to_numpy, noise)
        return {**inputs, "noise": arrays}


def bound_table(content: dict[str, Any]) -> str:
    """Returns the bounds and the baseline as text.

    Beside each bound are KL(q || p) per step, in nats, and the effective
    sample size, means over the particles of the bound.
    """
    head = f"{'nats, higher is better':<24} {'per step':>10} "
    lines = ["", f"{head}{'per sequence':>14} {'KL':>8} {'ESS':>8}"]
    rows = {name.upper(): row for name, row in content["bounds"].items()}
    if "baseline" in content:
        rows[content["baseline"]["name"]] = content["baseline"]
    for name, row in rows.items():
        # The ELBO weighs no particles against each other.
        ess = f" {row['ess']:>8.1f}" if name != "ELBO" and "ess" in row else ""
        kl = f" {row['kl_per_step']:>8.3f}" if "kl_per_step" in row else ""
        lines.append(
            f"{name:<24} {row['bound_per_step']:>10.3f} "
            f"{row['bound_per_sequence']:>14.1f}{kl}{ess}"
        )
    for part in content.get("parts", []):
        lines.append(
            f"{part['sequences']} {part['name']}, {part['steps']} steps"
        )
        for name, row in part["bounds"].items():
            lines.append(
                f"{'  ' + name.upper():<24} {row['bound_per_step']:>10.3f} "
                f"{row['bound_per_sequence']:>14.1f} {row['kl_per_step']:>8.3f}"
            )
    return "\n".join(lines) + "\n"


def _evaluate(trained: Trained, settings: EvaluateSettings) -> dict[str, Any]:
    split, num_particles = settings.split, settings.num_particles
    sequences = trained.sequences.split(split)
    content = {
        "model": str(trained.model_path),
        "data": trained.data,
        "split": split,
        "num_particles": num_particles,
        "seed": settings.seed,
    }
    steps = int(lengths_of(sequences).sum())
    print(
        f"{trained.model_path} on the {split} split of {trained.data}: "
        f"{len(sequences)} sequences, {steps} steps; {num_particles} particles"
    )
    content |= _bounds_of(trained, sequences, settings)
    parts = trained.recipe.parts(trained.sequences, split)
    if parts:
        content["parts"] = [
            {"name": name}
            | _bounds_of(trained, [sequences[i] for i in positions], settings)
            for name, positions in parts.items()
        ]
    baseline = trained.recipe.baseline(trained.sequences, split)
    if baseline is not None:
        name, per_step = baseline
        content["baseline"] = {
            "name": name,
            "bound_per_step": per_step,
            "bound_per_sequence": per_step * steps / len(sequences),
        }
    return content


def _bounds_of(
    trained: Trained, sequences: Any, settings: EvaluateSettings
) -> dict[str, Any]:
    """Returns the bounds of some sequences, and how many they are."""
    batches = trained.recipe.evaluation_batches(
        sequences, settings.num_particles, trained.model.cell.latent_dim
    )
    return {
        "sequences": len(sequences),
        "steps": int(lengths_of(sequences).sum()),
        "bounds": evaluate_bounds(
            trained.model,
            batches,
            settings.num_particles,
            trained.trained_with,
            settings.seed,
        ),
    }
