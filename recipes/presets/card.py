"""Model cards, written from the record of a run and its evaluation."""

import json
from typing import Any

from recipes.recipe import DataSet, Recipe
from recipes.settings.common import BOUNDS

_CELLS = {
    "vrnn": "variational recurrent network (VRNN)",
    "srnn": "stochastic recurrent network (SRNN)",
    "ghmm": "linear Gaussian chain",
}


def model_card(
    name: str, recipe: Recipe, record: dict[str, Any], content: dict[str, Any]
) -> str:
    """Returns the model card of a preset, as Markdown.

    Args:
        name: Name of the preset.
        recipe: Recipe that knows its data.
        record: Record of the run, without paths.
        content: What `evaluate` found on the test split.
    """
    known, model = data_set(recipe, record), record["settings"]["model"]
    return f"""\
---
library_name: keras
tags: {json.dumps(sorted({"keras_fivo", recipe.name, model}))}
---
# {name}

{summary(record)}

```python
import keras_fivo as kf

model = kf.LatentSequenceModel.from_preset("{name}")
```

{bounds_table(content)}

`python -m recipes evaluate {name}` prints these numbers.

## Data

`{known.settings.data}`: {known.about}. Licence: {known.licence}

{_split(content)}

## Training

{_training(record)}

```
KERAS_BACKEND={record["identity"]["backend"]} {_wrapped(record["command"])}
```

{_versions(record["versions"])}

## Use

{recipe.intended_use}

## Limits

{recipe.limits}
"""


def data_set(recipe: Recipe, record: dict[str, Any]) -> DataSet:
    """Returns what the recipe knows of the data of a run."""
    data = record["settings"]["data"]
    return next(k for k in recipe.data_sets if k.settings.data == data)


def summary(record: dict[str, Any]) -> str:
    """Returns what a run trained, and on what, in two sentences."""
    settings = record["settings"]
    cell = settings["model"]
    sizes = f"latent of {settings['latent_dim']}"
    if cell in ("vrnn", "srnn"):
        units = settings["units"] or settings["latent_dim"]
        sizes += f", LSTM of {units}"
    emission = settings.get("emission", "normal").replace("_", " ")
    bound = settings["bound"].upper()
    proposal = settings["proposal"].replace("_", " ")
    return (
        f"A {_CELLS[cell]}: {sizes}, {emission} emission, {proposal} proposal, "
        f"{record['weights']:,} weights. Trained with {bound} and "
        f"{settings['num_particles']} particles on `{settings['data']}`."
    )


def reported_bound(record: dict[str, Any], content: dict[str, Any]) -> str:
    """Returns the bound that a model is reported with.

    As in Maddison et al. (2017): FIVO of a model that was trained with it, and
    the largest of the three of another.
    """
    if record["settings"]["bound"] == "fivo":
        return "fivo"
    bounds = content["bounds"]
    return max(BOUNDS, key=lambda name: bounds[name]["bound_per_step"])


def bounds_table(content: dict[str, Any]) -> str:
    """Returns the bounds of an evaluation as a table in Markdown."""
    particles = content["num_particles"]
    lines = [
        f"| test split, {particles} particles | nats per step | nats per "
        "sequence | KL per step |",
        "|---|---|---|---|",
    ]
    for name, row in content["bounds"].items():
        lines.append(
            f"| {name.upper()} | {row['bound_per_step']:.3f} | "
            f"{row['bound_per_sequence']:.1f} | {row['kl_per_step']:.3f} |"
        )
    others = dict(content.get("exact", {}))
    if others:
        lines.append(
            f"| exact log evidence | {others['log_evidence_per_step']:.3f} | "
            f"{others['log_evidence_per_sequence']:.1f} | |"
        )
    if "baseline" in content:
        row = content["baseline"]
        lines.append(
            f"| {row['name']} | {row['bound_per_step']:.3f} | "
            f"{row['bound_per_sequence']:.1f} | |"
        )
    for part in content.get("parts", []):
        values = ", ".join(
            f"{name.upper()} {row['bound_per_step']:.3f}"
            for name, row in part["bounds"].items()
        )
        lines += [
            "",
            f"On {part['sequences']} {part['name']}: {values} nats per step.",
        ]
    return "\n".join(lines)


def _split(content: dict[str, Any]) -> str:
    return (
        f"Test split: {content['sequences']} sequences, {content['steps']:,} "
        f"steps, scored once with {content['num_particles']} particles and "
        f"seed {content['seed']}, for the model that the validation split "
        "chose. Nats per step are the sum of the bounds by the sum of the "
        "lengths; higher is better. KL is that of the proposal from the "
        "transition, on the particles of each bound."
    )


def _training(record: dict[str, Any]) -> str:
    settings = record["settings"]
    chosen = settings["evaluation_bound"]
    chosen = settings["bound"] if chosen == "same" else chosen
    bound = f"{chosen.upper()} of {record['best']:.3f} nats per step"
    return (
        f"Seed {settings['seed']}; {record['updates']:,} updates of batches of "
        f"{settings['batch_size']}, in {record['cpu_seconds'] / 60:.1f} "
        f"minutes of the processor; best after {record['best_updates']:,}, "
        f"with {bound} on the validation split "
        f"({settings['evaluation_particles']} particles)."
    )


def _wrapped(command: str, width: int = 66) -> str:
    """Returns a command on lines that are not too long."""
    lines, line = [], ""
    for word in command.split(" "):
        if line and len(line) + len(word) > width:
            lines.append(line)
            line = "   "
        line += (" " if line else "") + word
    return " \\\n".join([*lines, line])


def _versions(versions: dict[str, str]) -> str:
    listed = ", ".join(f"{name} {value}" for name, value in versions.items())
    return f"Versions: {listed}."
